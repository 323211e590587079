"""Examines a localcloud and its machine: each thing it needs, and each thing it runs, is well or has a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from localcloud import build, cvmfs, lifecycle, limits, network, openstack, prerequisites
from localcloud.cluster.spec import Spec, Status
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import KEPT, Settings
from localcloud.supervisor import Supervisor

FIRST_CLUSTER = 3
"""Nodes of a first cluster: a control plane and two workers."""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined.

    Attributes:
        subject: What it is.
        well: Whether it is as it must be.
        says: What was found; the remedy, too, if it is not well.
    """

    subject: str
    well: bool
    says: str


def examine(settings: Settings, images: Path) -> Iterator[Finding]:
    """Yield what is found, one thing after another.

    Args:
        settings: Of the localcloud, which need not exist yet.
        images: Folder of image folders that nodes hold from the start.
    """
    made, runs = (settings.home / KEPT).exists(), Supervisor(settings).running()
    yield _look("system", prerequisites.system)
    yield _look("user", prerequisites.root)
    yield _look("programs", prerequisites.programs)
    yield _look("kernel", prerequisites.kernel)
    yield _look("disk", lambda: prerequisites.disk(settings.home))
    yield _look("addresses", lambda: network.check_ranges(settings))
    yield _look("builds", lambda: build.state(images))
    if not runs:
        yield _look("inotify", lambda: limits.check_inotify(FIRST_CLUSTER, 1))
    if made:
        yield _look("files", lambda: lifecycle.check_state(settings))
        yield _look("databases", lambda: openstack.check_databases(settings))
        yield _look("CVMFS", lambda: cvmfs.check(settings))
    if not runs:
        remedy = "is down; `localcloud up` brings it back" if made else "is not made yet; `localcloud up` makes it"
        yield Finding("cloud", not made, f"{settings.cloud} in {settings.home} {remedy}")
        return
    yield from _services(settings)
    yield from _processes(settings)
    for spec in lifecycle.clusters(settings):
        yield _look(f"cluster {spec.name}", partial(_cluster, settings, spec))


def _look(subject: str, function: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, function())
    except (LocalcloudError, OSError, RuntimeError, ValueError) as error:
        return Finding(subject, False, str(error))


def _services(settings: Settings) -> Iterator[Finding]:
    for service, answers in openstack.alive(settings).items():
        url = settings.url(service)
        remedy = f"does not answer at {url}; `localcloud logs {service}` says why"
        yield Finding(service, answers, f"answers at {url}" if answers else remedy)


def _processes(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for all processes that run, and one for each node or process that should and does not."""
    processes = Supervisor(settings).processes()
    off = {p["group"] for p in processes if p["name"].endswith(".machine") and p["statename"] == "STOPPED"}
    ill = [
        p for p in processes if p["group"] not in off and p["statename"] in ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")
    ]
    if not ill:
        yield Finding("processes", True, f"{len(processes)} are supervised")
    for node in sorted(off):
        remedy = f"`localcloud power on {_cluster_of(settings, node)} {node}`"
        yield Finding(f"node {node}", False, f"its power is off; {remedy}")
    for process in ill:
        group, name = process["group"], process["name"].removeprefix(f"{process['group']}.")
        words = name if name == group else f"{_cluster_of(settings, group)} {group} {name}"
        state = f"{process['statename'].lower()} ({process['description']})"
        yield Finding(f"process {process['name']}", False, f"{state}; `localcloud logs {words}` says why")


def _cluster_of(settings: Settings, node: str) -> str:
    """Return the UUID of a node's cluster: it names the folder of its logs."""
    return next((folder.parent.name for folder in settings.logs.glob(f"*/{node}/")), "CLUSTER")


def _cluster(settings: Settings, spec: Spec) -> str:
    status = Status.read(settings.clusters / spec.uuid)
    if status is None:
        raise LocalcloudError("its controller has not begun; `localcloud logs clusters` says why")
    ill = [f"{node.name}: {node.reason}" for node in status.nodes if not node.ready]
    if status.phase == "ready" and not status.api and not ill:
        return f"ready, {len(status.nodes)} nodes"
    why = "; ".join([text for text in (status.waiting_for, status.api) if text] + ill)
    raise LocalcloudError(f"{status.phase}: {why or 'it has just begun'}; see `localcloud logs {spec.name}`")
