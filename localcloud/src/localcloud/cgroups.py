"""The cgroups of nodes; a node's kubelet fills them, we remove them with the node."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
"""What the kubelet limits pods with."""


def check() -> str:
    """Return which version there is.

    Raises:
        RuntimeError: Controllers are missing, or nodes cannot be given them.
    """
    unified = ROOT / "cgroup.controllers"
    there = unified.read_text().split() if unified.exists() else [path.name for path in ROOT.glob("*")]
    if missing := [name for name in CONTROLLERS if name not in there]:
        raise RuntimeError(
            f"{ROOT} has no cgroup controller {', '.join(missing)}, which limit pods; "
            "mount them, or give them to this container or virtual machine"
        )
    # With v2 a cgroup has processes or hands controllers on. The machine's own root, which is of no type, may do both.
    if (ROOT / "cgroup.type").exists() and (ROOT / "cgroup.procs").read_text().strip():
        given = (ROOT / "cgroup.subtree_control").read_text().split()
        if missing := [name for name in CONTROLLERS if name not in given]:
            raise RuntimeError(
                f"{ROOT} is a container's own cgroup and has processes in it, so nodes get no controller "
                f"{', '.join(missing)}; start the container with the machine's cgroups (docker run --cgroupns=host), "
                "or have its first process move all of them into a cgroup below"
            )
    return f"cgroup v{2 if unified.exists() else 1}"


def remove(name: str) -> None:
    """Remove a cgroup and what is below it, in every hierarchy. Its processes must be gone.

    Args:
        name: Path below the root of a hierarchy, as ``/lc0/node``.
    """
    hierarchies = (
        [ROOT] if (ROOT / "cgroup.controllers").exists() else [p for p in ROOT.iterdir() if not p.is_symlink()]
    )
    for hierarchy in hierarchies:
        top = hierarchy / name.lstrip("/")
        for folder, _, _ in os.walk(top, topdown=False):
            Path(folder).rmdir()
