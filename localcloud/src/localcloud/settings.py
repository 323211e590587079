"""Where one localcloud keeps its files, and the names, ports and address ranges it uses.

Several localclouds can stand on one machine: each has its own ``home`` folder and its own
``number``, from which every port, device name and range follows. This module is the only
home of those facts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localcloud.state import read_json, write_json

MAX_NUMBER = 7
"""Largest localcloud number: ranges for eight of them fit in the pod supernet."""

SERVICE_RANGE = ipaddress.IPv4Network("10.96.0.0/16")
"""ClusterIPs of every cluster; they never leave a node, so clusters share the range."""

CLUSTER_DNS = SERVICE_RANGE[10]
"""ClusterIP of the cluster's DNS service."""

_SPECIAL = tuple(ipaddress.IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))
"""Addresses that are no machine's own: this network, loopback, link-local, multicast and reserved (RFC 6890)."""

KEPT = "localcloud.json"
"""File of the home folder with what `Settings.load` remembers."""

REGION = "RegionOne"
PORTS = {
    "keystone": 5000,
    "glance": 9292,
    "nova": 8774,
    "neutron": 9696,
    "magnum": 9511,
    "swift": 8080,
    "stratum": 8000,
    "squid": 3128,
}
"""OpenStack's registered ports, and the usual ones of a CVMFS stratum and its proxy, used as they are by number 0."""

FOR_PODS = ("swift", "stratum", "squid")
"""Services that listen on the bridge: one URL serves the machine and the pods of its clusters."""


def cache() -> Path:
    """Return the folder for expensive builds, shared by every clone and localcloud."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "astrok8s"


def default_home() -> Path:
    """Return ``$LOCALCLOUD_HOME``, else the folder for a user's data."""
    if home := os.environ.get("LOCALCLOUD_HOME"):
        return Path(home).absolute()
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(base) / "localcloud"


@dataclass(frozen=True)
class Ranges:
    """Addresses of a localcloud.

    Attributes:
        nodes: The machine's own /24, and one for each cluster.
        pods: A /18 for each cluster.
    """

    nodes: ipaddress.IPv4Network
    pods: ipaddress.IPv4Network

    def __post_init__(self) -> None:
        for option, ours, largest in (("--node-range", self.nodes, 23), ("--pod-range", self.pods, 18)):
            if ours.prefixlen > largest:
                raise ValueError(f"{option} {ours} has no room for a cluster; give a /{largest} or a larger one")
            for theirs in (self.nodes if ours is self.pods else self.pods, SERVICE_RANGE, *_SPECIAL):
                if ours.overlaps(theirs):
                    raise ValueError(f"{option} {ours} overlaps {theirs}, which has another use; give another range")

    @classmethod
    def numbered(cls, number: int) -> Ranges:
        """Return the ranges that follow from a localcloud's number."""
        nodes, pods = f"10.{200 + number}.0.0/16", f"10.{208 + 4 * number}.0.0/14"
        return cls(ipaddress.IPv4Network(nodes), ipaddress.IPv4Network(pods))

    @classmethod
    def parse(cls, nodes: str | None, pods: str | None, number: int) -> Ranges:
        """Return the ranges that somebody asked for; what is not asked for follows from the number.

        Raises:
            ValueError: One is no range, is too small, or has another use.
        """
        usual = cls.numbered(number)
        return cls(_network("--node-range", nodes) or usual.nodes, _network("--pod-range", pods) or usual.pods)

    @property
    def clusters(self) -> int:
        """How many clusters there is room for."""
        return min(self.nodes.num_addresses // 2**8 - 1, self.pods.num_addresses // 2**14)


def _network(option: str, text: str | None) -> ipaddress.IPv4Network | None:
    if not text:
        return None
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{option} {text} is not a range ({error}); give one as 10.200.0.0/16") from None


@dataclass(frozen=True)
class Settings:
    """The facts of one localcloud.

    Attributes:
        home: Folder of everything it keeps: databases, keys, clusters, logs.
        number: 0 to 7; the offset of ports and device names, and of ranges if none are given.
        ranges: Its addresses; None for those of its number.
    """

    home: Path
    number: int = 0
    ranges: Ranges | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.number <= MAX_NUMBER:
            raise ValueError(f"localcloud number {self.number} is not in 0..{MAX_NUMBER}; choose one of these")

    @classmethod
    def load(
        cls,
        home: Path | None = None,
        number: int | None = None,
        node_range: str | None = None,
        pod_range: str | None = None,
    ) -> Settings:
        """Return the settings of the localcloud in ``home``, which remembers its number and ranges.

        Args:
            home: Its folder; `default_home` if None.
            number: Used when the folder holds no localcloud yet; default 0, or ``$LOCALCLOUD_NUMBER``.
            node_range: Likewise; default ``$LOCALCLOUD_NODE_RANGE``, or what follows from the number.
            pod_range: Likewise; default ``$LOCALCLOUD_POD_RANGE``, or what follows from the number.

        Raises:
            ValueError: One is not possible, or the folder's localcloud has another one.
        """
        home = (home or default_home()).absolute()
        asked: dict[str, Any] = {"number": number, "node_range": node_range, "pod_range": pod_range}
        kept = read_json(home / KEPT, dict)
        if kept is not None:
            for key, value in asked.items():
                if value is not None and value != kept.get(key):
                    option = f"--{key.replace('_', '-')}"
                    raise ValueError(
                        f"the localcloud in {home} has {option} {kept.get(key) or 'of its number'}, not {value}; "
                        f"leave {option} out, or destroy that localcloud first"
                    )
            asked = kept
        else:
            for key, value in asked.items():
                asked[key] = os.environ.get(f"LOCALCLOUD_{key.upper()}") if value is None else value
        number = int(asked["number"] or 0)
        settings = cls(home, number)
        nodes, pods = asked.get("node_range"), asked.get("pod_range")
        return replace(settings, ranges=Ranges.parse(nodes, pods, number)) if nodes or pods else settings

    def save(self) -> None:
        """Make the home folder, mode 0700, and remember in it what `load` asks for, and which folders were made."""
        if (self.home / KEPT).exists():
            return
        kept: dict[str, Any] = {"number": self.number}
        if self.ranges:
            kept |= {"node_range": str(self.ranges.nodes), "pod_range": str(self.ranges.pods)}
        kept["made"] = [str(folder) for folder in self.home.parents if not folder.exists()]
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self.home / KEPT, kept)

    def made_folders(self) -> list[Path]:
        """Return the folders above the home folder that were made for it, the innermost first."""
        return [Path(folder) for folder in (read_json(self.home / KEPT, dict) or {}).get("made", [])]

    # -- services ----------------------------------------------------------
    @property
    def cloud(self) -> str:
        """Name of the user's entry in clouds.yaml; the administrator's is ``<cloud>-admin``."""
        return "local" if self.number == 0 else f"local{self.number}"

    @property
    def identity(self) -> str:
        """What our servers call themselves: another localcloud could have the same number."""
        return f"localcloud/{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}"

    @property
    def host_name(self) -> str:
        """The same as a host's name, by which our proxy signs what it hands on."""
        return self.identity.replace("/", "-")

    def port(self, service: str) -> int:
        """Return the port of a service."""
        return PORTS[service] + 100 * self.number

    def address(self, service: str) -> str:
        """Return where a service listens: on the loopback device, or where pods reach it too."""
        return str(self.gateway) if service in FOR_PODS else "127.0.0.1"

    def url(self, service: str) -> str:
        """Return the root URL of a service, without a version."""
        return f"http://{self.address(service)}:{self.port(service)}"

    # -- folders -----------------------------------------------------------
    @property
    def etc(self) -> Path:
        """Configuration files, generated at each ``up``."""
        return self.home / "etc"

    @property
    def state(self) -> Path:
        """Databases, keys and images of the OpenStack services."""
        return self.home / "state"

    @property
    def repositories(self) -> Path:
        """CVMFS repositories as the stratum serves them: letters and objects."""
        return self.state / "cvmfs/www"

    @property
    def repository_keys(self) -> Path:
        """What each CVMFS repository is signed with and remembers; no server reads it for others."""
        return self.state / "cvmfs/private"

    @property
    def squid(self) -> Path:
        """Configuration and cache of the proxy in front of the stratum."""
        return self.state / "squid"

    @property
    def logs(self) -> Path:
        """One file per process; a cluster's are in a folder of its own."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Sockets and PID files: nothing here needs to survive."""
        return self.home / "run"

    @property
    def clusters(self) -> Path:
        """One folder per cluster, named by its UUID."""
        return self.home / "clusters"

    @property
    def supervisor_socket(self) -> Path:
        """Control socket of supervisord."""
        return self.run / "supervisor.sock"

    # -- network -----------------------------------------------------------
    @property
    def room(self) -> int:
        """How many clusters there are addresses for."""
        return (self.ranges or Ranges.numbered(self.number)).clusters

    @property
    def device(self) -> str:
        """Name of the bridge, and the prefix of every device and network namespace."""
        return f"lc{self.number}"

    @property
    def node_range(self) -> ipaddress.IPv4Network:
        """Addresses of nodes (one /24 per cluster); the first one is the machine's own."""
        return (self.ranges or Ranges.numbered(self.number)).nodes

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The machine's own address on the bridge, which pods reach."""
        return self.node_range[1]

    @property
    def pod_range(self) -> ipaddress.IPv4Network:
        """Addresses of pods: a /18 per cluster, a /24 per node."""
        return (self.ranges or Ranges.numbered(self.number)).pods
