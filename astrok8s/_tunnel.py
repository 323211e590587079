"""A port or a socket of this machine that leads to a pod, through the API of its cluster: no ingress, and no route."""

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from astrok8s._kubernetes import Account, authority_file, words
from astrok8s._pods import Pods
from astrok8s.errors import AttachError

if TYPE_CHECKING:
    from websocket import WebSocket

_CHUNK = 65536
_CONNECT_S = 5
# Kubernetes's protocol: a message begins with the number of its channel, and a channel with the number of its port
# (k8s.io/kubelet, pkg/cri/streaming/portforward/websocket.go).
_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
# A peer that is gone without a word is noticed after half a minute.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)


class Tunnel:
    """A port of the loopback device; every connection to it goes to a pod, over a connection to the API of its own.

    It stays until the process ends. A connection that is cut is closed here, too; the next one finds the pod anew.

    Args:
        account: Who connects.
        namespace: Where the pod is.
        selector: The labels of the pod; one that is ready is looked for anew for each connection.
        port: Its port.
        path: Where to make a socket instead of the port, which everybody on the machine reaches.

    Attributes:
        account: As given.
        port: The port here; 0 where there is a socket instead.
        why: Why the last connection was not made, or ended; empty if nothing is known.
        refused: What to tell where it was not made since the account's token is not taken any more, else None.
    """

    def __init__(self, account: Account, namespace: str, selector: str, port: int, path: Path | None = None) -> None:
        self.account = account
        self.why = ""
        self.refused: AttachError | None = None

        def hand_on(here: socket.socket) -> None:
            # Whatever goes wrong, whoever connected sees the end of the connection.
            try:
                remote = open_connection(self.account, namespace, selector, port)
                self.refused = None
                threading.Thread(target=_send, args=(here, remote), daemon=True).start()
                self.why = _receive(remote, here)
            except Exception as error:
                self.why = words(error)
                self.refused = self.account.refused(error)

        self.port = listen(hand_on, path)


def listen(hand_on: Callable[[socket.socket], None], path: Path | None = None) -> int:
    """Has each connection to a port of the loopback device, or to a socket, handed on, until the process ends.

    Args:
        hand_on: Is given each in a thread of its own; it is closed afterwards.
        path: Where to make the socket; None for a port.

    Returns:
        The port; 0 where there is a socket.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            hand_on(self.request)

    server = _UnixServer(str(path), Handler) if path else _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, name="tunnel", daemon=True).start()
    return 0 if path else int(server.socket.getsockname()[1])


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 50  # a browser opens several at once, and the kernel refuses at once what finds no place


# Not by kubernetes.stream: where its connection breaks, other than by a proper end, its own end stays open for ever.
def open_connection(account: Account, namespace: str, selector: str, port: int) -> "WebSocket":
    """Opens a connection to a pod, in Kubernetes's protocol.

    Args:
        account: Who connects.
        namespace: Where the pod is.
        selector: The labels of the pod.
        port: Its port.

    Raises:
        ConnectionError: There is no pod that is ready.
        WebSocketException: The API does not open one.
    """
    import websocket

    pods = Pods(account.client(), namespace, selector).ready()
    if not pods:
        raise ConnectionError(f"no pod with {selector} is ready in {namespace}")
    remote = websocket.create_connection(
        f"wss://{urlsplit(account.server).netloc}/api/v1/namespaces/{namespace}/pods/{pods[0].metadata.name}/portforward?ports={port}",
        header=[f"Authorization: Bearer {account.bearer}"],
        subprotocols=[_PROTOCOL],
        sslopt={"ca_certs": authority_file(account.authority)},
        sockopt=_KEEP_ALIVE,
        timeout=_CONNECT_S,
        enable_multithread=True,
    )
    remote.settimeout(None)
    return remote


def _send(source: socket.socket, remote: "WebSocket") -> None:
    """Hands on what comes from here, until either end closes."""
    with suppress(Exception):
        while data := source.recv(_CHUNK):
            remote.send_binary(bytes([_DATA]) + data)
    _end(remote)


def _receive(remote: "WebSocket", sink: socket.socket) -> str:
    """Hands on what comes from the pod, until either end closes; returns what Kubernetes says of it."""
    greeted = set()
    why = ""
    try:
        while (message := remote.recv()) and isinstance(message, bytes):
            channel, data = message[0], message[1:]
            if channel not in greeted:
                greeted.add(channel)  # by the number of the port
            elif channel == _ERROR:
                why += data.decode(errors="replace")
            else:
                sink.sendall(data)
    except Exception as error:
        why = why or str(error)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    _end(remote)
    return why.strip()


def _end(remote: "WebSocket") -> None:
    """Ends a connection; a thread that waits for it sees so."""
    with suppress(OSError):
        if remote.sock:
            remote.sock.shutdown(socket.SHUT_RDWR)
