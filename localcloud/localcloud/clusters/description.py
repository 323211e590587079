"""What Magnum's driver and the rack tell each other: one folder per cluster, with one file written by each.

The driver writes what is wanted, the rack what it has reached, and each of which generation of the wanted it speaks; so
neither has to be running when the other writes.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from localcloud.home import INSIDE, write_private

CLUSTERS = INSIDE / "state" / "clusters"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What is wanted of a cluster.

    Attributes:
        generation: Grows with every change.
        name: The cluster's name.
        workers: The number of worker nodes.
        ca_certificate: The certificate of the cluster's authority, made by Magnum, as PEM.
        ca_key: Its key, as PEM.
        deadline: When its create_timeout ends, in seconds since 1970; None for a change of one that is there.
        remove: Workers that should go first when there are too many.
        deleted: Whether the cluster should not be there any more.
    """

    generation: int
    name: str
    workers: int
    ca_certificate: str
    ca_key: str
    deadline: float | None = None
    remove: tuple[str, ...] = ()
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Status:
    """What was reached of a cluster.

    Attributes:
        generation: The generation of the wanted that this speaks of.
        state: How far it is.
        reason: Why it failed; empty otherwise.
        version: The version of Kubernetes, with its "v".
        api_url: Where Kubernetes answers.
        control_plane: The addresses of the control plane's nodes.
        workers: The addresses of the workers.
    """

    generation: int
    state: Literal["working", "ready", "failed"]
    reason: str = ""
    version: str = ""
    api_url: str = ""
    control_plane: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)


def folder(uuid: str) -> Path:
    """Returns the folder of a cluster, which need not exist."""
    return CLUSTERS / uuid


def read_spec(cluster: Path) -> Spec | None:
    """Returns what is wanted of the cluster in a folder, None where nothing was ever said or it is gone."""
    found = _read(cluster / "spec.json")
    return Spec(**(found | {"remove": tuple(found["remove"])})) if found is not None else None


def write_spec(cluster: Path, spec: Spec) -> None:
    """Says what is wanted of a cluster."""
    cluster.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(cluster / "spec.json", json.dumps(asdict(spec)))


def read_status(cluster: Path) -> Status | None:
    """Returns what was reached of the cluster in a folder, None where the rack has not begun."""
    found = _read(cluster / "status.json")
    return Status(**found) if found is not None else None


def write_status(cluster: Path, status: Status) -> None:
    """Says what was reached of a cluster."""
    write_private(cluster / "status.json", json.dumps(asdict(status)))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return document
