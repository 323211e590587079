"""Spark's own pages in Jupyter's origin: of a notebook's session, and of the history.

What is asked for comes from a socket of this user's, never from an address; Spark gets nothing of whom it is asked by.
"""

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from jupyter_server.auth.decorator import authorized
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import HTTPError, authenticated

from astrok8s.history import server_socket
from astrok8s.pages import socket_of
from jupyterlab_astrok8s.handlers import HISTORY_S, Handler

_CONNECT_S = 10
_ANSWER_S = 60
_NO_ANSWER = 599  # tornado's word for it
_PASSED_ON = ("Accept", "Accept-Language")
_PASSED_BACK = ("Cache-Control", "Content-Disposition", "Last-Modified")
_SAME_FOR_S = 3600  # scripts and styles, which are Spark's own and go with its version
_OURS = ("token", "no_track_activity")
# A page that somebody's data had broken into could ask for nothing but Spark's pages, nor open another one of Jupyter.
_POLICY = (
    "sandbox allow-scripts allow-same-origin allow-forms allow-downloads allow-modals; default-src 'none'; "
    "script-src {pages} 'unsafe-inline'; style-src {pages} 'unsafe-inline'; img-src {pages} data:; font-src {pages}; "
    "connect-src {pages}; form-action {pages}; base-uri 'none'; frame-ancestors 'none'"
)


class _Socket(Resolver):
    """Says of every name that it is a socket."""

    def initialize(self, path: Path) -> None:
        self._path = path

    async def resolve(self, *_: Any, **__: Any) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, str(self._path))]


async def _ask(path: Path, url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Asks a server of Spark at a socket.

    Raises:
        HTTPError: It does not answer.
    """
    client = SimpleAsyncHTTPClient(force_instance=True, resolver=_Socket(path))
    request = HTTPRequest(
        f"http://localhost/{url}",
        method=method,
        headers=dict(headers or {}),
        connect_timeout=_CONNECT_S,
        request_timeout=_ANSWER_S,
        follow_redirects=False,
    )
    try:
        answer = await client.fetch(request, raise_error=False)
        error = answer.error if answer.code == _NO_ANSWER else None
    except OSError as refused:
        error = refused
    finally:
        client.close()
    if error:
        raise HTTPError(502, f"Spark does not answer: {error}. Its session, or the way to it, may have ended.")
    return answer


class _PagesHandler(Handler):
    async def show(self, source: Path, prefix: str, path: str) -> None:
        """Answers with a page.

        Args:
            source: The socket of a server of Spark.
            prefix: Where its pages begin, below `/astrok8s/`.
            path: The path of the page below that, not quoted.
        """
        if "/kill" in f"/{path.lower()}":  # Spark takes it by GET, so that any link anywhere could be one
            raise HTTPError(403, "Nothing is ended from here. Interrupt the kernel, or detach the notebook.")
        prefix = f"{self.base_url}astrok8s/{prefix}"
        headers = {name: self.request.headers[name] for name in _PASSED_ON if name in self.request.headers}
        headers["X-Forwarded-Context"] = prefix  # from which Spark makes its links
        query = [pair for pair in parse_qsl(self.request.query, keep_blank_values=True) if pair[0] not in _OURS]
        url = quote(path) + (f"?{urlencode(query)}" if query else "")
        answer = await _ask(source, url, str(self.request.method), headers)
        self.set_status(answer.code, answer.reason)
        self._pass_back(answer, prefix)
        if path.startswith("static/") and answer.code == 200:
            self.set_header("Cache-Control", f"private, max-age={_SAME_FOR_S}")
        kind = answer.headers.get("Content-Type", "application/octet-stream")
        self.finish(answer.body or b"", set_content_type=kind)

    def _pass_back(self, answer: HTTPResponse, prefix: str) -> None:
        for name in _PASSED_BACK:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        if location := answer.headers.get("Location"):
            parts = urlsplit(location)
            path = parts.path if parts.path.startswith(f"{prefix}/") else prefix + parts.path
            self.set_header("Location", path + (f"?{parts.query}" if parts.query else ""))
        self.set_header("Content-Security-Policy", _POLICY.format(pages=f"{self.request.host}{prefix}/"))


def _session(name: str) -> Path:
    """Returns the socket of a session; else the answer is 404."""
    found = socket_of(name)
    if found is None:
        raise HTTPError(404, f"There is no session {name} on this machine, or it has no pages.")
    return found


class SessionPagesHandler(_PagesHandler):
    """`/astrok8s/sessions/NAME/pages/PATH`."""

    @authenticated
    @authorized
    async def get(self, name: str, path: str) -> None:
        """Shows a page of a session."""
        await self.show(_session(name), f"sessions/{name}/pages", path)

    head = get


class HistoryPagesHandler(_PagesHandler):
    """`/astrok8s/clusters/NAME/pages/PATH`."""

    _sockets: dict[tuple[str | None, str], Path] = {}  # noqa: RUF012  of all requests: to find one takes a second

    @authenticated
    @authorized
    async def get(self, name: str, path: str) -> None:
        """Shows a page of the history server of a cluster."""
        key = (self.clusters.cloud, name)
        if key not in self._sockets:
            cluster = await self.cluster(name)
            self._sockets[key] = await asyncio.to_thread(server_socket, cluster, timeout_s=HISTORY_S)
        try:
            await self.show(self._sockets[key], f"clusters/{quote(name, safe='')}/pages", path)
        except HTTPError as error:
            if error.status_code == 502:  # the token, or the cluster, may be another one by now
                self._sockets.pop(key, None)
            raise

    head = get


class ExecutorsHandler(Handler):
    """`/astrok8s/sessions/NAME/executors`."""

    @authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Tells how many executors a session has, and how many it may have."""
        source = _session(name)
        application = (await _json(source, "api/v1/applications"))[0]["id"]
        executors, environment = await asyncio.gather(
            _json(source, f"api/v1/applications/{application}/executors"),
            _json(source, f"api/v1/applications/{application}/environment"),
        )
        now = sum(executor["id"] != "driver" and executor["isActive"] for executor in executors)
        self.finish(json.dumps({"now": now, "max": _most(dict(environment["sparkProperties"]))}))


async def _json(source: Path, url: str) -> Any:
    answer = await _ask(source, url)
    if answer.code != 200:
        raise HTTPError(502, f"Spark answers {answer.code} where it is asked for {url}.")
    return json.loads(answer.body)


def _most(properties: Mapping[str, str]) -> int | None:
    """Returns how many executors a session may have by its properties; None where its cluster is the limit."""
    is_dynamic = properties.get("spark.dynamicAllocation.enabled") == "true"
    most = properties.get("spark.dynamicAllocation.maxExecutors" if is_dynamic else "spark.executor.instances")
    return int(most) if most else None


HANDLERS = [
    (r"clusters/([^/]+)/pages/(.*)", HistoryPagesHandler),
    (r"sessions/([^/]+)/pages/(.*)", SessionPagesHandler),
    (r"sessions/([^/]+)/executors", ExecutorsHandler),
]
