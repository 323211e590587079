"""Applications that ran, of this cluster and of those before it, from Spark's history server."""

from __future__ import annotations

import atexit
import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from astrok8s._cloud import magnum
from astrok8s._errors import HistoryError
from astrok8s._forward import ForwardError, PodPort
from astrok8s._kube import Access, account_api, spark_base, token, why_no_executors

if TYPE_CHECKING:
    from astrok8s._cluster import Cluster

POD, PORT = "history-0", 18080
"""As the role spark_history makes them."""

TOKEN_HOURS = 1.0
"""Of the token that asks the history server; when it has ended, a new one is made."""


@dataclass(frozen=True)
class Application:
    """A Spark application, as its event log tells.

    Attributes:
        id: Spark's own, such as spark-1f3c….
        name: As the session was called.
        user: Who ran it, as the driver's operating system calls them.
        started: When, with time zone.
        duration: From its start to its end; of a running one, to its last event.
        completed: Whether its event log has an end; a running one is seen once a first part of its log is stored.
    """

    id: str
    name: str
    user: str
    started: datetime
    duration: timedelta
    completed: bool

    @classmethod
    def from_api(cls, body: dict[str, Any]) -> Application:
        """Make one from what the history server answers; its first attempt is the last one."""
        last = body["attempts"][0]
        started = datetime.fromtimestamp(last["startTimeEpoch"] / 1000, UTC)
        end = last["endTimeEpoch"] if last["completed"] else last["lastUpdatedEpoch"]
        seconds = max(0.0, end / 1000 - started.timestamp())
        return cls(
            body["id"], body["name"], last["sparkUser"], started, timedelta(seconds=seconds), bool(last["completed"])
        )


class HistoryServer:
    """The history server of a cluster, reached as the service account of a namespace.

    Args:
        cluster: The cluster.
        namespace: Where the server is.
        deadline: Seconds to wait until it is ready.

    Raises:
        HistoryError: There is none, or it is not ready in time.
    """

    def __init__(self, cluster: Cluster, namespace: str, deadline: float = 60) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._lock = threading.Lock()
        self._port = self._connect(deadline)
        self._renewed = time.monotonic()

    def applications(self) -> list[Application]:
        """Return the applications, newest first.

        Raises:
            HistoryError: The server does not answer.
        """
        try:
            answer = json.loads(self.port().read("/api/v1/applications"))
        except ForwardError as error:
            raise HistoryError(
                f"the history server of {self._cluster.name} does not answer: {error}; see "
                f"`kubectl logs -n {self._namespace} {POD}`"
            ) from error
        found = [Application.from_api(body) for body in answer]
        return sorted(found, key=lambda application: application.started, reverse=True)

    def port(self) -> PodPort:
        """Return the server's port, with a token that has not ended."""
        with self._lock:
            if time.monotonic() - self._renewed > TOKEN_HOURS * 3600 * 0.8:
                self._port = self._connect(deadline=0)
                self._renewed = time.monotonic()
            return self._port

    def _connect(self, deadline: float) -> PodPort:
        with magnum(self._cluster.cloud) as api:
            access = Access.from_kubeconfig(api.kubeconfig(self._cluster.uuid))
        access.local_address()
        with access.api() as kube:
            base = spark_base(kube, self._namespace)
            self._wait(kube, deadline)
            ours = account_api(access, token(kube, base, TOKEN_HOURS), self._cluster.uuid)
        return PodPort(ours, self._namespace, POD, PORT)

    def _wait(self, kube: Any, deadline: float) -> None:
        """Wait until the server's pod is ready."""
        end = time.monotonic() + deadline
        while True:
            pods = kube.list_namespaced_pod(self._namespace, label_selector="app.kubernetes.io/name=history").items
            for pod in pods:
                if any(state.type == "Ready" and state.status == "True" for state in pod.status.conditions or []):
                    return
            if not pods and not _server_is_declared(kube, self._namespace):
                raise HistoryError(
                    f"cluster {self._cluster.name} has no history server in namespace {self._namespace}: its cloud has "
                    "no object storage, or spark_history_state is absent; set that right, and provision it again"
                )
            if time.monotonic() >= end:
                break
            time.sleep(0.5)
        why = why_no_executors(kube, self._namespace, "app.kubernetes.io/name=history")
        raise HistoryError(
            f"the history server of {self._cluster.name} was not ready within {deadline:.0f} s"
            + "".join(f"\n{reason}" for reason in why)
            + f"\nIt needs object storage; see `kubectl logs -n {self._namespace} {POD}`, and ask again."
        )


def _server_is_declared(kube: Any, namespace: str) -> bool:
    return bool(kube.list_namespaced_config_map(namespace, field_selector="metadata.name=history").items)


def history(cluster: Cluster, namespace: str = "spark") -> list[Application]:
    """Return the applications that ran on this cluster and on the user's clusters before it, newest first."""
    return HistoryServer(cluster, namespace).applications()


@cache
def history_url(cluster: Cluster, namespace: str = "spark") -> str:
    """Open a way to the history server's pages for as long as this process lives; return its URL.

    Other users of this machine can reach the port, too, so the pages want the word in the URL; it becomes a cookie.
    """
    server = _Pages(HistoryServer(cluster, namespace).port, secrets.token_urlsafe(24))
    threading.Thread(target=server.serve_forever, name="history", daemon=True).start()
    atexit.register(server.server_close)
    return server.url


class _Pages(ThreadingHTTPServer):
    """The history server's pages on the loopback device.

    Args:
        port: Gives the history server's port.
        word: What one has to know.
    """

    daemon_threads = True

    def __init__(self, port: Callable[[], PodPort], word: str) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.pod_port, self.word = port, word

    @property
    def url(self) -> str:
        """Where a browser is to go."""
        return f"http://127.0.0.1:{self.server_port}/?word={self.word}"


class _Page(BaseHTTPRequestHandler):
    """One request for a page."""

    server: _Pages
    PASSED = ("Accept", "Accept-Encoding", "Accept-Language", "Host", "If-Modified-Since", "If-None-Match")

    def do_GET(self) -> None:
        """Answer it by the history server's answer."""
        cookie = f"history-{self.server.server_port}"
        known = SimpleCookie(self.headers.get("Cookie", "")).get(cookie)
        given = parse_qs(urlsplit(self.path).query).get("word", [""])[0]
        if secrets.compare_digest(given.encode(), self.server.word.encode()):
            self.send_response(303)
            self.send_header("Set-Cookie", f"{cookie}={given}; HttpOnly; SameSite=Strict; Path=/")
            self.send_header("Location", urlsplit(self.path).path)
            self.end_headers()
        elif known and secrets.compare_digest(known.value.encode(), self.server.word.encode()):
            self._pass_on()
        else:
            self.send_error(403, "Open the URL that Cluster.history_url gives")

    def _pass_on(self) -> None:
        headers = {name: self.headers[name] for name in self.PASSED if name in self.headers}
        try:
            answer = self.server.pod_port().get(self.path, headers)
        except Exception as error:  # whatever it is, the browser is to show it
            self.send_error(502, "The history server does not answer", str(error))
            return
        with answer:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                    self.send_header(name, value)
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests to ourselves."""
