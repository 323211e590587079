"""What clusters that are gone have left in OpenStack, and its removal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from astrok8s import _endings
from astrok8s._cloud import cloud_name, connection_of

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.orphans import Orphan


def find(cloud: str | None = None, *, bucket: str | None = None) -> "list[Orphan]":
    """Returns what clusters of the project that are gone have left, such as credentials and load balancers.

    Nothing of a run in progress is among it.

    Args:
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        bucket: The bucket of the records of ends; the default of the option `lifecycle_bucket` if None.

    Raises:
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import orphans

    with connection_of(cloud_name(cloud)) as connection:
        return orphans.find(connection, _endings.bucket() if bucket is None else bucket)


def remove(found: "Iterable[Orphan]", *, cloud: str | None = None, bucket: str | None = None) -> "dict[Orphan, str]":
    """Removes what `find` has found, as far as it is still an orphan: somebody may have been asked in between.

    Args:
        found: What is to go.
        cloud: As of `find`.
        bucket: As of `find`.

    Returns:
        What is left of it, with the reason and what to do about it, as sentences.

    Raises:
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import orphans

    still = {(orphan.kind, orphan.id) for orphan in find(cloud, bucket=bucket)}
    with connection_of(cloud_name(cloud)) as connection:
        tried = {orphan: orphans.remove(connection, orphan) for orphan in found if (orphan.kind, orphan.id) in still}
    return {orphan: wrong for orphan, wrong in tried.items() if wrong}
