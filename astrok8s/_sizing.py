"""How large an executor may be, so that those asked for fit on the nodes.

With E executors on N nodes, at most ``ceil(E / N)`` share a node. Of what the smallest node has left besides the pods
that run there, a fifth stays free: for pods that come later, and for what a pod uses beyond its request. The rest is
shared by that many executors; of an executor's memory 60 % is the JVM's heap and 40 % is for Python workers and the
JVM's own needs, which is Spark's own rule for Python (``spark.kubernetes.memoryOverheadFactor`` 0.4 of the heap) with
some more for pandas and Arrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astrok8s._errors import AttachError

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

KEEP_FREE = 0.2
HEAP = 0.6
MOST_CORES = 4
"""Who needs larger executors than this says so, by spark.executor.cores."""
MOST_MEMORY = 4 * 1024
"""MiB; who needs larger executors than this says so, by spark.executor.memory."""
LEAST_MEMORY = 1024
"""MiB; below it a JVM with a Python worker has no room."""


@dataclass(frozen=True)
class Room:
    """What a node has left: cores and MiB."""

    cores: float
    memory: float


@dataclass(frozen=True)
class ExecutorSize:
    """What an executor asks for.

    Attributes:
        slots: Tasks that it runs at a time.
        cores: The pod's request, in cores.
        heap: MiB of the JVM.
        overhead: MiB beyond the heap.
    """

    slots: int
    cores: float
    heap: int
    overhead: int


def executor_size(rooms: Sequence[Room], executors: int) -> ExecutorSize:
    """Return the size by the rule of this module.

    Args:
        rooms: What each worker node has left.
        executors: How many are wanted.

    Raises:
        AttachError: They would be too small to work.
    """
    if not rooms:
        raise AttachError("the cluster has no worker node that is ready; wait for it, or provision it again")
    share = (1 - KEEP_FREE) / math.ceil(executors / len(rooms))
    cores = min(MOST_CORES, min(room.cores for room in rooms) * share)
    memory = min(MOST_MEMORY, min(room.memory for room in rooms) * share)
    if memory < LEAST_MEMORY or cores < 0.1:
        raise AttachError(
            f"{executors} executors on {len(rooms)} nodes would have {cores:.2f} cores and {memory:.0f} MiB each, less "
            f"than 0.1 and {LEAST_MEMORY}; ask for fewer executors, resize the cluster, or stop what runs on it"
        )
    heap = int(memory * HEAP)
    return ExecutorSize(max(1, math.floor(cores + 0.5)), math.floor(cores * 100) / 100, heap, int(memory) - heap)


def largest(rooms: Sequence[Room]) -> ExecutorSize:
    """Return the size of executors when their number does not matter: one that fits on the roomiest node.

    Raises:
        AttachError: It would be too small to work.
    """
    return executor_size(sorted(rooms, key=lambda room: (room.memory, room.cores))[-1:], 1)


def beside(rooms: Sequence[Room], cores: float = 0.2, memory: float = 1536) -> list[Room]:
    """Return what nodes have left once a driver is on the roomiest of them, where Kubernetes would put it.

    Args:
        rooms: What each node has left before.
        cores: What the driver's pod asks for; the role spark_connect's default.
        memory: MiB of the same.
    """
    order = sorted(rooms, key=lambda room: room.memory)
    return [*order[:-1], *(Room(room.cores - cores, room.memory - memory) for room in order[-1:])]


def fitting(rooms: Sequence[Room], size: ExecutorSize) -> int:
    """Return how many executors of a size fit on the nodes, with a fifth of each node left free; at least one."""
    memory = size.heap + size.overhead
    return max(
        1,
        sum(
            min(
                int(room.cores * (1 - KEEP_FREE) / size.cores + 0.01),
                int(room.memory * (1 - KEEP_FREE) / memory + 0.01),
            )
            for room in rooms
        ),
    )


def rooms(api: CoreV1Api) -> list[Room]:
    """Return what each node that takes ordinary pods has left."""
    from kubernetes.utils.quantity import parse_quantity

    def used(pods: Iterable[Any], resource: str) -> float:
        requests = (
            (container.resources.requests or {}).get(resource, "0")
            for pod in pods
            for container in pod.spec.containers
            if container.resources
        )
        return sum(float(parse_quantity(request)) for request in requests)

    running = api.list_pod_for_all_namespaces(field_selector="status.phase!=Succeeded,status.phase!=Failed").items
    found = []
    for node in api.list_node().items:
        if not _takes_pods(node):
            continue
        pods = [pod for pod in running if pod.spec.node_name == node.metadata.name]
        has = node.status.allocatable
        cores = float(parse_quantity(has["cpu"])) - used(pods, "cpu")
        memory = (float(parse_quantity(has["memory"])) - used(pods, "memory")) / 2**20
        found.append(Room(cores, memory))
    return found


def _takes_pods(node: Any) -> bool:
    ready = any(state.type == "Ready" and state.status == "True" for state in node.status.conditions or [])
    tainted = any(taint.effect in ("NoSchedule", "NoExecute") for taint in node.spec.taints or [])
    return ready and not tainted and not node.spec.unschedulable
