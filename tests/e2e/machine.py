"""What the machine looks like: the parts that a localcloud could leave something behind in."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

NUMBER = int(os.environ.get("ASTROK8S_E2E_NUMBER", "7"))
"""Number of the tests' own localcloud; two runs beside each other need two."""

OTHERS = tuple(f"lc{number}" for number in range(8) if number != NUMBER)
"""Devices and cgroups of other localclouds, which live their own life."""


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _ours(name: str) -> bool:
    return not name.split("-")[0].split("/")[0].startswith(OTHERS)


def _processes(home: Path) -> Iterator[str]:
    """Yield the processes that belong to the localcloud in ``home``."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in command and "pytest" not in command:
            yield command


def _cgroups() -> Iterator[str]:
    root = Path("/sys/fs/cgroup")
    for hierarchy in [root, *root.iterdir()]:
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            for group in hierarchy.glob("lc*"):
                if _ours(group.name):
                    yield str(group)


def _iptables() -> Iterator[str]:
    for command in ("iptables-save", "ip6tables-save"):
        for line in _run(command).splitlines():
            if line.startswith(("-A", ":")):
                yield line.split(" [")[0]


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield line.split()[4]


def _files() -> Iterator[str]:
    for folder in (".config/openstack", ".kube"):
        for path in (Path.home() / folder).glob("**/*"):
            yield str(path)


def snapshot(home: Path) -> dict[str, set[str]]:
    """Return everything to compare, by kind."""
    links = [link["ifname"] for link in json.loads(_run("ip", "-json", "link"))]
    spaces = [entry["name"] for entry in json.loads(_run("ip", "-json", "netns", "list") or "[]") if entry]
    routes = _run("ip", "route", "show", "table", "all").splitlines()
    return {
        "links": {name for name in links if _ours(name)},
        "network namespaces": {name for name in spaces if _ours(name)},
        "routes": {route for route in routes if not any(f"dev {other}" in route for other in OTHERS)},
        "iptables rules": set(_iptables()),
        "mounts": {mount for mount in _mounts() if _ours(Path(mount).name)},
        "cgroups": set(_cgroups()),
        "processes": set(_processes(home)),
        "files": set(_files()),
        "run": {str(p) for p in Path("/run").glob("*") if p.name not in ("netns", "lock")},
        "sysctls": set(_sysctls()),
    }


VOLATILE = ("-nr", "-state", "ns_last_pid", "kernel/random", "_count")
"""What the kernel counts in files that one may write."""


def _setting(path: Path) -> bool:
    """Tell a setting from a folder and from a counter, which nobody may write."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # gone with its device
    return stat.S_ISREG(mode) and bool(mode & stat.S_IWUSR)


def _sysctls() -> Iterator[str]:
    for folder in ("net", "vm", "kernel", "fs"):
        for path in Path("/proc/sys", folder).rglob("*"):
            name = str(path.relative_to("/proc/sys"))
            # a localcloud's own devices have some, which come and go with them
            if any(word in name for word in VOLATILE) or "/lc" in name or not _setting(path):
                continue
            try:
                yield f"{name}={path.read_text().strip()}"
            except OSError:
                continue  # for writing only
