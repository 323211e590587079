"""The cluster controller: one supervised process, with a thread per cluster.

Each thread reads its cluster's spec, brings the cluster there, and then watches it. All that
it knows is on disk or in supervisord, so it can be killed and started at any time.

usage: python -m localcloud.cluster.controller HOME IMAGES
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from localcloud import build
from localcloud.cluster.node import NETWORK
from localcloud.cluster.reconciler import Reconciler, Superseded
from localcloud.cluster.spec import Spec, Status
from localcloud.settings import Settings
from localcloud.state import DamagedStateError, read_json, write_json

SCAN = 0.2
"""Seconds between two looks for new specs."""

OBSERVE = 5.0
"""Seconds between two looks at a cluster that is ready."""

RETRIES = 5
"""Tries of a change before it is told as failed; it goes on being tried."""


def log(text: str) -> None:
    """Write a line to the controller's log, which is what supervisord keeps of its output."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stdout.flush()


class Networks:
    """Numbers of clusters, which give them their address ranges."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._limit = settings.room

    def number(self, uuid: str) -> int:
        """Return a cluster's number, the lowest free one if it has none yet.

        Raises:
            RuntimeError: All ranges are taken.
        """
        with self._lock:
            path = self._settings.clusters / uuid / NETWORK
            if (known := read_json(path, int)) is not None:
                return known
            taken = {read_json(other, int) for other in self._settings.clusters.glob(f"*/{NETWORK}")}
            free = [number for number in range(self._limit) if number not in taken]
            if not free:
                raise RuntimeError(f"localcloud has room for {self._limit} clusters, and that many exist; delete one")
            write_json(path, free[0])
            return free[0]


def work(settings: Settings, artifacts: build.Artifacts, networks: Networks, uuid: str) -> None:
    """Look after one cluster until it is gone."""
    folder = settings.clusters / uuid
    failures = 0
    while True:
        try:
            spec = Spec.read(folder)
        except DamagedStateError as error:
            fail(folder, None, error)
            time.sleep(OBSERVE)  # until somebody has restored it
            continue
        if spec is None:
            return
        try:
            reconciler = Reconciler(settings, artifacts, uuid, networks.number(uuid), log)
            log(f"{spec.name} ({uuid}): generation {spec.generation}")
            status = reconciler.run(spec)
            status.write(folder)
            log(f"{spec.name}: {status.phase}")
            if status.phase == "gone":
                return
            reconciler.complete()
            failures = 0
            watch(folder, spec, reconciler)
        except Superseded:
            continue
        except (OSError, RuntimeError, ValueError) as error:
            failures += 1
            log(f"{spec.name}: {type(error).__name__}: {error}")
            if failures >= RETRIES or isinstance(error, ValueError):
                fail(folder, spec, error)
            wait_for_change(folder, spec, min(30.0, 2.0**failures))


def fail(folder: Path, spec: Spec | None, error: Exception) -> None:
    """Tell that a cluster cannot be brought to its spec (None: not even that is known), and why."""
    try:
        known = Status.read(folder) or Status(0, "working")
    except DamagedStateError as damage:
        log(str(damage))
        known = Status(0, "working")  # it only says what was seen: the next look says it again
    generation = spec.generation if spec else known.generation
    replace(known, generation=generation, phase="failed", waiting_for=str(error)).write(folder)


def gone(folder: Path) -> bool:
    """Return whether a cluster was deleted to its end."""
    try:
        status = Status.read(folder)
    except DamagedStateError:
        return False  # its thread tells
    return status is not None and status.phase == "gone"


def wait_for_change(folder: Path, spec: Spec, seconds: float) -> bool:
    """Return True as soon as the spec on disk is another one, False after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        current = Spec.read(folder)
        if current is None or current.generation != spec.generation:
            return True
        time.sleep(SCAN)
    return False


def watch(folder: Path, spec: Spec, reconciler: Reconciler) -> None:
    """Keep the status of a ready cluster true until Magnum wants something else."""
    while not wait_for_change(folder, spec, OBSERVE):
        status = reconciler.observe(spec)
        if status != Status.read(folder):
            status.write(folder)


def main() -> None:
    """Start a thread for each cluster that has a spec."""
    settings = Settings.load(Path(sys.argv[1]))
    artifacts = build.everything(Path(sys.argv[2]), log)
    networks = Networks(settings)
    threads: dict[str, threading.Thread] = {}
    while True:
        for spec in settings.clusters.glob("*/spec.json"):
            uuid = spec.parent.name
            if (uuid in threads and threads[uuid].is_alive()) or gone(spec.parent):
                continue
            arguments = (settings, artifacts, networks, uuid)
            threads[uuid] = threading.Thread(target=work, args=arguments, name=uuid, daemon=True)
            threads[uuid].start()
        time.sleep(SCAN)


if __name__ == "__main__":
    main()
