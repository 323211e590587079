"""Swift in one process: its proxy, account, container and object servers, and the updaters.

They are green threads that talk to each other over the loopback, as in Swift's own functional tests: a third of the
memory of four processes. There is one copy of everything, so that replicators have nowhere to copy to and auditors no
good copy to restore from: they are left out. What is deleted leaves an empty file behind.

usage: python -m localcloud.cloud.swift_server
"""

import array
import logging
import os
import resource
import signal
import sys
import time
import traceback
from typing import Any

import eventlet
import eventlet.hubs
import eventlet.wsgi
from swift.common import utils

from localcloud.cloud import object_storage
from localcloud.cloud.object_storage import DEVICES, DISK, FOLDER, STORAGE_PORTS
from localcloud.cloud.services import SWIFT

# 2 to this power folders hold the objects, which are found by it: it never changes.
PARTITION_POWER = 6
# For the requests that run at SIGTERM; supervisord waits 10.
STOP_S = 8
UPDATE_SPACING_S = 15


class ToStandardError(logging.Handler):
    """Takes the place of the system's log, the only one that Swift knows; supervisord keeps the lines."""

    def __init__(self, **_: object) -> None:
        super().__init__()

    def createLock(self) -> None:  # noqa: N802  logging's name
        """Has no lock: both green and native threads log, and a line is one write."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.created))
        os.write(sys.stderr.fileno(), f"{moment} {record.levelname} {self.format(record)}\n".encode())


def prepare_process() -> None:
    """Makes this process one of green threads, with logs that are seen and files enough."""
    utils.set_swift_dir(str(FOLDER))  # before more of Swift is imported, which would read /etc/swift
    eventlet.hubs.use_hub(utils.get_hub())
    utils.monkey_patch()
    utils.logs.ThreadSafeSysLogHandler = ToStandardError
    # It warns of every option that it shares with the section of another.
    logging.getLogger("keystonemiddleware._common.config").setLevel(logging.ERROR)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each request has several connections


def write_ring(server: str, port: int) -> None:
    """Writes the ring of a server, by which the proxy finds it: every partition is on the one disk.

    Args:
        server: The name of the server.
        port: Where it listens.
    """
    from swift.common.ring import RingData

    address = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    device = {"id": 0, "region": 1, "zone": 1, "device": DISK, "weight": 1.0, "meta": server, **address}
    partitions = array.array("H", [0] * 2**PARTITION_POWER)
    RingData([partitions], [device], 32 - PARTITION_POWER).save(str(FOLDER / f"{server}.ring.gz"))


def serve(server: str, address: str, port: int) -> Any:
    """Serves an application in a green thread, which it returns; the process ends when it cannot go on.

    Args:
        server: The name of its configuration file.
        address: Where it listens.
        port: The port there.
    """
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.wsgi import loadapp

    application = loadapp(str(FOLDER / f"{server}.conf"), {"log_name": server})
    listener = eventlet.listen((address, port), backlog=512, reuse_port=False)

    def run() -> None:
        try:
            eventlet.wsgi.server(
                listener,
                application,
                utils.NullLogger(),
                protocol=SwiftHttpProtocol,
                socket_timeout=60,
                capitalize_response_headers=False,  # clients of S3 know "ETag", not "Etag"
            )
        except Exception:
            os.write(sys.stderr.fileno(), traceback.format_exc().encode())
        os.kill(os.getpid(), signal.SIGTERM)

    return eventlet.spawn(run)


def update() -> None:
    """Brings up to date what was not at once: the totals of accounts, and listings whose server was busy or killed."""
    from swift.container.updater import ContainerUpdater
    from swift.obj.updater import ObjectUpdater

    options = object_storage.storage_options()
    containers, objects = ContainerUpdater(options), ObjectUpdater(options)
    while True:
        for path in containers.get_paths():
            containers.container_sweep(path)
        objects.begin = time.time()
        objects.object_sweep(str(DEVICES / DISK))
        eventlet.sleep(UPDATE_SPACING_S)


def wait_for_sigterm() -> None:
    """Returns at SIGTERM, which reaches the hub through a pipe: it would go on polling otherwise."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, lambda *_: None)
    eventlet.hubs.trampoline(reader, read=True)


def main() -> None:
    """Serves until it is told to stop."""
    prepare_process()
    for server, port in STORAGE_PORTS.items():
        write_ring(server, port)
    for server, port in STORAGE_PORTS.items():
        serve(server, "127.0.0.1", port)
    proxy = serve("proxy", "0.0.0.0", SWIFT.port)  # noqa: S104  inside the box, whose only link leads to the machine
    eventlet.spawn(update)
    wait_for_sigterm()
    proxy.kill(SystemExit())  # it takes no more requests, and ends with the last that runs
    with eventlet.Timeout(STOP_S, False):
        proxy.wait()
    os._exit(0)  # the hub and eventlet's native threads would keep us


if __name__ == "__main__":
    main()
