"""The tunnel's port, with a server of this machine at its other end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc
import pytest

from astrok8s import _connect, _tunnel
from astrok8s._forward import ForwardError
from astrok8s._tunnel import Tunnel


class Echo:
    """A server that sends back what it gets; it can be away."""

    def __init__(self) -> None:
        self.away = False
        self.open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                there, _ = self._listener.accept()
            except OSError:
                return
            self.open.append(there)
            threading.Thread(target=self._serve, args=(there,), daemon=True).start()

    @staticmethod
    def _serve(there: socket.socket) -> None:
        with there, suppress(OSError):  # cut
            while data := there.recv(65536):
                there.sendall(data)

    def cut(self) -> None:
        for there in self.open:
            with suppress(OSError):  # it has ended
                there.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def reach(self) -> socket.socket:
        if self.away:
            raise ForwardError("the API is away")
        return socket.create_connection(self._listener.getsockname())


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def tunnel(echo: Echo) -> Iterator[Tunnel]:
    tunnel = Tunnel(echo.reach, lambda: "")
    yield tunnel
    tunnel.close()


def through(tunnel: Tunnel) -> socket.socket:
    return socket.create_connection(("127.0.0.1", tunnel.port), timeout=10)


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.01)


def test_megabytes_go_there_and_back(tunnel: Tunnel) -> None:
    data = bytes(range(256)) * 20_000
    with through(tunnel) as here:
        threading.Thread(target=here.sendall, args=(data,), daemon=True).start()
        got = b""
        while len(got) < len(data):
            part = here.recv(65536)
            assert part, "it was cut"
            got += part
    assert got == data


def test_a_cut_ends_connections_and_the_port_stays(echo: Echo, tunnel: Tunnel) -> None:
    with through(tunnel) as here:
        here.sendall(b"once")
        assert here.recv(4) == b"once"
        echo.cut()
        assert here.recv(4) == b""
    with through(tunnel) as here:
        here.sendall(b"more")
        assert here.recv(4) == b"more"


def test_a_new_connection_waits_until_the_way_is_back(echo: Echo, tunnel: Tunnel) -> None:
    echo.away = True
    with through(tunnel) as here:
        here.sendall(b"wait")
        eventually(lambda: tunnel.broken()[0] > 0)
        assert tunnel.broken()[1] == "the API is away"
        echo.away = False
        assert here.recv(4) == b"wait"
    assert tunnel.broken() == (0.0, "")


def test_patience_ends(echo: Echo, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tunnel, "PATIENCE", 0.1)
    echo.away = True
    with through(tunnel) as here:
        assert here.recv(1) == b""
    assert tunnel.broken()[0] > 0


def test_a_closed_tunnel_takes_nobody(tunnel: Tunnel) -> None:
    tunnel.close()

    def refused() -> bool:
        try:
            with through(tunnel) as here:
                return here.recv(1) == b""
        except ConnectionError:
            return True

    eventually(refused)


def test_a_closed_tunnel_ends_its_connections_and_threads(tunnel: Tunnel) -> None:
    before = threading.active_count()
    with through(tunnel) as here:
        here.sendall(b"once")
        assert here.recv(4) == b"once"
        tunnel.close()
        assert here.recv(4) == b""
    eventually(lambda: threading.active_count() < before)


def test_nobody_tries_again_through_a_closed_tunnel(tunnel: Tunnel) -> None:
    class Unavailable(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

    policy = _connect._patient(tunnel)
    assert policy.can_retry(Unavailable())
    tunnel.close()
    assert not policy.can_retry(Unavailable())
