"""Names, addresses and folders of a cluster's nodes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from localcloud.cluster.spec import NodeGroup, Spec
from localcloud.settings import Settings
from localcloud.state import read_json, write_json

FIRST_HOST = 10
"""Host number of a cluster's first node in its /24: room for a site's own addresses below."""

LOAD_BALANCERS = (200, 250)
"""First and last host number in a cluster's /24 of the addresses for Services of type LoadBalancer."""

NETWORK = "network.json"
"""File of a cluster's folder with its number among the clusters, which gives its address ranges."""

MAX_NODES = 64
"""A cluster's /18 of pod addresses holds this many nodes' /24."""


@dataclass(frozen=True)
class Node:
    """One machine of a cluster: a set of namespaces with a root folder of its own.

    Attributes:
        name: Host name, as Magnum makes it: cluster, a part of its UUID, role, index.
        group: Name of its node group.
        role: ``master`` or ``worker``.
        index: Its number in the group, from 0.
        slot: Its number in the cluster, which gives the addresses.
        cluster: The cluster's UUID.
        network: The cluster's number among the clusters of this localcloud.
        vcpus: Cores that its pods may use; 0 for all of the machine's.
        ram: MiB of memory that its pods may use; 0 for all of the machine's.
    """

    name: str
    group: str
    role: str
    index: int
    slot: int
    cluster: str
    network: int
    vcpus: int = 0
    ram: int = 0

    @property
    def is_master(self) -> bool:
        """True if the control plane runs here."""
        return self.role == "master"

    @property
    def namespace(self) -> str:
        """Name of the network namespace, and stem of its devices (15 characters at most)."""
        return f"{self.network}-{self.slot}"

    def address(self, settings: Settings) -> ipaddress.IPv4Address:
        """Return the address on the bridge."""
        return _host(settings, self.network, FIRST_HOST + self.slot)

    def pod_range(self, settings: Settings) -> ipaddress.IPv4Network:
        """Return the addresses of its pods, a /24."""
        first = settings.pod_range[(self.network * MAX_NODES + self.slot) * 256]
        return ipaddress.IPv4Network(f"{first}/24")

    def folder(self, settings: Settings) -> Path:
        """Return the folder of its files."""
        return settings.clusters / self.cluster / "nodes" / self.name

    def root(self, settings: Settings) -> Path:
        """Return the folder that is ``/`` on the node."""
        return self.folder(settings) / "root"


def _host(settings: Settings, network: int, number: int) -> ipaddress.IPv4Address:
    """Return an address of a cluster's /24 on the bridge; the first /24 is the machine's own."""
    return settings.node_range[256 * (network + 1) + number]


def load_balancers(settings: Settings, network: int) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Return the first and last address for a cluster's Services of type LoadBalancer."""
    first, last = LOAD_BALANCERS
    return _host(settings, network, first), _host(settings, network, last)


def cluster_pods(settings: Settings, network: int) -> ipaddress.IPv4Network:
    """Return the addresses of a cluster's pods, a /18."""
    return ipaddress.IPv4Network(f"{settings.pod_range[network * MAX_NODES * 256]}/18")


def node_name(spec: Spec, group: str, index: int) -> str:
    """Return a node's host name: a DNS label of 63 characters at most.

    Magnum allows upper case, ``_`` and ``.`` in a cluster's name, DNS does not; the part of
    the UUID keeps two names that become alike apart.
    """
    stem = re.sub(r"[^a-z0-9-]+", "-", spec.name.lower()).strip("-")[:24].rstrip("-")
    short = {"default-master": "master", "default-worker": "node"}.get(group)
    label = short or re.sub(r"[^a-z0-9-]+", "-", group.lower()).strip("-")[:20].rstrip("-")
    return f"{stem}-{spec.uuid[:8]}-{label}-{index}"


class NodeBook:
    """Who the nodes of a cluster are, kept in ``nodes.json``: a node keeps its slot for life.

    Raises:
        DamagedStateError: The file is not what was written.
    """

    def __init__(self, settings: Settings, uuid: str) -> None:
        self._path = settings.clusters / uuid / "nodes.json"
        self._uuid = uuid
        self.nodes: list[Node] = read_json(self._path, lambda raw: [Node(**node) for node in raw]) or []

    def save(self) -> None:
        """Keep the book on disk."""
        write_json(self._path, [vars(node) for node in self.nodes])

    def plan(self, spec: Spec) -> list[Node]:
        """Return the nodes that the spec no longer wants: named ones first, then the youngest."""
        surplus: list[Node] = []
        counts = {group.name: group.count for group in spec.groups}
        for group in {node.group for node in self.nodes}:
            nodes = [node for node in self.nodes if node.group == group]
            order = sorted(nodes, key=lambda n: (n.name in spec.remove, n.index), reverse=True)
            surplus += order[: max(0, len(nodes) - counts.get(group, 0))]
        return surplus

    def add_missing(self, spec: Spec, network: int) -> list[Node]:
        """Enter the nodes that the spec wants and the book lacks, and return them.

        Raises:
            ValueError: More nodes than a cluster's address range holds.
        """
        added = []
        for group in sorted(spec.groups, key=lambda g: g.role != "master"):
            taken = {node.index for node in self.nodes if node.group == group.name}
            for _ in range(group.count - len(taken)):
                index = next(i for i in range(MAX_NODES + 1) if i not in taken)
                taken.add(index)
                added.append(self._enter(spec, group, index, network))
        return added

    def _enter(self, spec: Spec, group: NodeGroup, index: int, network: int) -> Node:
        slots = {node.slot for node in self.nodes}
        slot = next(i for i in range(MAX_NODES + 1) if i not in slots)
        if slot == MAX_NODES:
            raise ValueError(f"a cluster of localcloud has at most {MAX_NODES} nodes; ask for fewer workers")
        name = node_name(spec, group.name, index)
        node = Node(name, group.name, group.role, index, slot, self._uuid, network, group.vcpus, group.ram)
        self.nodes.append(node)
        return node

    def strike(self, node: Node) -> None:
        """Take a node that is gone out of the book."""
        self.nodes.remove(node)
        self.save()
