"""What `localcloud status` shows: the services of a cloud, and its clusters with their nodes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.table import Table

from localcloud import supervision
from localcloud.cloud.services import SERVICES
from localcloud.clusters import description
from localcloud.clusters.node_init import Machine
from localcloud.home import Home
from localcloud.network import Addresses
from localcloud.supervision import ProcessState

Processes = Mapping[str, ProcessState]


def services(home: Home, addresses: Addresses, processes: Processes, answering: Mapping[str, bool]) -> Table:
    """Returns the table of services, and of the rack, which keeps the clusters.

    Args:
        home: The home of the box.
        addresses: Its addresses.
        processes: What supervisord says, by name.
        answering: Whether a service answers, by its name.
    """
    table = Table("service", "url", "process", "answers", title=f"{home.name}: {addresses.network}, {home.path}")
    for service in SERVICES:
        answer = "yes" if answering[service.name] else "no"
        table.add_row(service.name, service.url(addresses), _process(service.name, processes), answer)
    table.add_row(supervision.RACK, "", _process(supervision.RACK, processes), "")
    return table


def clusters(home: Home, processes: Processes) -> Table | None:
    """Returns the table of clusters, with a row for each node; None where there are none.

    Args:
        home: The home of the box.
        processes: What supervisord says, by name.
    """
    table = Table("cluster", "wanted", "reached", "node", "address", "process")
    for folder in sorted(home.state.glob("clusters/*")):
        spec = description.read_spec(folder)
        if spec is None:  # it went while we looked
            continue
        wanted = "none" if spec.deleted else f"{spec.workers} workers"
        status = description.read_status(folder)
        reached = status.state if status and status.generation == spec.generation else "waiting for the rack"
        nodes = list(_nodes(folder, processes)) or [("", "", "")]
        table.add_row(spec.name, wanted, reached, *nodes[0])
        for node in nodes[1:]:
            table.add_row("", "", "", *node)
        if status and status.reason:
            table.add_row("", "", status.reason)
        table.add_section()
    return table if table.row_count else None


def cluster_names(home: Home) -> list[str]:
    """Returns the names of the clusters of a box that are to stay."""
    specs = [description.read_spec(folder) for folder in home.state.glob("clusters/*")]
    return sorted(spec.name for spec in specs if spec is not None and not spec.deleted)


def _nodes(cluster: Path, processes: Processes) -> Iterator[tuple[str, str, str]]:
    """Yields the columns of each node of the cluster in a folder."""
    for folder in sorted(cluster.glob("nodes/*"), key=lambda path: int(path.name)):
        if (folder / "machine.json").exists():
            machine = Machine.read(folder)
            yield machine.name, machine.address, _process(machine.link, processes)


def _process(name: str, processes: Processes) -> str:
    process = processes.get(name)
    if process is None:
        return "not started"
    return f"{process.state} {process.detail.rpartition('uptime ')[2]}"  # without its number in the box
