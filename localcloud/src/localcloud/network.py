"""The machine's end of localcloud's network: one bridge that every node is plugged into."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

from localcloud.settings import Settings

NAMESPACES = Path("/run/netns")
"""Where `ip netns` keeps the names of network namespaces: a mount that its first use makes."""


NOWHERE = "1000000"
"""Metric of routes that are used when the bridge's are gone."""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _json(*arguments: str) -> list[dict[str, Any]]:
    return [entry for entry in json.loads(_ip("-json", *arguments) or "[]") if entry]


def _devices(settings: Settings) -> list[str]:
    prefix = f"{settings.device}-"
    return [link["ifname"] for link in _json("link", "show") if link["ifname"].startswith(prefix)]


def check_ranges(settings: Settings) -> str:
    """Return our ranges; refuse them if the machine already uses addresses of theirs.

    Raises:
        RuntimeError: A route of the machine overlaps; names both.
    """
    for route in _json("-4", "route", "show", "table", "all"):
        # one that leads nowhere takes nothing from anybody
        if route["dst"] == "default" or route.get("dev") == settings.device or route.get("type") == "unreachable":
            continue
        used = ipaddress.IPv4Network(route["dst"], strict=False)
        for ours in (settings.node_range, settings.pod_range):
            if used.overlaps(ours):
                raise RuntimeError(
                    f"the machine has a route to {used} (dev {route.get('dev', '?')}), which overlaps localcloud's "
                    f"{ours}; choose other ranges: `localcloud up --node-range 172.30.0.0/16 --pod-range 172.24.0.0/14`"
                )
    return f"{settings.node_range} for nodes, {settings.pod_range} for pods"


def ensure_bridge(settings: Settings) -> None:
    """Make the bridge and the route to the pods, unless they are there.

    Pods are reached as neighbours on the bridge (each node answers ARP for its own), so one
    route serves all clusters and no packet for these ranges ever takes the default route.
    """
    device = settings.device
    if not NAMESPACES.is_mount():  # `ip netns` will make it: then it is ours to remove
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        (settings.run / "made-netns").touch()
    if not any(link["ifname"] == device for link in _json("link", "show")):
        check_ranges(settings)
        _lead_nowhere(settings)
        _ip("link", "add", device, "address", _hardware(settings.gateway), "type", "bridge")
    _ip("address", "replace", f"{settings.gateway}/{settings.node_range.prefixlen}", "dev", device)
    _ip("link", "set", device, "up")
    _ip("route", "replace", str(settings.pod_range), "dev", device, "src", str(settings.gateway))


def _hardware(gateway: ipaddress.IPv4Address) -> str:
    """Return the bridge's hardware address.

    Without one of its own it takes the lowest of its cables', and changes it when a node comes or goes: nodes would
    lose the machine, with Keystone and S3, until they ask for it anew.
    """
    return "02:00:" + gateway.packed.hex(":")  # 02: locally administered


def remove_node(device: str) -> None:
    """Remove a node's cable and network namespace; nothing happens if they are gone."""
    if any(link["ifname"] == device for link in _json("link", "show")):
        _ip("link", "delete", device)
    if any(entry["name"] == device for entry in _json("netns", "list")):
        _ip("netns", "delete", device)


def _lead_nowhere(settings: Settings) -> None:
    """Let packets for our ranges take no other route while there is no bridge: somebody may still ask for a cluster."""
    for ours in (settings.node_range, settings.pod_range):
        _ip("route", "replace", "unreachable", str(ours), "metric", NOWHERE)


def remove_all(settings: Settings, for_good: bool = False) -> None:
    """Remove the bridge, every cable and every network namespace of this localcloud.

    Args:
        settings: Of the localcloud.
        for_good: The ranges are not ours any more. Otherwise they lead nowhere until the bridge is back.
    """
    _lead_nowhere(settings)
    _remove_devices(settings)
    if for_good:
        for ours in (settings.node_range, settings.pod_range):
            # programs of the machine that are connected still; without the kernel's help they run into their timeouts
            subprocess.run(["ss", "--kill", "--no-header", "dst", str(ours)], capture_output=True, check=False)
            _ip("route", "delete", "unreachable", str(ours), "metric", NOWHERE)


def _remove_devices(settings: Settings) -> None:
    prefix = f"{settings.device}-"
    names = set(_devices(settings)) | {e["name"] for e in _json("netns", "list") if e["name"].startswith(prefix)}
    for name in names:
        remove_node(name)
    if any(link["ifname"] == settings.device for link in _json("link", "show")):
        _ip("link", "delete", settings.device)
    if (settings.run / "made-netns").exists() and NAMESPACES.is_mount() and not any(NAMESPACES.iterdir()):
        subprocess.run(["umount", str(NAMESPACES)], check=True)
        NAMESPACES.rmdir()
