"""What localcloud needs of the machine: each a function that says what is there, or raises with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from localcloud import cgroups

COMMANDS = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "tini": "tini",
    "mount": "mount",
}
"""Programs that nodes need, and the Debian package of each."""

FREE = 3 * 2**30
"""Bytes of disk for a cloud and a first cluster: below 1 GiB nodes evict pods, see `localcloud.cluster.config`."""


class LocalcloudError(Exception):
    """Something a user can act on: its text has the fact, the values and the remedy."""


def system() -> str:
    """Return the kernel's name; it must be Linux."""
    if sys.platform != "linux":
        raise LocalcloudError(f"localcloud needs Linux, this is {sys.platform}; use a cloud of clouds.yaml instead")
    return f"Linux {os.uname().release}"


def root() -> str:
    """Return who we are; it must be root."""
    if os.geteuid() != 0:
        raise LocalcloudError(
            f"localcloud makes network namespaces and mounts, which needs root; you are uid {os.geteuid()}. "
            "Run it with sudo, or use a cloud of clouds.yaml instead"
        )
    return "root"


def programs() -> str:
    """Return which programs are there; all must be."""
    missing = {package for command, package in COMMANDS.items() if not shutil.which(command)}
    if not Path("/usr/lib/cni/bridge").exists():
        missing.add("containernetworking-plugins")
    if missing:
        packages = " ".join(sorted(missing))
        raise LocalcloudError(f"programs of these packages are missing: {packages}. Remedy: apt-get install {packages}")
    return ", ".join([*COMMANDS, "network plugins"])


def kernel() -> str:
    """Return what the kernel has; it must have what containers are made of."""
    known = "overlay" in Path("/proc/filesystems").read_text().split()
    if not known and subprocess.run(["modprobe", "--quiet", "overlay"], check=False).returncode:
        raise LocalcloudError("the kernel has no overlay file system, which images need. Remedy: modprobe overlay")
    return f"overlay file system, {cgroups.check()}"


def disk(home: Path) -> str:
    """Return how much disk is free below a home folder, which need not exist yet."""
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < FREE:
        raise LocalcloudError(
            f"{folder} has {free / 2**30:.1f} GiB of free disk, and a first cluster needs {FREE / 2**30:.0f} GiB; "
            "make room, or choose another --home"
        )
    return f"{free / 2**30:.0f} GiB free at {folder}"


def check(home: Path) -> None:
    """Refuse a machine on which clusters cannot run.

    Raises:
        LocalcloudError: Names what is missing, and the remedy.
    """
    system()
    root()
    programs()
    kernel()
    if not home.exists():
        disk(home)
