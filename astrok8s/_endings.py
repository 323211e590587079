"""What became of clusters that are gone, by the records of the role lifecycle."""

from typing import TYPE_CHECKING, Any

from astrok8s.errors import ClusterNotFoundError

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.endings import Ending


def bucket() -> str:
    """Returns the bucket in which records are looked for: the default of the role."""
    from astrok8s.options import load_options

    return str(load_options()["lifecycle_bucket"].default)


def gone(connection: Any, name: str, uuid: str = "") -> ClusterNotFoundError | None:
    """Returns what to tell of a cluster that is gone; None where there is no record of its end.

    Args:
        connection: An openstacksdk connection, authenticated.
        name: The cluster's name.
        uuid: Magnum's name for it; the last cluster of that name if empty.
    """
    ending = _ending(connection, name, uuid)
    if ending is None:
        return None
    remedy = f"Make it again: astrok8s.provision({name!r}); ttl=… says how long it lives, and Cluster.extend() longer."
    return ClusterNotFoundError(ending.sentence(), remedy=remedy)


def _ending(connection: Any, name: str, uuid: str) -> "Ending | None":
    from ansible_collections.astrok8s.magnum.plugins.module_utils import endings
    from keystoneauth1.exceptions import ClientException

    try:
        found = endings.records(connection, bucket(), name=name)  # each is read as it is asked for
        return next((ending for ending in found if uuid in ("", ending.uuid)), None)
    except ClientException:  # the cluster is gone, whatever is known of it
        return None
