"""A port of this machine's loopback device that leads to a port of a pod, through the Kubernetes API.

Whoever connects to it gets a port-forward of its own. When the way to the pod breaks, these connections end, and the
port stays: who connects again, as Spark Connect's client does by itself, is led to the pod as soon as the way is back.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from astrok8s._forward import ForwardError

PATIENCE = 15.0
"""Seconds that a new connection waits for the way to be back; gRPC gives a connection 20 s to answer."""

PAUSE = 0.5
"""Seconds between two tries to reach the pod."""

CHUNK = 256 * 1024
"""Bytes that are passed on at a time, at most."""


class Tunnel:
    """A listening port; close it when it is not needed any more.

    Args:
        reach: Opens a connection to the pod's port, or raises a ForwardError.
        gone: Returns why the pod will never be reached again; empty if it may be.

    Attributes:
        port: On the loopback device.
    """

    def __init__(self, reach: Callable[[], socket.socket], gone: Callable[[], str]) -> None:
        self._reach, self._gone = reach, gone
        self._closed = threading.Event()
        self._ends: set[socket.socket] = set()
        self._broken_at: float | None = None
        self._why = self._ended = ""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="astrok8s-tunnel", daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._closed.set()
        for end in (self._listener, *self._ends):
            with suppress(OSError):  # it has ended
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it; to close it does not
        self._listener.close()

    def broken(self) -> tuple[float, str]:
        """Return for how many seconds the pod has not been reached, and why; 0 if it was at the last try."""
        if self._broken_at is None:
            return 0.0, ""
        return time.monotonic() - self._broken_at, self._why

    def ended(self) -> str:
        """Return why the pod will never be reached again; empty if it may be."""
        self._ended = self._ended or self._gone()
        return self._ended

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                here, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._ends.add(here)
            threading.Thread(target=self._serve, args=(here,), name="astrok8s-tunnel", daemon=True).start()

    def _serve(self, here: socket.socket) -> None:
        there = self._open()
        if there is not None:
            back = threading.Thread(target=_pass_on, args=(there, here), name="astrok8s-tunnel", daemon=True)
            back.start()
            _pass_on(here, there)
            back.join()
            with suppress(OSError):
                there.close()
        self._ends.discard(here)
        here.close()

    def _open(self) -> socket.socket | None:
        """Return a connection to the pod; None if it is not reached in time."""
        deadline = time.monotonic() + PATIENCE
        while not self._closed.is_set():
            try:
                there = self._reach()
            except ForwardError as error:
                self._broken_at, self._why = self._broken_at or time.monotonic(), str(error)
            else:
                self._broken_at, self._why = None, ""
                return there
            if time.monotonic() > deadline or self._closed.wait(PAUSE):
                break
        return None


def _pass_on(source: Any, target: Any) -> None:
    """Pass on what comes until it ends, and tell the other side so."""
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
