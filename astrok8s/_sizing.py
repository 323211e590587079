"""How large an executor may be, so that all of them fit on the nodes.

With E executors on N nodes, at most ceil(E / N) share a node. Of what the fullest node has left, a fifth stays free,
and the rest is shared by that many executors.
"""

import math
from collections.abc import Sequence
from typing import Any

from ansible_collections.astrok8s.magnum.plugins.module_utils.sizing import (
    FREE,
    LEAST_CORES,
    LEAST_MIB,
    MOST_CORES,
    MOST_MIB,
    Room,
    amount,
    executor_properties,
)

from astrok8s._kubernetes import CoreV1Api
from astrok8s.errors import AttachError

__all__ = ["Room", "executor_properties", "executor_room", "rooms"]


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
    share = (1 - FREE) / math.ceil(executors / len(rooms))
    cores = min(MOST_CORES, min(room.cores for room in rooms) * share)
    mib = min(MOST_MIB, min(room.mib for room in rooms) * share)
    if cores < LEAST_CORES or mib < LEAST_MIB:
        raise AttachError(
            f"{executors} executors on {len(rooms)} nodes would have {cores:.2f} cores and {mib:.0f} MiB each, "
            f"less than {LEAST_CORES} and {LEAST_MIB:.0f}.",
            remedy="Ask for fewer executors, resize the cluster, or stop what runs on it.",
        )
    return Room(cores, mib)


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
            left = {name: amount(node.status.allocatable[name]) - _requested(pods, name) for name in ("cpu", "memory")}
            found.append(Room(left["cpu"], left["memory"] / 2**20))
    return found


def _requested(pods: Sequence[Any], resource: str) -> float:
    containers = [container for pod in pods for container in pod.spec.containers if container.resources]
    return sum(amount((container.resources.requests or {}).get(resource, "0")) for container in containers)


def _takes_pods(node: Any) -> bool:
    ready = any(state.type == "Ready" and state.status == "True" for state in node.status.conditions or [])
    tainted = any(taint.effect in ("NoSchedule", "NoExecute") for taint in node.spec.taints or [])
    return ready and not tainted and not node.spec.unschedulable
