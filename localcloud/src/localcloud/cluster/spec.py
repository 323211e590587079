"""What Magnum asked for, and what was reached: the two files between driver and controller.

The Magnum driver only describes a cluster (``spec.json``). The controller makes it so and
tells what it sees (``status.json``). Neither needs the other to be alive, so a killed
conductor or controller loses nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from localcloud.state import read_json, write_json


@dataclass(frozen=True)
class NodeGroup:
    """A group of equal nodes, as Magnum describes it.

    Attributes:
        name: Its name in the cluster, as ``default-worker``.
        role: ``master`` or ``worker``, or a role of the user's own.
        count: Wanted number of nodes.
        flavor: Name or UUID of the flavor.
        vcpus: Cores of a node, by its flavor; 0 for all that the machine has.
        ram: MiB of memory of a node, by its flavor; 0 for all that the machine has.
    """

    name: str
    role: str
    count: int
    flavor: str = ""
    vcpus: int = 0
    ram: int = 0


@dataclass(frozen=True)
class Spec:
    """A cluster as Magnum wants it.

    Attributes:
        uuid: Magnum's UUID of the cluster, also the name of its folder.
        name: Its name.
        generation: Raised at each change; a status with the same number is an answer to it.
        groups: Node groups; those of role ``master`` run the control plane.
        remove: Names of nodes to take away first when a group shrinks.
        rotation: Raised when every key and certificate is to be made anew.
        deleted: True once Magnum wants it gone.
    """

    uuid: str
    name: str
    generation: int
    groups: tuple[NodeGroup, ...]
    remove: tuple[str, ...] = ()
    rotation: int = 0
    deleted: bool = False

    @classmethod
    def read(cls, folder: Path) -> Spec | None:
        """Return the spec in a cluster's folder; None if nothing was asked for yet.

        Raises:
            DamagedStateError: The file is not what was written.
        """

        def spec(raw: dict[str, Any]) -> Spec:
            groups = tuple(NodeGroup(**group) for group in raw.pop("groups"))
            return cls(groups=groups, remove=tuple(raw.pop("remove")), **raw)

        return read_json(folder / "spec.json", spec)

    def write(self, folder: Path) -> None:
        """Keep the spec in the cluster's folder."""
        write_json(folder / "spec.json", asdict(self))


@dataclass(frozen=True)
class NodeStatus:
    """A node as the controller sees it.

    Attributes:
        name: Host name, and name in Kubernetes.
        group: Name of its node group.
        address: IPv4 address on the bridge.
        ready: Kubernetes' own condition Ready.
        reason: Why it is not ready.
    """

    name: str
    group: str
    address: str
    ready: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Status:
    """What became of a spec.

    Attributes:
        generation: The spec's generation that this answers.
        phase: ``working``, ``ready``, ``failed`` or ``gone``.
        waiting_for: What is awaited right now, or why it failed.
        api: Why the Kubernetes API does not answer; empty if it does.
        api_address: URL of the Kubernetes API, empty until known.
        versions: Version of each component.
        nodes: Every node, also those on their way out.
    """

    generation: int
    phase: str
    waiting_for: str = ""
    api: str = ""
    api_address: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    nodes: tuple[NodeStatus, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Status | None:
        """Return the status in a cluster's folder; None if there is none yet.

        Raises:
            DamagedStateError: The file is not what was written.
        """

        def status(raw: dict[str, Any]) -> Status:
            return cls(nodes=tuple(NodeStatus(**node) for node in raw.pop("nodes")), **raw)

        return read_json(folder / "status.json", status)

    def write(self, folder: Path) -> None:
        """Keep the status in the cluster's folder."""
        write_json(folder / "status.json", asdict(self))
