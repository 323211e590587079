"""Magnum's driver of this cloud. It only describes what Magnum wants of a cluster: the rack makes it so.

Nothing is lost when Magnum or the rack is killed, since the wanted and the reached lie on the disk.
"""

import time
from dataclasses import replace
from typing import Any, NoReturn

from magnum.common import exception
from magnum.conductor.handlers.common import cert_manager
from magnum.drivers.common import driver
from magnum.objects import fields

from localcloud.cloud.services import OS_DISTRO
from localcloud.clusters import description
from localcloud.clusters.addressing import MAX_WORKERS
from localcloud.clusters.description import Spec, Status


class Driver(driver.Driver):
    """The driver that Magnum loads through its entry point `localcloud`."""

    @property
    def provides(self) -> list[dict[str, str]]:
        """The kinds of cluster; Magnum picks the driver by them."""
        return [{"server_type": "vm", "os": OS_DISTRO, "coe": "kubernetes"}]

    def create_cluster(self, context: Any, cluster: Any, cluster_create_timeout: int) -> None:
        """Describes a new cluster."""
        _check_size(cluster.master_count, cluster.node_count)
        authority = cert_manager.get_cluster_ca_certificate(cluster, context)
        spec = Spec(
            generation=1,
            name=cluster.name,
            workers=cluster.node_count,
            ca_certificate=_text(authority.get_certificate()),
            ca_key=_text(authority.get_decrypted_private_key()),
            deadline=time.time() + cluster_create_timeout * 60 if cluster_create_timeout else None,
        )
        cluster.stack_id = f"rack-{cluster.uuid}"
        # Magnum saves it after this: killed before, it would have a cluster whose authority nobody finds.
        cluster.save()
        description.write_spec(description.folder(cluster.uuid), spec)

    def update_cluster(self, context: Any, cluster: Any, scale_manager: Any = None, rollback: bool = False) -> None:
        """Describes a cluster of another size."""
        _check_size(cluster.master_count, cluster.node_count)
        _change(cluster, workers=cluster.node_count)

    def resize_cluster(
        self,
        context: Any,
        cluster: Any,
        resize_manager: Any,
        node_count: int,
        nodes_to_remove: list[str],
        nodegroup: Any = None,
    ) -> None:
        """Describes a cluster of another size, without the workers that the user names."""
        _check_size(cluster.master_count, node_count)
        _change(cluster, workers=node_count, remove=tuple(nodes_to_remove or ()))

    def delete_cluster(self, context: Any, cluster: Any) -> None:
        """Describes a cluster that should not be there."""
        _change(cluster, deleted=True)

    def update_cluster_status(self, context: Any, cluster: Any, use_admin_ctx: bool = False) -> None:
        """Tells Magnum what the rack has reached."""
        folder = description.folder(cluster.uuid)
        spec, status = description.read_spec(folder), description.read_status(folder)
        if spec is None:
            # Magnum also asks before it has had a cluster made, when there is nothing to be told.
            if cluster.status == fields.ClusterStatus.DELETE_IN_PROGRESS:
                _save(cluster, fields.ClusterStatus.DELETE_COMPLETE)
        elif status is not None and status.generation == spec.generation and status.state != "working":
            _save_reached(cluster, status)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise exception.NotSupported("localcloud does not do that: it creates, resizes and deletes clusters.")

    upgrade_cluster = _refuse
    create_nodegroup = update_nodegroup = delete_nodegroup = _refuse
    create_federation = update_federation = delete_federation = _refuse


def _check_size(masters: int, workers: int) -> None:
    if masters != 1:
        raise exception.NotSupported(f"A cluster of localcloud has 1 master node, not {masters}.")
    if workers > MAX_WORKERS:
        raise exception.NotSupported(f"A cluster of localcloud has at most {MAX_WORKERS} worker nodes, not {workers}.")


def _change(cluster: Any, **changes: Any) -> None:
    folder = description.folder(cluster.uuid)
    spec = description.read_spec(folder)
    if spec is not None:  # a cluster that was refused has none
        changed = replace(spec, generation=spec.generation + 1, deadline=None, **changes)
        description.write_spec(folder, changed)


def _save_reached(cluster: Any, status: Status) -> None:
    action = cluster.status.split("_")[0]
    reached = f"{action}_COMPLETE" if status.state == "ready" else f"{action}_FAILED"
    for group in cluster.nodegroups:
        group.node_addresses = status.control_plane if group.role == "master" else status.workers
        group.status = reached
        group.save()
    if status.state == "ready":
        cluster.api_address, cluster.coe_version = status.api_url, status.version
    _save(cluster, reached, status.reason or None)


def _save(cluster: Any, status: str, reason: str | None = None) -> None:
    cluster.status, cluster.status_reason = status, reason
    cluster.save()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
