"""HTTP to a port of a pod, through the Kubernetes API: it needs no route to the pod, and Kubernetes asks who may."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.client import CoreV1Api

KEEP_ALIVE = (
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 25_000),
)
"""Options of the way to the API (tcp(7)): after 10 s without a word it is asked every 5 s, and broken after 25 s."""


class ForwardError(Exception):
    """The port cannot be reached, or its answer was cut."""


def open_port(api: CoreV1Api, namespace: str, pod: str, port: int) -> socket.socket:
    """Return a connection to a port of a pod.

    The other end of the way is watched by the kernel: a silent one is told as broken within half a minute.

    Args:
        api: The cluster's API, as somebody who may forward ports of the pod.
        namespace: Where the pod is.
        pod: Its name.
        port: The port; the program behind it may listen on the pod's loopback device only.

    Raises:
        ForwardError: It cannot be reached.
    """
    from kubernetes.client import ApiClient, ApiException, CoreV1Api
    from kubernetes.stream import portforward

    # while it opens a port, a client asks for nothing else: one of its own
    own = CoreV1Api(ApiClient(api.api_client.configuration))
    try:
        opened = portforward(own.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
    except (ApiException, OSError) as error:
        said = str(error.reason) if isinstance(error, ApiException) else str(error) or type(error).__name__
        raise ForwardError(f"port {port} of pod {namespace}/{pod}: {said.strip().splitlines()[0]}") from error
    try:
        # None, or closed, if a thread of the client's has read the end already
        way = opened.websocket.sock
        if way is None:
            raise ConnectionResetError
        for option, value in KEEP_ALIVE:
            way.setsockopt(socket.IPPROTO_TCP, option, value)
        way.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as error:
        raise ForwardError(f"port {port} of pod {namespace}/{pod}: the connection was closed at once") from error
    found: socket.socket = opened.socket(port)
    found.setblocking(True)
    return found


class PodPort:
    """A port of a pod that speaks HTTP; each request has a connection of its own, so none has to be kept alive.

    Args:
        api: The cluster's API, as somebody who may forward ports of the pod.
        namespace: Where the pod is.
        pod: Its name.
        port: The port; the program behind it may listen on the pod's loopback device only.
        timeout: Seconds for each part of an answer.
    """

    def __init__(self, api: CoreV1Api, namespace: str, pod: str, port: int, timeout: float = 30) -> None:
        self._api, self._namespace, self._pod, self._port, self._timeout = api, namespace, pod, port, timeout

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
        """Send a GET and return the answer, whose body is not read yet.

        Raises:
            ForwardError: The port cannot be reached, or gives no answer.
        """
        try:
            opened = open_port(self._api, self._namespace, self._pod, self._port)
            connection = _Connection(opened, self._timeout)
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            return connection.getresponse()
        except (HTTPException, OSError) as error:
            said = str(error) or type(error).__name__
            raise ForwardError(f"port {self._port} of pod {self._namespace}/{self._pod}: {said}") from error

    def read(self, path: str) -> bytes:
        """Return what a GET answers.

        Raises:
            ForwardError: The port cannot be reached, or the answer is no success, or was cut.
        """
        try:
            with self.get(path) as answer:
                body = answer.read()
        except (HTTPException, OSError) as error:
            raise ForwardError(
                f"the answer of pod {self._namespace}/{self._pod} to {path} was cut: {error!r}"
            ) from error
        if answer.status != 200:
            raise ForwardError(f"pod {self._namespace}/{self._pod} answers {answer.status} {answer.reason} to {path}")
        return body


class _Connection(HTTPConnection):
    """HTTP over a connection that is there already."""

    def __init__(self, opened: Any, timeout: float) -> None:
        super().__init__("127.0.0.1")
        opened.settimeout(timeout)
        self.sock = opened
