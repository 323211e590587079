"""A cluster as its cloud knows it: nothing about it is kept here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib import import_module
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from astrok8s import _endings
from astrok8s._cloud import cloud_name, connection_of, magnum_of
from astrok8s.errors import AstroK8sError, CloudError, ClusterNotFoundError

if TYPE_CHECKING:
    from astrok8s import attaching as _attaching
    from astrok8s import granting as _granting
    from astrok8s import history as _history
    from astrok8s import lifetimes as _lifetimes
    from astrok8s import logs as _logs


class _Method:
    """A method that is a function of another module, with its signature and its words; imported when it is used.

    Args:
        module: The module of astrok8s.
        name: The function, whose first argument is the cluster.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __get__(self, cluster: "Cluster | None", owner: type) -> Any:
        function = getattr(import_module(f"astrok8s.{self._module}"), self._name)
        return function if cluster is None else MethodType(function, cluster)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster of Magnum, as it was when the cloud was asked for it.

    After `with` a cluster is taken away, if the `provision()` that gives it has made it. One that was there stays.

    Example:
        >>> with astrok8s.provision("hyades", size=4) as cluster:
        ...     spark = cluster.attach()

    Attributes:
        name: Its name.
        uuid: Magnum's name for it.
        size: Its number of worker nodes.
        status: Magnum's word for its state, such as CREATE_COMPLETE.
        nodes: The addresses of its worker nodes.
        created: When Magnum was asked for it, with its time zone.
        template: The UUID of its cluster template.
        cloud: The entry of clouds.yaml that it was found by.
        made: Whether the `provision()` that gave it has made it.
    """

    name: str
    uuid: str
    size: int
    status: str
    nodes: tuple[str, ...]
    created: datetime
    template: str
    cloud: str
    made: bool = field(default=False, compare=False, repr=False)

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

    # Each is a function of another module, whose first argument is this cluster.
    if TYPE_CHECKING:
        attach = _attaching.attach
        history = _history.applications
        history_url = _history.url
        logs = _logs.logs
        grant = _granting.grant
        revoke = _granting.revoke
        grants = _granting.grants
        life = _lifetimes.life_of
        extend = _lifetimes.extend
    else:
        attach = _Method("attaching", "attach")
        history = _Method("history", "applications")
        history_url = _Method("history", "url")
        logs = _Method("logs", "logs")
        grant = _Method("granting", "grant")
        revoke = _Method("granting", "revoke")
        grants = _Method("granting", "grants")
        life = _Method("lifetimes", "life_of")
        extend = _Method("lifetimes", "extend")

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.made:
            self.destroy()

    def _repr_html_(self) -> str:
        values = {
            "status": self.status,
            "workers": self.size,
            "nodes": " ".join(self.nodes),
            "made": f"{self.created.astimezone():%Y-%m-%d %H:%M %Z}",
            "cloud": self.cloud,
        }
        rows = "".join(f"<tr><th>{key}</th><td>{escape(str(value))}</td></tr>" for key, value in values.items())
        return f"<table><caption>cluster <b>{escape(self.name)}</b></caption>{rows}</table>"


def list_clusters(*, cloud: str | None = None) -> list[Cluster]:
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
