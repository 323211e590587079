"""Watches the machine's own interfaces for packets with an address of ours: there must be none."""

from __future__ import annotations

import errno
import ipaddress
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterable

IPV4, ARP = 0x0800, 0x0806
ALL = 0x0003
"""ETH_P_ALL of Linux: every frame, those that go out too."""


def addresses(frame: bytes) -> list[ipaddress.IPv4Address]:
    """Return sender and receiver of an Ethernet frame with an IPv4 or an ARP packet."""
    kind = int.from_bytes(frame[12:14])
    places = {IPV4: (26, 30), ARP: (28, 38)}.get(kind, ())
    return [ipaddress.IPv4Address(frame[place : place + 4]) for place in places if len(frame) >= place + 4]


class Sniffer:
    """Counts, by interface, the packets from or to addresses of some networks.

    Args:
        interfaces: Where to look.
        networks: Whose packets count.
    """

    def __init__(self, interfaces: Iterable[str], networks: Iterable[ipaddress.IPv4Network]) -> None:
        self.seen: Counter[str] = Counter()
        self._networks = list(networks)
        self._sockets = []
        for interface in interfaces:
            watch = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
            watch.bind((interface, ALL))
            self._sockets.append(watch)
        self._wake, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sniffer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.watches, "the sniffer ended before what it watched"
        self._end.close()
        self._thread.join()
        for watch in (*self._sockets, self._wake):
            watch.close()

    @property
    def watches(self) -> bool:
        """Whether it still looks; otherwise that it saw nothing says nothing."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([*self._sockets, self._wake], [], [])
            if self._wake in ready:
                return
            for watch in ready:
                try:
                    frame, (interface, *_) = watch.recvfrom(64)
                except OSError as error:
                    if error.errno != errno.ENETDOWN:  # said once by an interface that is down; it may come up
                        raise
                    continue
                if any(address in network for address in addresses(frame) for network in self._networks):
                    self.seen[interface] += 1
