"""A cluster as its cloud knows it: nothing about it is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from astrok8s._cloud import cloud_name, magnum
from astrok8s._errors import ClusterNotFound
from astrok8s._options import check_name, check_size

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from astrok8s._history import Application


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster made by Magnum, as it was when it was asked for.

    Attributes:
        name: Unique in the project.
        uuid: Magnum's own.
        size: The number of worker nodes.
        status: Magnum's word, such as CREATE_COMPLETE.
        nodes: Addresses of the worker nodes.
        cloud: The clouds.yaml entry it was found by.
    """

    name: str
    uuid: str
    size: int
    status: str
    nodes: tuple[str, ...]
    cloud: str

    @classmethod
    def from_magnum(cls, body: Mapping[str, Any], cloud: str) -> Cluster:
        """Make one from what Magnum's API answers."""
        return cls(
            name=body["name"],
            uuid=body["uuid"],
            size=int(body.get("node_count") or 0),
            status=body.get("status") or "UNKNOWN",
            nodes=tuple(body.get("node_addresses") or ()),
            cloud=cloud,
        )

    def refresh(self) -> Cluster:
        """Return the cluster as it is now."""
        return get_cluster(self.name, cloud=self.cloud)

    def attach(self, **options: Any) -> SparkSession:
        """Return a Spark session on the cluster; see `astrok8s.attach`."""
        from astrok8s._attach import attach

        return attach(self, **options)

    def history(self, namespace: str = "spark") -> list[Application]:
        """Return the applications that ran on it and on the user's clusters before it, newest first.

        An application is there some seconds after its session has ended.

        Args:
            namespace: Where the history server is.

        Raises:
            HistoryError: There is no history server, or it does not answer.
        """
        from astrok8s._history import history

        return history(self, namespace)

    @property
    def history_url(self) -> str:
        """The history server's pages, for a browser on this machine, as long as this process lives.

        Raises:
            HistoryError: There is no history server, or it is not ready.
        """
        from astrok8s._history import history_url

        return history_url(self)

    def resize(self, size: int, **options: Any) -> Cluster:
        """Give it another number of workers, and wait for them; see `astrok8s.provision`."""
        from astrok8s._provision import provision

        return provision(self.name, size=check_size(size), cloud=self.cloud, **options)

    def destroy(self, **options: Any) -> None:
        """Take the cluster away, and wait until it is gone.

        Args:
            **options: Options of the roles, as `astrok8s.provision` takes them.

        Raises:
            ProvisionError: A task of the playbook failed.
        """
        from astrok8s._provision import destroy

        destroy(self.name, cloud=self.cloud, **options)

    def _repr_html_(self) -> str:
        rows = (
            ("status", self.status),
            ("workers", str(self.size)),
            ("nodes", " ".join(self.nodes)),
            ("cloud", self.cloud),
        )
        cells = "".join(f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in rows)
        return f"<table><caption>cluster <b>{escape(self.name)}</b></caption>{cells}</table>"


def list_clusters(cloud: str | None = None) -> list[Cluster]:
    """Return the project's clusters, by name.

    Args:
        cloud: Entry of clouds.yaml; default ``$OS_CLOUD``, else ``local``.

    Raises:
        CloudError: The cloud is unknown, cannot be reached, or refuses.
    """
    name = cloud_name(cloud)
    with magnum(name) as api:
        # The list view of Magnum's API leaves the addresses out.
        bodies = [api.find(body["uuid"]) or body for body in api.list()]
    return sorted((Cluster.from_magnum(body, name) for body in bodies), key=lambda cluster: cluster.name)


def get_cluster(name: str, *, cloud: str | None = None) -> Cluster:
    """Return one cluster.

    Args:
        name: Its name.
        cloud: Entry of clouds.yaml; default ``$OS_CLOUD``, else ``local``.

    Raises:
        ClusterNotFound: There is none of this name.
        CloudError: The cloud is unknown, cannot be reached, or refuses.
    """
    check_name(name)
    entry = cloud_name(cloud)
    with magnum(entry) as api:
        body = api.find(name)
        if body is None:
            there = ", ".join(sorted(other["name"] for other in api.list())) or "none"
            raise ClusterNotFound(
                f"cloud {entry} has no cluster {name} (it has: {there}); make it with astrok8s.provision({name!r})"
            )
    return Cluster.from_magnum(body, entry)
