"""What Spark gets of whoever asks for its pages, and what comes back; a server at a socket says what it was asked."""

import json
import socketserver
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.httpclient import HTTPResponse

from astrok8s import _private, pages


class Session:
    """What has pages; it is no session of Spark Connect, and its own driver."""

    @property
    def sparkContext(self) -> "Session":  # noqa: N802  as Spark names it
        return self


class Spark(BaseHTTPRequestHandler):
    """Answers with what it was asked, and as Spark does where that matters."""

    def do_GET(self) -> None:
        moved = self.path == "/"
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", "http://localhost/jobs/?all=1")
        self.send_header("Set-Cookie", "session=spark")
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(json.dumps({"path": self.path, "headers": dict(self.headers)}).encode())

    do_HEAD = do_POST = do_GET  # noqa: N815

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def session() -> Iterator[str]:
    """A session with pages; its name."""
    made: list[socketserver.BaseServer] = []
    owner: Any = Session()
    pages.serve(owner, lambda path: made.append(socketserver.ThreadingUnixStreamServer(str(path), Spark)))
    threading.Thread(target=made[0].serve_forever, daemon=True).start()
    yield pages.name(owner)
    made[0].shutdown()
    made[0].server_close()


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def ask(http_server_client: Any, jp_base_url: str, jp_auth_header: dict[str, str]) -> Ask:
    """Asks for a path below `sessions/`, just as it is written."""

    def asked(path: str, headers: Mapping[str, str] = jp_auth_header, **arguments: Any) -> Awaitable[HTTPResponse]:
        url = f"{jp_base_url}astrok8s/sessions/{path}"
        fetched: Awaitable[HTTPResponse] = http_server_client.fetch(
            url, headers=headers, raise_error=False, follow_redirects=False, **arguments
        )
        return fetched

    return asked


async def test_spark_gets_nothing_of_whoever_asks(session: str, ask: Ask, jp_base_url: str, jp_serverapp: Any) -> None:
    token = jp_serverapp.identity_provider.token
    sent = {"Cookie": "_xsrf=1; username=x", "X-XSRFToken": "1", "Accept-Language": "fr"}
    answer = await ask(f"{session}/pages/SQL/?token={token}&a%5Bb%5D=%C3%BC+%26&empty=", headers=sent)
    asked = json.loads(answer.body)
    assert asked["path"] == "/SQL/?a%5Bb%5D=%C3%BC+%26&empty="
    own = {"Host", "Connection", "Accept-Encoding", "User-Agent"}  # of the connection to Spark
    assert set(asked["headers"]) <= own | {"Accept-Language", "X-Forwarded-Context"}
    assert asked["headers"]["X-Forwarded-Context"] == f"{jp_base_url}astrok8s/sessions/{session}/pages"
    assert asked["headers"]["Accept-Language"] == "fr"


async def test_its_answer_stays_in_its_place(session: str, ask: Ask, jp_base_url: str) -> None:
    answer = await ask(f"{session}/pages/jobs/")
    assert "session=spark" not in str(answer.headers.get_list("Set-Cookie"))
    assert answer.headers["Content-Type"] == "application/json;charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    host = urlsplit(answer.effective_url).netloc
    assert policy["connect-src"] == f"{host}{jp_base_url}astrok8s/sessions/{session}/pages/"
    assert "allow-popups" not in policy["sandbox"]
    moved = await ask(f"{session}/pages/")
    assert moved.code == 302
    assert moved.headers["Location"] == f"{jp_base_url}astrok8s/sessions/{session}/pages/jobs/?all=1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "jobs/job/kill/?id=1", 403),
        ("GET", "stages/stage/%6Bill/?id=1", 403),
        ("GET", "stages/stage/x/../kill/?id=1", 403),
        ("HEAD", "stages/stage/KILL;x=1/", 403),
        ("POST", "jobs/", 405),
        ("HEAD", "jobs/", 200),
    ],
)
async def test_nothing_is_changed_by_it(session: str, ask: Ask, method: str, path: str, status: int) -> None:
    answer = await ask(f"{session}/pages/{path}", method=method, body="" if method == "POST" else None)
    assert answer.code == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_needs_a_token(session: str, ask: Ask, method: str) -> None:
    for path in ("jobs/", "static/webui.js", ""):
        assert (await ask(f"{session}/pages/{path}", headers={}, method=method)).code == 403


async def test_only_a_session_of_this_user_is_shown(session: str, ask: Ask) -> None:
    folder = session.partition("-")[0]
    for name in ("..%2F..%2Fetc-1", f"{folder}-99", f"{folder}-1%2F..", "nobody00-1", "localhost:80", f"{session}x"):
        assert (await ask(f"{name}/pages/jobs/")).code == 404, name
    _private.folder().chmod(0o755)  # as of whoever wants to show something as if it were Jupyter's
    try:
        assert (await ask(f"{session}/pages/jobs/")).code == 404
    finally:
        _private.folder().chmod(0o700)
    assert (await ask(f"{session}/pages/jobs/")).code == 200


async def test_a_session_that_has_ended_is_told(ask: Ask) -> None:
    owner: Any = Session()
    pages.serve(owner, lambda path: socketserver.ThreadingUnixStreamServer(str(path), Spark).server_close())
    for path in ("pages/jobs/", "executors"):
        answer = await ask(f"{pages.name(owner)}/{path}")
        assert (answer.code, "Spark does not answer" in json.loads(answer.body)["fact"]) == (502, True)
