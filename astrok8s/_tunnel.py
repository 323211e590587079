"""A port of this machine that leads to a pod, through the API of its cluster: no ingress is needed, and no route."""

import socket
import socketserver
import threading
from contextlib import suppress

from astrok8s._kubernetes import Account
from astrok8s._pods import Pods

_CHUNK = 65536


class Tunnel:
    """A port of the loopback device; every connection to it goes to a pod, over a connection to the API of its own.

    It stays until the process ends. A connection that is cut is closed here, too; the next one finds the pod anew.

    Args:
        account: Who connects; another one may take its place.
        namespace: Where the pod is.
        selector: The labels of the pod; one that is ready is looked for anew for each connection.
        port: Its port.

    Attributes:
        account: As given.
        port: The port here.
    """

    def __init__(self, account: Account, namespace: str, selector: str, port: int) -> None:
        self.account = account

        def open_remote() -> socket.socket:
            from kubernetes.stream import portforward

            api = self.account.client()  # of its own: forwarding changes how a client makes requests
            pod = Pods(api, namespace, selector).ready()[0].metadata.name
            ends = portforward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
            remote: socket.socket = ends.socket(port)
            remote.setblocking(True)
            return remote

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # Whatever goes wrong, whoever connected sees the end of the connection.
                with suppress(Exception):
                    remote = open_remote()
                    threading.Thread(target=_pump, args=(self.request, remote), daemon=True).start()
                    _pump(remote, self.request)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="tunnel", daemon=True).start()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Hands on what comes until either end closes, and closes both."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
