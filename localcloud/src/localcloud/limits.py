"""Limits of the machine that all nodes share."""

from __future__ import annotations

from pathlib import Path

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
PER_NODE = 7
"""inotify instances of a node: 5 of the kubelet, 1 each of containerd and kube-proxy (counted in /proc/PID/fd)."""

PER_CONTROL_PLANE = 7
"""What the control plane's components add: 3 of kube-apiserver, 4 of kube-controller-manager (counted likewise)."""


def inotify_in_use() -> int:
    """Return the number of inotify instances that root's processes hold."""
    used = 0
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            used += sum(str(entry.readlink()) == "anon_inode:inotify" for entry in folder.iterdir())
        except OSError:
            continue  # the process ended meanwhile
    return used


def check_inotify(nodes: int, control_planes: int) -> str:
    """Refuse nodes that the kernel has no inotify instances for: their kubelets could not start.

    Args:
        nodes: Number of nodes to be started.
        control_planes: How many of them run a control plane.

    Returns:
        How many are in use.

    Raises:
        ValueError: They do not fit; with the command that lets them.
    """
    limit = int(INOTIFY.read_text())
    used = inotify_in_use()
    needed = nodes * PER_NODE + control_planes * PER_CONTROL_PLANE
    if used + needed > limit:
        raise ValueError(
            f"the kernel allows {limit} inotify instances, {used} are in use and {nodes} more nodes need {needed}; "
            f"let it allow more (sysctl -w fs.inotify.max_user_instances=1024), or run fewer nodes on this machine"
        )
    return f"{used} of {limit} instances are in use"
