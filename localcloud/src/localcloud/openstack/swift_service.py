"""Swift in one process, proxy, account, container and object server: ``python -m localcloud.openstack.swift_service``.

They are green threads that talk to each other over loopback connections, as in Swift's own
functional tests: a third of the memory of four processes.

There is one copy of everything, so Swift's replicators have nowhere to copy to and its auditors
no good copy to restore from: they are left out. What is deleted leaves an empty file behind.
The updaters, which finish what a server had no time for, run here too.
"""

from __future__ import annotations

import array
import logging
import os
import resource
import secrets
import signal
import time
import traceback
from pathlib import Path
from typing import Any

import eventlet
import eventlet.hubs
import eventlet.wsgi
from swift.common import utils

from localcloud.openstack import swift_config
from localcloud.openstack.swift_guard import guarded, named, send_key
from localcloud.settings import Settings

PARTITION_POWER = 6
"""2 to this power folders hold the objects; folders that exist are found by it, so it never changes."""

STOP_SECONDS = 8
"""For requests that run at SIGTERM to come to their end; supervisord waits 10."""

UPDATE_SECONDS = 15
"""Pause between two runs of the updaters."""


class ToStandardOutput(logging.Handler):
    """Takes the place of the system log, which Swift knows alone; supervisord keeps the lines."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def createLock(self) -> None:  # noqa: N802 (logging's name)
        """Have no lock: green and native threads log, and one call writes a line."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.created))
        os.write(1, f"{moment} {record.levelname} {self.format(record)}\n".encode())


def ring(server: str, port: int) -> Any:
    """Return the ring of a server: every partition is on the one disk, at a port of the loopback device.

    Args:
        server: ``account``, ``container`` or ``object``.
        port: Where it listens.
    """
    from swift.common.ring import RingData

    device = {
        "id": 0,
        "region": 1,
        "zone": 1,
        "ip": "127.0.0.1",
        "port": port,
        "replication_ip": "127.0.0.1",
        "replication_port": port,
        "device": swift_config.DISK,
        "weight": 1.0,
        "meta": server,
    }
    return RingData([array.array("H", [0] * 2**PARTITION_POWER)], [device], 32 - PARTITION_POWER)


def listen(address: str, port: int) -> Any:
    """Return a socket that listens, on a port of the kernel's choice if ``port`` is 0.

    Raises:
        SystemExit: The port is taken.
    """
    try:
        return eventlet.listen((address, port), backlog=512, reuse_port=False)
    except OSError as error:
        raise SystemExit(f"Swift cannot listen on {address}, port {port}: {error.strerror}") from None


def start(listener: Any, application: Any) -> Any:
    """Serve an application in a green thread; the process ends when it cannot go on."""
    from swift.common.http_protocol import SwiftHttpProtocol

    def serve() -> None:
        try:
            eventlet.wsgi.server(
                listener,
                application,
                utils.NullLogger(),
                protocol=SwiftHttpProtocol,
                socket_timeout=60,
                # clients of S3 know "ETag", not "Etag"
                capitalize_response_headers=False,
            )
        except Exception:
            os.write(1, traceback.format_exc().encode())
        os.kill(os.getpid(), signal.SIGTERM)

    return eventlet.spawn(serve)


def update(settings: Settings) -> None:
    """Bring what is not up to date up to date, again and again.

    That is the totals of accounts, and listings that were not told of an object: a server was
    busy, or killed between the two.
    """
    from swift.container.updater import ContainerUpdater
    from swift.obj.updater import ObjectUpdater

    options = {name: str(value) for name, value in swift_config.storage_options(settings).items()}
    containers, objects = ContainerUpdater(options), ObjectUpdater(options)
    while True:
        for path in containers.get_paths():
            containers.container_sweep(path)
        objects.begin = time.time()
        objects.object_sweep(str(swift_config.disk(settings)))
        eventlet.sleep(UPDATE_SECONDS)


def until_terminated() -> None:
    """Return at SIGTERM, which wakes the hub through a pipe: it would go on polling otherwise."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, lambda *_: None)
    eventlet.hubs.trampoline(reader, read=True)


def prepare_process() -> None:
    """Make this process one of green threads that log to standard output and have enough files."""
    eventlet.hubs.use_hub(utils.get_hub())
    utils.monkey_patch()
    utils.logs.ThreadSafeSysLogHandler = ToStandardOutput
    # it would warn of every option that is not its own, or that it hands on
    logging.getLogger("keystonemiddleware._common.config").setLevel(logging.ERROR)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each request has several connections


def main() -> None:
    """Run all four until SIGTERM."""
    settings = Settings.load()
    folder = swift_config.folder(settings)
    # before anything else of Swift is imported: it would read /etc/swift
    utils.set_swift_dir(str(folder))
    prepare_process()
    from swift.common.wsgi import loadapp

    def load(server: str) -> Any:
        return loadapp(str(Path(folder, f"{server}.conf")), {"log_name": server})

    key = secrets.token_hex(16)
    send_key(key)
    listeners = {server: listen("127.0.0.1", 0) for server in swift_config.STORAGE}
    for server, listener in listeners.items():
        ring(server, listener.getsockname()[1]).save(str(folder / f"{server}.ring.gz"))
    for server, listener in listeners.items():
        start(listener, guarded(load(server), key))
    front = listen(settings.address("swift"), settings.port("swift"))
    proxy = start(front, named(load("proxy"), settings.identity))
    eventlet.spawn(update, settings)
    until_terminated()
    proxy.kill(SystemExit())  # it takes no more requests, and ends with the last one that runs
    with eventlet.Timeout(STOP_SECONDS, False):
        proxy.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
