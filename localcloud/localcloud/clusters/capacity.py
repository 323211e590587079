"""How many nodes a machine can have at once.

A kernel gives each user a number of inotify instances, by which programs see files change; Debian's is 128. A node
whose kubelet gets none never becomes Ready, and says so only in its own log: so it is refused beforehand.
"""

import ctypes
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from localcloud.errors import LocalcloudError

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Counted below /proc/*/fd: those of kubelet (5), containerd and kube-proxy, …
_OF_A_NODE = 7
# … and of a control plane's apiserver (3) and controller manager (4), on node 0.
_OF_A_CONTROL_PLANE = 7
# For what else root runs on the machine.
_OF_OTHERS = 9


def free(wanted: int) -> int:
    """Returns how many inotify instances the kernel gives this user now, `wanted` at most.

    It is asked for them, and gets them back at once: a box does not see the processes of others, and the limit is one
    for all of them.
    """
    libc = ctypes.CDLL(None)
    instances: list[int] = []
    while len(instances) < wanted and (instance := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        instances.append(instance)
    for instance in instances:
        os.close(instance)
    return len(instances)


def check(there: Iterable[int], new: Iterable[int], *, limit: Path = LIMIT, free: Callable[[int], int] = free) -> None:
    """Checks that a box can have more nodes.

    Args:
        there: The numbers of the nodes that it has, of all clusters, also those that are only about to start.
        new: Those of the nodes that it should have beside them.
        limit: The file that says how many inotify instances a user may have.
        free: Returns how many of a number are free at this moment, on the whole machine.

    Raises:
        LocalcloudError: It cannot.
    """
    available = int(limit.read_text(encoding="ascii"))
    used, wanted = _needed(there), _needed(new)
    lacking = max(used + wanted + _OF_OTHERS - available, wanted - free(wanted))
    if lacking > 0:
        raise LocalcloudError(
            f"The new nodes need {wanted} inotify instances, {lacking} more than are left: this machine gives a user "
            f"{available}, and the nodes that are there have {used}; others may have some, too.",
            remedy=f"Delete a cluster, or run `sysctl fs.inotify.max_user_instances={available + lacking}` or more.",
        )


def _needed(numbers: Iterable[int]) -> int:
    return sum(_OF_A_NODE if number else _OF_A_NODE + _OF_A_CONTROL_PLANE for number in numbers)
