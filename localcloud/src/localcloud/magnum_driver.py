"""Magnum's driver for localcloud: it describes clusters, the cluster controller makes them."""

from __future__ import annotations

import datetime
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from magnum import objects
from magnum.common import clients, exception
from magnum.conductor import monitors
from magnum.conductor.handlers.common import cert_manager
from magnum.drivers.common import driver
from magnum.objects import fields
from oslo_log import log as logging

from localcloud.build import programs
from localcloud.cluster.spec import NodeGroup, Spec, Status
from localcloud.settings import Settings
from localcloud.state import DamagedStateError

LOG = logging.getLogger(__name__)
STATUS = fields.ClusterStatus
HEALTH = fields.ClusterHealthStatus
STARTED = datetime.datetime.now(datetime.UTC)


class Driver(driver.Driver):  # type: ignore[misc]
    """Clusters of this machine, as Magnum's conductor sees them."""

    _turn = threading.RLock()
    """The conductor's threads read and write a cluster's description one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._settings = Settings.load()

    @property
    def provides(self) -> list[dict[str, str]]:
        """Kinds of cluster that this driver makes; ``os`` is the image's os_distro."""
        return [{"server_type": "vm", "os": "localcloud", "coe": "kubernetes"}]

    # -- what Magnum asks for ------------------------------------------------
    def create_cluster(self, context: Any, cluster: Any, cluster_create_timeout: int | None) -> None:
        """Describe a new cluster; runs in a thread of the conductor, so it returns at once.

        Another thread may have taken up, or even finished, its deletion meanwhile: then it is not described again.
        """
        check_kube_tag(cluster.labels)
        with self._turn:
            if self._ending(context, cluster):
                LOG.info("cluster %s was deleted before it was described", cluster.uuid)
                return
            self._write_authority(context, cluster)
            cluster.stack_id = cluster.uuid
            self._describe(context, cluster)

    def update_cluster(self, context: Any, cluster: Any, scale_manager: Any = None, rollback: bool = False) -> None:
        """Take over a changed number of nodes."""
        self._describe(context, cluster)

    def resize_cluster(
        self,
        context: Any,
        cluster: Any,
        resize_manager: Any,
        node_count: int,
        nodes_to_remove: list[str] | None,
        nodegroup: Any = None,
    ) -> None:
        """Take over a changed number of nodes, and which ones to remove."""
        self._describe(context, cluster, remove=tuple(nodes_to_remove or ()))

    def delete_cluster(self, context: Any, cluster: Any) -> None:
        """Ask for the cluster's end."""
        self._describe(context, cluster, deleted=True)

    def create_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Take over a new node group."""
        self._describe(context, cluster)

    def update_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Take over a changed node group."""
        self._describe(context, cluster)

    def delete_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        """Ask for a node group's end; its record goes when its nodes are gone."""
        nodegroup.status = STATUS.DELETE_IN_PROGRESS
        nodegroup.save()
        self._describe(context, cluster)

    def rotate_ca_certificate(self, context: Any, cluster: Any) -> None:
        """Take over the authority that Magnum has made anew; who has a kubeconfig of the old one needs another."""
        self._write_authority(context, cluster)
        self._describe(context, cluster, rotate=True)

    def rotate_credential(self, context: Any, cluster: Any) -> None:
        """Make the keys and certificates of the cluster's components anew; it has no OpenStack credential."""
        self._describe(context, cluster, rotate=True)
        # of all operations, the conductor leaves this one's status to the driver
        cluster.status = STATUS.UPDATE_IN_PROGRESS
        cluster.save()

    def get_monitor(self, context: Any, cluster: Any) -> HealthMonitor:
        """Return what Magnum asks for the cluster's health."""
        return HealthMonitor(context, cluster, self._folder(cluster))

    def upgrade_cluster(self, context: Any, cluster: Any, *_: Any, **__: Any) -> None:
        """Refuse: this localcloud has one Kubernetes version."""
        raise exception.NotSupported("localcloud builds one Kubernetes version; create a new cluster instead")

    def create_federation(self, context: Any, federation: Any) -> None:
        """Refuse: Magnum's federation API is dead, its methods are abstract all the same."""
        raise NotImplementedError("localcloud has no federations")

    update_federation = delete_federation = create_federation

    # -- what became of it ----------------------------------------------------
    def update_cluster_status(self, context: Any, cluster: Any, use_admin_ctx: bool = False) -> None:
        """Copy what the controller reached; Magnum calls this while a cluster is IN_PROGRESS."""
        folder = self._folder(cluster)
        try:
            spec, status = Spec.read(folder), Status.read(folder)
        except DamagedStateError as error:
            cluster.status, cluster.status_reason = _ended(cluster.status, "FAILED"), str(error)
            cluster.save()
            return
        if spec is None:
            self._without_spec(context, cluster)
            return
        if cluster.status == STATUS.DELETE_IN_PROGRESS and not spec.deleted:
            return  # delete_cluster() is still on its way
        if status is None or status.generation != spec.generation or status.phase == "working":
            return
        if status.phase == "gone":
            self._forget(folder)
            cluster.status = STATUS.DELETE_COMPLETE
            cluster.save()
        elif status.phase == "failed":
            self._finish(cluster, "FAILED", status)
        else:
            self._finish(cluster, "COMPLETE", status)

    def _finish(self, cluster: Any, end: str, status: Status) -> None:
        reason = status.waiting_for or None
        for group in cluster.nodegroups:
            if group.status == STATUS.DELETE_IN_PROGRESS:
                group.destroy()
                continue
            group.node_addresses = [node.address for node in status.nodes if node.group == group.name]
            group.status = _ended(group.status, end)
            group.status_reason = reason
            group.save()
        cluster.api_address = status.api_address
        cluster.coe_version = status.versions.get("kubernetes", "")
        cluster.container_version = status.versions.get("containerd", "")
        cluster.health_status, cluster.health_status_reason = health(status)
        cluster.status = _ended(cluster.status, end)
        cluster.status_reason = reason
        cluster.save()

    def _without_spec(self, context: Any, cluster: Any) -> None:
        """Nothing was described: create_cluster() is on its way, or died with an earlier conductor."""
        if cluster.status == STATUS.DELETE_IN_PROGRESS:
            cluster.status = STATUS.DELETE_COMPLETE
            cluster.save()
        elif cluster.status == STATUS.CREATE_IN_PROGRESS and cluster.created_at < STARTED:
            LOG.warning("cluster %s: its creation was interrupted; going on with it", cluster.uuid)
            if not cluster.ca_cert_ref:
                cert_manager.generate_certificates_to_cluster(cluster, context=context)
            self.create_cluster(context, cluster, cluster.create_timeout)
            cluster.save()

    # -- files ------------------------------------------------------------------
    def _folder(self, cluster: Any) -> Path:
        return self._settings.clusters / str(cluster.uuid)

    def _write_authority(self, context: Any, cluster: Any) -> None:
        pki = self._folder(cluster) / "pki"
        pki.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = cert_manager.get_cluster_ca_certificate(cluster, context)
        certificate, key = authority.get_certificate(), authority.get_decrypted_private_key()
        for name, data in (("ca.crt", certificate), ("ca.key", key)):
            content = data.encode() if isinstance(data, str) else data
            with open(os.open(pki / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)

    def _ending(self, context: Any, cluster: Any) -> bool:
        """Return whether a cluster is to be deleted, or is gone."""
        spec = Spec.read(self._folder(cluster))
        if spec is not None and spec.deleted:
            return True
        try:
            objects.Cluster.get_by_uuid(context, cluster.uuid)
        except exception.ClusterNotFound:
            return True
        return False

    def _describe(
        self, context: Any, cluster: Any, remove: tuple[str, ...] = (), rotate: bool = False, deleted: bool = False
    ) -> None:
        with self._turn:
            self._write_spec(context, cluster, remove, rotate, deleted)

    def _write_spec(self, context: Any, cluster: Any, remove: tuple[str, ...], rotate: bool, deleted: bool) -> None:
        folder = self._folder(cluster)
        previous = Spec.read(folder) or Spec(str(cluster.uuid), cluster.name, 0, ())
        if previous.deleted:
            return  # for good
        wanted = [group for group in cluster.nodegroups if group.status != STATUS.DELETE_IN_PROGRESS]
        known = {group.flavor: (group.vcpus, group.ram) for group in previous.groups}
        if not deleted and {str(group.flavor_id or "") for group in wanted} - {*known, ""}:
            known |= flavors(context)
        groups = tuple(
            NodeGroup(group.name, group.role, int(group.node_count), flavor, *known.get(flavor, (0, 0)))
            for group in wanted
            for flavor in [str(group.flavor_id or "")]
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rotation = previous.rotation + int(rotate)
        Spec(previous.uuid, previous.name, previous.generation + 1, groups, remove, rotation, deleted).write(folder)

    @staticmethod
    def _forget(folder: Path) -> None:
        # a controller that tells something meanwhile finds no folder, or leaves one that nobody looks at
        shutil.rmtree(folder, ignore_errors=True)


class HealthMonitor(monitors.MonitorBase):  # type: ignore[misc]
    """What the cluster controller sees of a cluster, as Magnum's health status.

    Args:
        context: Of the request.
        cluster: Magnum's object.
        folder: The cluster's folder.
    """

    def __init__(self, context: Any, cluster: Any, folder: Path) -> None:
        super().__init__(context, cluster)
        self.data: dict[str, Any] = {}
        self._folder = folder

    @property
    def metrics_spec(self) -> dict[str, Any]:
        """No metrics: the API that served them is gone from Magnum."""
        return {}

    def pull_data(self) -> None:
        """Nothing to pull; see `metrics_spec`."""

    def poll_health_status(self) -> None:
        """Look at the status; what has not changed is not written again."""
        try:
            status = Status.read(self._folder)
        except DamagedStateError:
            return  # the controller writes it anew, with what it sees
        if status is None or status.phase not in ("ready", "failed"):
            return
        word, reason = health(status)
        if (word, reason) != (self.cluster.health_status, self.cluster.health_status_reason):
            self.data = {"health_status": word, "health_status_reason": reason}


def health(status: Status) -> tuple[str, dict[str, str]]:
    """Return Magnum's health status of a cluster, and the reasons: of the API, and of each node by its name."""
    why = status.waiting_for if status.phase == "failed" else status.api
    reasons = {"api": why or "ok"}
    reasons |= {f"{node.name}.Ready": "True" if node.ready else node.reason for node in status.nodes}
    healthy = status.phase == "ready" and not status.api and all(node.ready for node in status.nodes)
    return (HEALTH.HEALTHY if healthy else HEALTH.UNHEALTHY), reasons


def check_kube_tag(labels: dict[str, str]) -> None:
    """Refuse a Kubernetes version that is not the one that was built.

    Raises:
        InvalidParameterValue: With both versions.
    """
    built = programs.versions()["kubernetes"]
    wanted = labels.get("kube_tag", built)
    if wanted != built:
        raise exception.InvalidParameterValue(
            f"label kube_tag is {wanted}, and this localcloud has Kubernetes {built} only; leave the label out"
        )


def flavors(context: Any) -> dict[str, tuple[int, int]]:
    """Return vCPUs and MiB of RAM of Nova's flavors, by name and by UUID."""
    there = list(clients.OpenStackClients(context).nova().flavors())
    return {str(word): (int(f.vcpus), int(f.ram)) for f in there for word in (f.name, f.id)}


def _ended(status: str, end: str) -> str:
    """Return the state that follows an IN_PROGRESS one, as CREATE_COMPLETE."""
    action = status.split("_")[0] if status.endswith("_IN_PROGRESS") else "UPDATE"
    return getattr(STATUS, f"{action}_{end}", f"{action}_{end}")
