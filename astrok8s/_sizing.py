"""How large an executor may be, so that all of them fit on the nodes.

With E executors on N nodes, at most ceil(E / N) share a node. Of what the fullest node has left, a fifth stays free,
for pods that come later and for what a pod uses beyond its request; the rest is shared by that many executors. Of an
executor's memory 60 % is the JVM's heap, and the rest is for Python and the JVM itself: Spark's own rule is an overhead
of 40 % of the heap where there is Python (`spark.kubernetes.memoryOverheadFactor`), and pandas and Arrow need more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from astrok8s._kubernetes import CoreV1Api
from astrok8s.errors import AttachError

_FREE = 0.2
_HEAP = 0.6
# Larger executors are asked for by spark.executor.cores and spark.executor.memory.
_MOST_CORES, _MOST_MIB = 4.0, 4096.0
# With less, a JVM beside a Python worker has no room.
_LEAST_CORES, _LEAST_MIB = 0.1, 1024.0


@dataclass(frozen=True)
class Room:
    """What a node has left, or what an executor may take.

    Attributes:
        cores: Cores.
        mib: Memory, in MiB.
    """

    cores: float
    mib: float


def executor_room(rooms: Sequence[Room], executors: int) -> Room:
    """Returns what one executor may take.

    Args:
        rooms: What each worker node has left.
        executors: How many there will be.

    Raises:
        AttachError: There is no node, or they would be too small to work.
    """
    if not rooms:
        raise AttachError("The cluster has no worker node that is ready.", remedy="Provision it again.")
    share = (1 - _FREE) / math.ceil(executors / len(rooms))
    cores = min(_MOST_CORES, min(room.cores for room in rooms) * share)
    mib = min(_MOST_MIB, min(room.mib for room in rooms) * share)
    if cores < _LEAST_CORES or mib < _LEAST_MIB:
        raise AttachError(
            f"{executors} executors on {len(rooms)} nodes would have {cores:.2f} cores and {mib:.0f} MiB each, "
            f"less than {_LEAST_CORES} and {_LEAST_MIB:.0f}.",
            remedy="Ask for fewer executors, resize the cluster, or stop what runs on it.",
        )
    return Room(cores, mib)


def executor_properties(room: Room) -> dict[str, str]:
    """Returns Spark's properties for an executor that takes a room."""
    heap = int(room.mib * _HEAP)
    return {
        "spark.executor.cores": str(max(1, round(room.cores))),  # how many tasks it runs at a time
        "spark.kubernetes.executor.request.cores": f"{math.floor(room.cores * 100) / 100}",
        "spark.executor.memory": f"{heap}m",
        "spark.executor.memoryOverhead": f"{int(room.mib) - heap}m",
    }


def rooms(api: CoreV1Api) -> list[Room]:
    """Returns what each node has left that takes pods like ours.

    Args:
        api: The API of the cluster.
    """
    running = api.list_pod_for_all_namespaces(field_selector="status.phase!=Succeeded,status.phase!=Failed").items
    found = []
    for node in api.list_node().items:
        if _takes_pods(node):
            pods = [pod for pod in running if pod.spec.node_name == node.metadata.name]
            left = {name: _amount(node.status.allocatable[name]) - _requested(pods, name) for name in ("cpu", "memory")}
            found.append(Room(left["cpu"], left["memory"] / 2**20))
    return found


def _requested(pods: Sequence[Any], resource: str) -> float:
    containers = [container for pod in pods for container in pod.spec.containers if container.resources]
    return sum(_amount((container.resources.requests or {}).get(resource, "0")) for container in containers)


def _amount(quantity: str) -> float:
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(quantity))  # type: ignore[no-untyped-call]


def _takes_pods(node: Any) -> bool:
    ready = any(state.type == "Ready" and state.status == "True" for state in node.status.conditions or [])
    tainted = any(taint.effect in ("NoSchedule", "NoExecute") for taint in node.spec.taints or [])
    return ready and not tainted and not node.spec.unschedulable
