"""Runs a Spark Connect server in its pod, and ends it once nobody has been connected for a while.

usage: server.py IDLE_SECONDS PROGRAM ARGUMENT…

Where object storage is set ($S3_ENDPOINT) and does not answer, the server runs without an event log: Spark would not
start with it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

PORT = 15002
"""Where Spark Connect listens."""

ESTABLISHED, LISTEN = "01", "0A"
"""States of a connection in /proc/net/tcp (the kernel's TCP_ESTABLISHED and TCP_LISTEN)."""

LOOK = 5.0
"""Seconds between two looks at the connections."""


def states() -> set[str]:
    """Return the states of the server's connections: LISTEN once it is up, ESTABLISHED while a client is connected."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if int(local.rpartition(":")[2], 16) == PORT:
                found.add(state)
    return found


def answers(url: str) -> bool:
    """Return whether somebody listens at a URL's host and port."""
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "", place.port or 443), timeout=3).close()
    except OSError as error:
        print(f"object storage at {url} does not answer ({error}): this server writes no event log", flush=True)
        return False
    return True


def main(idle: str, *command: str) -> int:
    """Run the server; return its exit code, or 0 if it was ended for idleness."""
    words = list(command)
    endpoint = os.environ.get("S3_ENDPOINT")
    if endpoint and not answers(endpoint):
        words[1:1] = ["--conf", "spark.eventLog.enabled=false"]
    server = subprocess.Popen(words)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    seen = time.monotonic()
    while True:
        try:
            return server.wait(timeout=LOOK)
        except subprocess.TimeoutExpired:
            pass
        now = states()
        if ESTABLISHED in now or LISTEN not in now:
            seen = time.monotonic()
        elif time.monotonic() - seen > float(idle):
            print(f"nobody has been connected for {idle} s: the server ends", flush=True)
            server.terminate()
            server.wait()
            return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
