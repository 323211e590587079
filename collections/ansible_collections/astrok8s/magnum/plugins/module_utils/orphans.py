# Copyright: astrok8s contributors
# Apache-2.0
"""What clusters that are gone have left in OpenStack, and its removal.

What is to outlive them is none of it: what they were made of (template, image, network, keypair), and buckets.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import endings, lifetime, storage
from .magnum import Cluster, Magnum

CREDENTIAL, KEY = "application credential", "EC2 credential"
BALANCER, ADDRESS, VOLUME, PORT = "load balancer", "floating IP", "volume", "port"

# How Kubernetes' own parts for OpenStack say of which cluster something is (cloud-provider-openstack: the descriptions
# of what a Service of type LoadBalancer has, and the metadata of a volume of the Cinder CSI).
_SERVICE = re.compile(r"(?:Floating IP for )?Kubernetes .+ from cluster (\S+)")
_CLAIM = "cinder.csi.openstack.org/cluster"
# What Magnum's drivers name a cluster to these: by its UUID, or by its stack_id, its name with letters at random.
_NAMED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|.+-[a-z0-9]{12}")
# Octavia's port of a load balancer.
_BALANCED = re.compile(r"lb-([0-9a-f-]{36})")
_GOING = {"PENDING_DELETE", "DELETED", "deleting"}


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """Something that no cluster needs any more.

    Attributes:
        kind: What it is, in OpenStack's words.
        id: By which it is removed.
        name: Its name; its identity where it has none.
        cluster: Which cluster it was of; empty where that is not known.
        since: When it was made, UTC; None where that is not known.
        why: Why it is one, as the end of a sentence.
        removable: Whether it is astrok8s's or its cluster's without doubt. What is not is only shown.
    """

    kind: str
    id: str
    name: str
    cluster: str = ""
    since: datetime | None = None
    why: str
    removable: bool = True


def find(connection: Any, bucket: str) -> list[Orphan]:
    """Returns what clusters that are gone have left in the project, in the order in which it can be removed.

    Nothing of a run in progress is among it: each thing is made after its cluster, and clusters are looked at last.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: The bucket of the records of ends, which tell whose a load balancer was; empty for none.
    """
    made = list(_made_by_kubernetes(connection))
    credentials = lifetime.credentials(connection)
    own_keys = storage.keys(connection)
    clusters = Magnum(connection).all_details()
    gone = endings.ended(connection, bucket) if any(entry.cluster for entry in made) else set()
    gone |= {lifetime.cluster_of(entry["name"])[0] for entry in credentials}
    found = [orphan for entry in made if (orphan := judge(entry, clusters, gone))]
    return found + spare_credentials(credentials, clusters) + spare_keys(own_keys, clusters)


def judge(made: Orphan, clusters: Iterable[Cluster], known: set[str]) -> Orphan | None:
    """Returns something of Kubernetes' as an orphan; None where it is none.

    Args:
        made: It, as if its cluster were gone.
        clusters: Those that there are.
        known: The UUIDs of clusters that astrok8s had, whether they are gone or not.
    """
    if not made.cluster:  # a port, of which the cloud itself says that it is of no use
        return made
    living = {name for cluster in clusters for name in (cluster["uuid"], cluster.get("stack_id"), cluster["name"])}
    if made.cluster in living or not _NAMED.fullmatch(made.cluster):
        return None
    if made.cluster in known:
        return made
    return Orphan(**vars(made) | {"why": f"{made.why}, which may not be astrok8s's", "removable": False})


def spare_credentials(credentials: Iterable[dict[str, Any]], clusters: Iterable[Cluster]) -> list[Orphan]:
    """Returns those of the user's credentials with which clusters ended that are gone.

    Args:
        credentials: As `lifetime.credentials` returns them.
        clusters: Those that there are.
    """
    living, found = {cluster["uuid"] for cluster in clusters}, []
    for entry in credentials:
        of, since = lifetime.cluster_of(entry["name"])
        if of not in living:
            named = {"id": entry["id"], "name": entry["name"], "cluster": of, "since": since}
            found.append(Orphan(kind=CREDENTIAL, **named, why="its cluster is gone"))
    return found


def spare_keys(keys: Iterable[str], clusters: Iterable[Cluster]) -> list[Orphan]:
    """Returns those keys of object storage that no cluster can use: all, where the project has no cluster.

    Args:
        keys: The user's that astrok8s has made; sessions on clusters of others use them, too.
        clusters: Those that there are.
    """
    if any(clusters):
        return []
    return [Orphan(kind=KEY, id=key, name=key, why="the project has no cluster any more") for key in keys]


def remove(connection: Any, orphan: Orphan) -> str:
    """Removes something; of what goes by and by, the removal begins.

    Returns:
        What is wrong, and what to do about it; empty where it is gone, whoever did that.
    """
    from keystoneauth1.exceptions import ClientException, NotFound
    from openstack.exceptions import NotFoundException, SDKException

    user = f"/users/{connection.current_user_id}"
    ways: dict[str, Callable[[str], Any]] = {
        CREDENTIAL: lambda id_: _delete(connection, f"{user}/application_credentials/{id_}"),
        KEY: lambda id_: _delete(connection, f"{user}/credentials/OS-EC2/{id_}"),
        BALANCER: lambda id_: connection.load_balancer.delete_load_balancer(id_, cascade=True),
        ADDRESS: lambda id_: connection.network.delete_ip(id_),
        VOLUME: lambda id_: connection.block_storage.delete_volume(id_),
    }
    what = f"The {orphan.kind} {orphan.name}"
    if not orphan.removable:
        return f"{what} stays: it may not be astrok8s's. Remove it yourself if nobody needs it."
    try:
        ways[orphan.kind](orphan.id)
    except (NotFound, NotFoundException):
        return ""
    except (ClientException, SDKException) as error:
        return f"{what} is not removed: {error}. Remove it yourself, or ask somebody who may."
    return ""


def sweep(connection: Any, bucket: str) -> tuple[list[str], list[str]]:
    """Removes what clusters that are gone have left, as far as it is theirs without doubt.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: As of `find`.

    Returns:
        The names of what was removed, and what is wrong with what was not.
    """
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        found = find(connection, bucket)
    except (ClientException, SDKException) as error:  # nobody has to wait for that
        return [], [f"What clusters have left was not looked for: {error}. `astrok8s doctor --orphans` looks for it."]
    tried = {orphan.name: remove(connection, orphan) for orphan in found if orphan.removable}
    return [name for name, wrong in tried.items() if not wrong], [wrong for wrong in tried.values() if wrong]


def _made_by_kubernetes(connection: Any) -> Iterator[Orphan]:
    """Yields what Kubernetes' parts for OpenStack have made in the project for clusters, whether these are gone or not.

    What the catalogue lacks, and what the user may not list, has made nothing.
    """
    project = connection.current_project_id
    balancers = _listed(
        connection, "load-balancer", lambda: connection.load_balancer.load_balancers(project_id=project)
    )
    for balancer in balancers:
        named = _SERVICE.fullmatch(balancer.description or "")
        if named and balancer.provisioning_status not in _GOING:
            yield _orphan(BALANCER, balancer, named[1])
    for address in _listed(connection, "network", lambda: connection.network.ips(project_id=project)):
        if named := _SERVICE.fullmatch(address.description or ""):
            yield _orphan(ADDRESS, address, named[1])
    for volume in _listed(connection, "volume", lambda: connection.block_storage.volumes()):
        of = (volume.metadata or {}).get(_CLAIM)
        if of and not volume.attachments and volume.status not in _GOING:
            yield _orphan(VOLUME, volume, of)
    known = {balancer.id for balancer in balancers}
    for port in _listed(connection, "network", lambda: connection.network.ports(project_id=project)):
        of_balancer = _BALANCED.fullmatch(port.device_id or "")
        if of_balancer and of_balancer[1] not in known and "load-balancer" in _services(connection):
            why = f"its load balancer {of_balancer[1]} is gone"
            yield Orphan(kind=PORT, id=port.id, name=port.name or port.id, since=_time(port), why=why, removable=False)


def _orphan(kind: str, resource: Any, cluster: str) -> Orphan:
    name = getattr(resource, "floating_ip_address", None) or resource.name or resource.id
    since = _time(resource)
    return Orphan(kind=kind, id=resource.id, name=name, cluster=cluster, since=since, why="its cluster is gone")


def _listed(connection: Any, service: str, ask: Callable[[], Iterable[Any]]) -> list[Any]:
    from keystoneauth1.exceptions import Forbidden
    from openstack.exceptions import ForbiddenException

    if not any(kind.startswith(service) for kind in _services(connection)):
        return []
    try:
        return list(ask())
    except (Forbidden, ForbiddenException):
        return []


def _services(connection: Any) -> set[str]:
    """Returns what the catalogue has in the connection's region; `block-storage` also as `volume`, as it once was."""
    access = connection.session.auth.get_access(connection.session)
    region = connection.config.get_region_name() or None
    found = {kind for kind, urls in access.service_catalog.get_endpoints(region_name=region).items() if urls}
    return found | ({"volume"} if "block-storage" in found else set())


def _time(resource: Any) -> datetime | None:
    """Returns when something was made; services tell UTC, some without saying so."""
    if not resource.created_at:
        return None
    told = datetime.fromisoformat(resource.created_at)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _delete(connection: Any, path: str) -> None:
    connection.identity.delete(path, raise_exc=True)
