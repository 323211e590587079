"""A cluster as its cloud knows it: nothing about it is kept here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from astrok8s import _endings
from astrok8s._cloud import cloud_name, connection_of, magnum_of
from astrok8s.errors import AstroK8sError, CloudError, ClusterNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from astrok8s.granting import Grant
    from astrok8s.history import Application
    from astrok8s.lifetimes import Life


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster of Magnum, as it was when the cloud was asked for it.

    Attributes:
        name: Its name.
        uuid: Magnum's name for it.
        size: Its number of worker nodes.
        status: Magnum's word for its state, such as CREATE_COMPLETE.
        nodes: The addresses of its worker nodes.
        created: When Magnum was asked for it, with its time zone.
        template: The UUID of its cluster template.
        cloud: The entry of clouds.yaml that it was found by.
    """

    name: str
    uuid: str
    size: int
    status: str
    nodes: tuple[str, ...]
    created: datetime
    template: str
    cloud: str

    @classmethod
    def from_magnum(cls, body: Mapping[str, Any], cloud: str) -> "Cluster":
        """Returns a cluster from what Magnum's API tells of it."""
        return cls(
            name=body["name"],
            uuid=body["uuid"],
            size=int(body.get("node_count") or 0),
            status=str(body.get("status")),
            nodes=tuple(body.get("node_addresses") or ()),
            created=datetime.fromisoformat(body["created_at"]),
            template=body["cluster_template_id"],
            cloud=cloud,
        )

    def attach(self, **arguments: Any) -> "SparkSession":
        """Returns a Spark session on the cluster, as `astrok8s.attach` does."""
        from astrok8s.attaching import attach

        return attach(self, **arguments)

    def history(self, **arguments: Any) -> "list[Application]":
        """Returns the sessions of all clusters of the project, as `astrok8s.history.applications` does."""
        from astrok8s.history import applications

        return applications(self, **arguments)

    def history_url(self, **arguments: Any) -> str:
        """Returns an address of Spark's pages of the history, as `astrok8s.history.url` does."""
        from astrok8s.history import url

        return url(self, **arguments)

    def logs(self, service: str = "connect", **arguments: Any) -> str:
        """Returns what a service of the cluster has logged, as `astrok8s.logs.logs` does.

        Example:
            >>> print(cluster.logs("connect", lines=20))
        """
        from astrok8s.logs import logs

        return logs(self, service, **arguments)

    def grant(self, user: str, **arguments: Any) -> "Path":
        """Gives a user access, and returns the file of it, as `astrok8s.granting.grant` does."""
        from astrok8s.granting import grant

        return grant(self, user, **arguments)

    def revoke(self, user: str, **arguments: Any) -> None:
        """Takes a user's access, as `astrok8s.granting.revoke` does."""
        from astrok8s.granting import revoke

        revoke(self, user, **arguments)

    def grants(self) -> "list[Grant]":
        """Returns who has access, as `astrok8s.granting.grants` does."""
        from astrok8s.granting import grants

        return grants(self)

    def life(self) -> "Life | None":
        """Returns how long the cluster lives, as `astrok8s.lifetimes.life_of` does.

        Example:
            >>> print(cluster.life())
            idle for 12 min, ends at 14:05
        """
        from astrok8s.lifetimes import life_of

        return life_of(self)

    def extend(self, by: str) -> "datetime":
        """Lets the cluster live longer, as `astrok8s.lifetimes.extend` does.

        Example:
            >>> cluster.extend("4h")
        """
        from astrok8s.lifetimes import extend

        return extend(self, by)

    def gone(self) -> AstroK8sError | None:
        """Returns what to tell where the cluster is gone; None where it is there, or the cloud does not say."""
        from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum

        try:
            with connection_of(self.cloud) as connection:
                if Magnum(connection).details(self.uuid):
                    return None
                return _endings.gone(connection, self.name, self.uuid) or ClusterNotFoundError(
                    f"The cluster {self.name} is gone, and nobody has said why.",
                    remedy=f"Make it again: astrok8s.provision({self.name!r}).",
                )
        except CloudError:
            return None

    def resize(self, size: int, *, quiet: bool = False) -> "Cluster":
        """Gives the cluster another number of workers, as `astrok8s.provisioning.resize` does.

        Args:
            size: The number of worker nodes, at least 1.
            quiet: Show no progress.

        Returns:
            The cluster as it is then.

        Raises:
            OptionError: There can be no such size; nothing was run.
            ProvisionError: A task of the playbook failed.
        """
        from astrok8s.provisioning import resize

        return resize(self.name, size, cloud=self.cloud, quiet=quiet)

    def destroy(self, *, quiet: bool = False) -> None:
        """Takes the cluster away, and waits until it is gone.

        Args:
            quiet: Show no progress.

        Raises:
            ProvisionError: A task of the playbook failed.
        """
        from astrok8s.provisioning import destroy

        destroy(self.name, cloud=self.cloud, quiet=quiet)

    def _repr_html_(self) -> str:
        values = {"status": self.status, "workers": self.size, "nodes": " ".join(self.nodes), "cloud": self.cloud}
        rows = "".join(f"<tr><th>{key}</th><td>{escape(str(value))}</td></tr>" for key, value in values.items())
        return f"<table><caption>cluster <b>{escape(self.name)}</b></caption>{rows}</table>"


def list_clusters(cloud: str | None = None) -> list[Cluster]:
    """Returns the clusters of the project, in the order of their names.

    Args:
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.

    Raises:
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    name = cloud_name(cloud)
    with magnum_of(name) as magnum:
        bodies = magnum.all_details()
    return sorted((Cluster.from_magnum(body, name) for body in bodies), key=lambda cluster: cluster.name)


def get_cluster(name: str, *, cloud: str | None = None) -> Cluster:
    """Returns a cluster.

    Args:
        name: Its name.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.

    Raises:
        ClusterNotFoundError: There is none of that name; it says what became of it, where there is a record of that.
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum

    entry = cloud_name(cloud)
    with connection_of(entry) as connection:
        magnum = Magnum(connection)
        body = magnum.find(name)
        if body is None:
            if gone := _endings.gone(connection, name):
                raise gone
            names = ", ".join(sorted(other["name"] for other in magnum.clusters()))
            raise ClusterNotFoundError(
                f"The cloud {entry} has no cluster {name}; it has: {names or 'none'}.",
                remedy=f"{'Name one of these, or make' if names else 'Make'} it: astrok8s.provision({name!r}).",
            )
    return Cluster.from_magnum(body, entry)
