"""A way to a box's Magnum on which answers get lost, are refused, or tell another status: what is behind it is real."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests
import yaml
from boxes import Box

CLOUD = "troubled"
"""The entry of clouds.yaml that goes this way."""


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        method: Its method.
        path: Its path after /v1, such as `/clusters/detail`.
    """

    method: str
    path: str


Trouble = Callable[[Asked], int | None]
"""What goes wrong: the status of the answer; None for the answer of Magnum."""

Rewrite = Callable[[dict[str, Any]], None]
"""Changes what Magnum tells of a cluster."""


class Way(ThreadingHTTPServer):
    """The way to Magnum.

    Args:
        magnum: Magnum's own URL, which ends with /v1.

    Attributes:
        refuse: Which requests Magnum does not get.
        lose: Which answers are lost, though Magnum has done what it was asked for.
        rewrite: What is changed in what it tells of clusters.
        held: Set to let go of requests that hang, with the status 0.
    """

    daemon_threads = True

    def __init__(self, magnum: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.magnum = magnum
        self.held = threading.Event()
        self.clear()

    def clear(self) -> None:
        """Lets all go well."""
        self.refuse: Trouble = lambda _: None
        self.lose: Trouble = lambda _: None
        self.rewrite: Rewrite = lambda _: None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Way

    def _answer(self) -> None:
        asked = Asked(self.command, self.path.removeprefix("/v1"))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = self.server.refuse(asked)
        if status is None:
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            url = self.server.magnum + asked.path
            told = requests.request(asked.method, url, headers=headers, data=body, timeout=60)
            status = self.server.lose(asked)
            if status is None:
                self._send(told.status_code, self._rewritten(told) if told.content else b"")
                return
        if status == 0:
            self.server.held.wait()
        wrong = json.dumps({"errors": [{"status": status, "detail": "Something is wrong"}]}).encode()
        self._send(status or 504, wrong if status >= 400 else b"")

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def _rewritten(self, told: requests.Response) -> bytes:
        body = told.json()
        for cluster in body.get("clusters", [body]):
            if "status" in cluster:
                self.server.rewrite(cluster)
        return json.dumps(body).encode()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the class has it
        """Says nothing."""


@contextmanager
def way_to_magnum(box: Box) -> Iterator[Way]:
    """Declares a cloud whose Magnum is reached by it, and gives it."""
    told = json.loads(box.openstack("catalog", "show", "container-infra", "--format=json").stdout)
    magnum = next(entry["url"] for entry in told["endpoints"] if entry["interface"] == "public")
    with Way(magnum) as way:
        declared = yaml.safe_load(box.clouds.read_text())
        entry = declared["clouds"][box.name] | {"container_infrastructure_management_endpoint_override": way.url}
        declared["clouds"][CLOUD] = entry
        box.clouds.write_text(yaml.safe_dump(declared))
        threading.Thread(target=way.serve_forever, daemon=True).start()
        yield way
        way.held.set()
        way.shutdown()
