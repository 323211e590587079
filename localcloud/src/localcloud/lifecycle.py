"""Up, down and destroy: one localcloud as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from localcloud import build, cgroups, cvmfs, network, openstack, prerequisites
from localcloud.cluster import config
from localcloud.cluster.node import NETWORK, Node, NodeBook
from localcloud.cluster.reconciler import ROTATION
from localcloud.cluster.spec import Spec, Status
from localcloud.prerequisites import LocalcloudError
from localcloud.program import Program
from localcloud.settings import Settings
from localcloud.state import DamagedStateError, read_json
from localcloud.supervisor import Supervisor

Report = Callable[[str], None]


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Let one `up`, `down` or `destroy` of a localcloud run at a time."""
    settings.save()
    with open(settings.home / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(settings: Settings, images: Path, report: Report) -> bool:
    """Bring a localcloud up, with the clusters that it had.

    Args:
        settings: Which one.
        images: Folder of image folders, each with a Containerfile, that nodes hold from the start.
        report: Takes a line for each thing that takes longer than a moment.

    Returns:
        True if anything had to be done.

    Raises:
        LocalcloudError: The machine cannot run it.
        RuntimeError: A part did not start.
    """
    prerequisites.check(settings.home)
    with locked(settings):
        supervisor = Supervisor(settings)
        if supervisor.running() and all(openstack.alive(settings).values()):
            return False
        artifacts = build.everything(images, report)
        openstack.prepare(settings)
        cvmfs.prepare(settings, artifacts.demo, report)
        network.ensure_bridge(settings)
        services = [*openstack.programs(settings), *cvmfs.programs(settings, artifacts.squid)]
        if not supervisor.running():
            report("starting Keystone, Glance, Nova, Neutron, Magnum, Swift and the CVMFS stratum")
            for damage in damages(settings):
                report(str(damage))  # the other clusters are well
            for spec in clusters(settings):
                for node in _nodes(settings, spec):
                    config.write_machine_environment(settings, artifacts, node)
            controller = [sys.executable, "-m", "localcloud.cluster.controller", str(settings.home), str(images)]
            supervisor.start([*services, Program("clusters", controller, priority=90)])
        elif missing := {service.name for service in services} - supervisor.groups():
            raise LocalcloudError(
                f"the cloud that runs was started by an older localcloud, without {', '.join(sorted(missing))}; "
                "say `localcloud down`, then `localcloud up`"
            )
        openstack.wait(settings, report)
        openstack.seed(settings)
        openstack.write_clouds_yaml(settings)
    return True


def down(settings: Settings, report: Report, for_good: bool = False) -> bool:
    """Stop everything and take our devices off the machine; what is on disk stays.

    Args:
        settings: Of the localcloud.
        report: Takes a line for each thing that takes longer than a moment.
        for_good: Give its address ranges back to the machine, too.

    Returns:
        True if anything ran.
    """
    supervisor = Supervisor(settings)
    ran = supervisor.running()
    if ran:
        report("stopping the clusters and OpenStack's services")
        supervisor.shutdown()
    network.remove_all(settings, for_good)
    cgroups.remove(f"/{settings.device}")
    return ran


def destroy(settings: Settings, report: Report) -> None:
    """Remove a localcloud with its clusters, data and its entry in clouds.yaml."""
    if not settings.home.exists():
        return
    with locked(settings):
        down(settings, report, for_good=True)
        openstack.remove_clouds_yaml(settings)
        made = settings.made_folders()
        shutil.rmtree(settings.home)
    for folder in made:
        with contextlib.suppress(OSError):  # somebody else uses it now
            folder.rmdir()


def clusters(settings: Settings) -> list[Spec]:
    """Return what Magnum asked for, cluster by cluster; without what `damages` names."""
    found = []
    for path in sorted(settings.clusters.glob("*/spec.json")):
        with contextlib.suppress(DamagedStateError):
            if spec := Spec.read(path.parent):
                found.append(spec)
    return found


def _nodes(settings: Settings, spec: Spec) -> list[Node]:
    with contextlib.suppress(DamagedStateError):
        return NodeBook(settings, spec.uuid).nodes
    return []


def damages(settings: Settings) -> list[DamagedStateError]:
    """Return what is wrong with the files of clusters."""
    found = []
    for folder in sorted(settings.clusters.glob("*/")):
        for read in (
            partial(Spec.read, folder),
            partial(Status.read, folder),
            partial(NodeBook, settings, folder.name),
            partial(read_json, folder / NETWORK, int),
            partial(read_json, folder / ROTATION, int),
        ):
            try:
                read()
            except DamagedStateError as error:
                found.append(error)
    return found


def check_state(settings: Settings) -> str:
    """Return how many clusters' files are whole.

    Raises:
        DamagedStateError: One is not.
    """
    for damage in damages(settings):
        raise damage
    return f"those of {len(clusters(settings))} clusters are whole"
