"""The stratum: serves the repositories of ``$LOCALCLOUD_HOME`` to clients and the proxy, and keeps whitelists valid.

usage: python -m localcloud.cvmfs.web
"""

from __future__ import annotations

import hashlib
import re
import signal
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import waitress

from localcloud.cvmfs.repository import LETTERS, repositories
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import Settings

THREADS = 16
"""How many requests are worked on at a time."""

CONNECTIONS = 500
"""How many clients are connected at a time: each node of a large cluster has several connections."""

LETTER_SECONDS = 5
"""How long a proxy may hand out a letter without asking."""

OBJECT_SECONDS = 365 * 24 * 3600
"""The same for an object, which never changes."""

LOOK_SECONDS = 3600
"""How often whitelists are looked at."""

_PATH = re.compile(
    r"/cvmfs/(?P<fqrn>[a-z0-9][a-z0-9.-]*)/"
    rf"(?:(?P<letter>{'|'.join(map(re.escape, LETTERS))})|(?P<object>data/[0-9a-f]{{2}}/[0-9a-f]{{38}}[A-Z]?))"
)
"""All that is served: no other file can be named, whatever a path says."""

_MISSING = "404 Not Found"


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: Line of the status.
        content: The body, or the file that has it.
        size: Bytes of it.
        kept: For the header Cache-Control.
        etag: Name of the content; none if empty.
    """

    status: str
    content: bytes | Path
    size: int
    kept: str = "no-store"
    etag: str = ""

    @classmethod
    def text(cls, status: str, text: str = "") -> Answer:
        """Return an answer in words, which a proxy must not keep: a publication may bring what was missing."""
        content = f"{text or status}\n".encode()
        return cls(status, content, len(content))


class Stratum:
    """The application, by WSGI's rules.

    Args:
        folder: Has a folder for each repository.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request; without the content if the client has it, or wants none."""
        asked = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        answer = self._find(environ["PATH_INFO"]) if asked else Answer.text("405 Method Not Allowed")
        has = bool(answer.etag) and answer.etag in environ.get("HTTP_IF_NONE_MATCH", "")
        headers = [("Cache-Control", answer.kept), *([("ETag", answer.etag)] if answer.etag else [])]
        if not has:
            headers += [("Content-Type", "application/octet-stream"), ("Content-Length", str(answer.size))]
        start_response("304 Not Modified" if has else answer.status, headers)
        if has or environ["REQUEST_METHOD"] == "HEAD":
            return []
        if isinstance(answer.content, bytes):
            return [answer.content]
        sent: Iterable[bytes] = environ["wsgi.file_wrapper"](answer.content.open("rb"))  # which closes it
        return sent

    def _find(self, path: str) -> Answer:
        if path == "/":
            return Answer.text("200 OK", "a CVMFS stratum")
        found = _PATH.fullmatch(path)
        if found is None:
            return Answer.text(_MISSING)
        try:
            folder = self._folder / found["fqrn"]
            return _letter(folder / found["letter"]) if found["letter"] else _object(folder / found["object"])
        except FileNotFoundError:
            return Answer.text(_MISSING)


def _letter(path: Path) -> Answer:
    content = path.read_bytes()
    # by content, not by time: two revisions can be of one second
    name = hashlib.sha256(content).hexdigest()
    return Answer("200 OK", content, len(content), f"public, max-age={LETTER_SECONDS}", f'"{name}"')


def _object(path: Path) -> Answer:
    kept = f"public, max-age={OBJECT_SECONDS}, immutable"
    return Answer("200 OK", path, path.stat().st_size, kept, f'"{path.parent.name}{path.name}"')


def renew(settings: Settings) -> None:
    """Renew the whitelists that need it; say what cannot be renewed."""
    for repository in repositories(settings):
        try:
            if repository.renew():
                say(f"renewed the whitelist of {repository.fqrn}")
        except (LocalcloudError, OSError) as error:
            say(f"the whitelist of {repository.fqrn} was not renewed: {error}")


def say(text: str) -> None:
    """Write a line to the log, which is what supervisord keeps of the output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _keep_valid(settings: Settings) -> None:
    ended = threading.Event()
    while not ended.wait(LOOK_SECONDS):
        renew(settings)


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # waitress ends with the requests that run
    renew(settings)
    threading.Thread(target=_keep_valid, args=(settings,), daemon=True).start()
    waitress.serve(
        Stratum(settings.repositories),
        host=settings.address("stratum"),
        port=settings.port("stratum"),
        threads=THREADS,
        connection_limit=CONNECTIONS,
        ident=settings.identity,
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,
    )


if __name__ == "__main__":
    main()
