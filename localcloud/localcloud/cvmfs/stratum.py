"""The stratum of a box: serves repositories, and keeps their whitelists from expiring.

usage: python -m localcloud.cvmfs.stratum
"""

import datetime
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import waitress
from werkzeug import Request, Response

from localcloud.cloud.services import STRATUM
from localcloud.cvmfs import letters
from localcloud.cvmfs.repository import WEB_ROOT
from localcloud.home import INSIDE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Nothing else is served, whatever lies there; an object's name says what is in it, so that it never changes.
_LETTER = re.compile(r"/cvmfs/[a-z0-9][a-z0-9.-]+/\.cvmfs(published|whitelist)")
_OBJECT = re.compile(r"/cvmfs/[a-z0-9][a-z0-9.-]+/data/[0-9a-f]{2}/[0-9a-f]{38}[CHPX]?")
# How long a proxy may hold back a new revision, and an object.
_LETTER_AGE_S = 5
_OBJECT_AGE_S = 3 * 24 * 3600
_THREADS = 8
_RENEWAL_SPACING_S = 3600


class Stratum:
    """Answers requests for the letters and objects of repositories.

    Args:
        web_root: The folder that they lie in.
    """

    def __init__(self, web_root: Path) -> None:
        self._web_root = web_root

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answers a request, as WSGI wants it."""
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(status=405, headers={"Allow": "GET, HEAD"})
        letter = _LETTER.fullmatch(request.path)
        if not (letter or _OBJECT.fullmatch(request.path)):
            return Response(status=404)
        try:
            # All at once, at most some megabytes: a letter may be replaced meanwhile.
            content = Path(f"{self._web_root}{request.path}").read_bytes()
        except FileNotFoundError:
            return Response(status=404)
        type_, age = ("application/x-cvmfs", _LETTER_AGE_S) if letter else ("application/octet-stream", _OBJECT_AGE_S)
        response = Response(content, content_type=type_)
        response.cache_control.max_age = age
        response.add_etag()  # and no time, since a letter may be replaced twice in a second
        return response.make_conditional(request, accept_ranges=True, complete_length=len(content))


def _renew_in_turns() -> None:
    while True:
        try:
            for repository in letters.renew_all(INSIDE / "cvmfs", datetime.datetime.now(datetime.UTC)):
                print(f"renewed the whitelist of {repository.fqrn}", file=sys.stderr)
        except Exception:
            traceback.print_exc()  # what keeps one from being renewed is told, and tried again
        time.sleep(_RENEWAL_SPACING_S)


def main() -> None:
    """Serves until it is told to stop."""
    threading.Thread(target=_renew_in_turns, daemon=True).start()
    application = Stratum(INSIDE / "cvmfs" / WEB_ROOT)
    waitress.serve(application, host="0.0.0.0", port=STRATUM.port, threads=_THREADS, ident=None)  # noqa: S104  as swift


if __name__ == "__main__":
    main()
