"""How many nodes a machine can have at once.

A kernel gives each user a number of inotify instances, by which programs see files change; Debian's is 128. A node
whose kubelet gets none never becomes Ready, and says so only in its own log: so it is refused beforehand.
"""

from collections.abc import Iterable
from pathlib import Path

from localcloud.errors import LocalcloudError

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Counted below /proc/*/fd: those of kubelet (5), containerd and kube-proxy, …
_OF_A_NODE = 7
# … and of a control plane's apiserver (3) and controller manager (4), on node 0.
_OF_A_CONTROL_PLANE = 7
# For what else root runs on the machine.
_OF_OTHERS = 9


def check(there: Iterable[int], new: Iterable[int], *, limit: Path = LIMIT) -> None:
    """Checks that a box can have more nodes.

    Args:
        there: The numbers of the nodes that it has, of all clusters.
        new: Those of the nodes that it should have beside them.
        limit: The file that says how many inotify instances a user may have.

    Raises:
        LocalcloudError: It cannot.
    """
    available = int(limit.read_text(encoding="ascii"))
    used, wanted = _needed(there), _needed(new)
    enough = used + wanted + _OF_OTHERS
    if enough > available:
        raise LocalcloudError(
            f"The new nodes need {wanted} inotify instances; the nodes that are there have {used}, and this machine "
            f"gives a user {available}.",
            remedy=f"Delete a cluster, or run `sysctl fs.inotify.max_user_instances={enough}` or more.",
        )


def _needed(numbers: Iterable[int]) -> int:
    return sum(_OF_A_NODE if number else _OF_A_NODE + _OF_A_CONTROL_PLANE for number in numbers)
