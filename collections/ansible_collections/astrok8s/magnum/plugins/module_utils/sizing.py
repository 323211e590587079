# Copyright: astrok8s contributors
# Apache-2.0
"""How an executor divides what it may take. Only Python's own library: the server of Spark Connect reads it, too.

Of an executor's memory 60 % is the JVM's heap, and the rest is for Python and the JVM itself: Spark's own rule is an
overhead of 40 % of the heap where there is Python (`spark.kubernetes.memoryOverheadFactor`), and pandas and Arrow need
more.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Larger executors are asked for by spark.executor.cores and spark.executor.memory.
MOST_CORES, MOST_MIB = 4.0, 4096.0
# With less, a JVM beside a Python worker has no room.
LEAST_CORES, LEAST_MIB = 0.1, 1024.0
# Of what is left of a node, this much stays free: for pods that come later, and what a pod uses beyond its request.
FREE = 0.2

_HEAP = 0.6
# What Spark's own servers and the cluster's take of a worker.
_OTHERS_CORES, _OTHERS_MIB = 0.5, 2048.0
_UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)
}


@dataclass(frozen=True)
class Room:
    """What a node has left, or what an executor may take.

    Attributes:
        cores: Cores.
        mib: Memory, in MiB.
    """

    cores: float
    mib: float


def amount(quantity: str) -> float:
    """Returns the number that a quantity of Kubernetes says, such as 1900m or 4Gi.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", quantity)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{quantity!r} is no quantity of Kubernetes")
    return float(found[1]) * _UNITS[found[2]]


def room_on_any(workers: Iterable[Mapping[str, str]]) -> Room:
    """Returns what an executor may take so that one fits on every worker, beside what else runs there.

    Args:
        workers: What Kubernetes says that each has to give (`status.allocatable`); at least one.
    """
    rooms = [Room(amount(worker["cpu"]), amount(worker["memory"]) / 2**20) for worker in workers]
    cores = (min(room.cores for room in rooms) - _OTHERS_CORES) * (1 - FREE)
    mib = (min(room.mib for room in rooms) - _OTHERS_MIB) * (1 - FREE)
    return Room(min(MOST_CORES, max(LEAST_CORES, cores)), min(MOST_MIB, max(LEAST_MIB, mib)))


def part_of(room: Room, parts: int) -> Room:
    """Returns one of the equal parts of a room, as small as an executor may be at least."""
    return Room(max(LEAST_CORES, room.cores / parts), max(LEAST_MIB, room.mib / parts))


def executor_properties(room: Room) -> dict[str, str]:
    """Returns Spark's properties for an executor that takes a room."""
    heap = int(room.mib * _HEAP)
    return {
        "spark.executor.cores": str(max(1, round(room.cores))),  # how many tasks it runs at a time
        "spark.kubernetes.executor.request.cores": f"{math.floor(room.cores * 100) / 100}",
        "spark.executor.memory": f"{heap}m",
        "spark.executor.memoryOverhead": f"{int(room.mib) - heap}m",
    }
