"""Memory and CPU time of the processes of nodes, as the kernel counts them.

The components of a node share a PID namespace; its pods have others, below the node's cgroup.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

IDLE = 60.0
"""Seconds of looking at a cluster that has nothing to do."""

TICK = os.sysconf("SC_CLK_TCK")
"""Units of CPU time in a second."""


def _processes() -> Iterator[Path]:
    yield from Path("/proc").glob("[0-9]*")


def _text(path: Path) -> str:
    """Return a file of /proc; nothing if its process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns/pid").readlink())
    except OSError:
        return ""


def components(node: Path) -> list[Path]:
    """Return the processes of a node's own components, without those in its pods.

    Args:
        node: The node's folder.
    """
    machine = (node / "machine.pid").read_text().strip()
    (first,) = _text(Path(f"/proc/{machine}/task/{machine}/children")).split()
    wanted = _namespace(Path("/proc", first))
    return [process for process in _processes() if _namespace(process) == wanted]


def pods(cgroup: str) -> list[Path]:
    """Return the processes of the pods below a cgroup."""
    return [process for process in _processes() if f"{cgroup}/" in _text(process / "cgroup")]


def memory(processes: list[Path]) -> float:
    """Return the MB that processes hold: private pages, and their share of shared ones (PSS)."""
    total = 0
    for process in processes:
        for line in _text(process / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def _cpu(processes: list[Path]) -> dict[Path, int]:
    used = {}
    for process in processes:
        if fields := _text(process / "stat").rpartition(")")[2].split():
            used[process] = int(fields[11]) + int(fields[12])
    return used


def idle_cpu(processes: list[Path], seconds: float = IDLE) -> float:
    """Return the share of one core that processes use while nobody asks anything of them, in percent."""
    before, begun = _cpu(processes), time.monotonic()
    time.sleep(seconds)
    after = _cpu(processes)
    used = sum(after[process] - before[process] for process in after if process in before)
    return 100 * used / TICK / (time.monotonic() - begun)
