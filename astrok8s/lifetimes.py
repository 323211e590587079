"""How long clusters live, longer if somebody says so, and what became of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from astrok8s import _endings
from astrok8s._cloud import cloud_name, connection_of
from astrok8s._kubernetes import CoreV1Api, access_of, config_map, told
from astrok8s.clusters import Cluster
from astrok8s.errors import CloudError, OptionError

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.endings import Ending
    from ansible_collections.astrok8s.magnum.plugins.module_utils.lifetime import Lifetime

# Those of the role lifecycle.
_NAMESPACE, _NAME, _USE = "astrok8s", "lifecycle", "use"
# The watcher looks every ten seconds.
_SEEN_LATELY = timedelta(seconds=30)


@dataclass(frozen=True)
class Life:
    """How long a cluster lives that ends by itself.

    Attributes:
        end: When its time is over, UTC.
        idle: How long nobody may use it.
        used: When it was used last, as its watcher has seen it, UTC; when it was declared, if never.
    """

    end: datetime
    idle: timedelta
    used: datetime

    @property
    def idle_end(self) -> datetime:
        """When it ends if nobody uses it until then, UTC."""
        return min(self.end, self.used + self.idle)

    def __str__(self) -> str:
        unused = datetime.now(UTC) - self.used
        if unused < _SEEN_LATELY:
            return f"in use, ends at {_clock(self.end)}"
        return f"idle for {unused.total_seconds() // 60:.0f} min, ends at {_clock(self.idle_end)}"


def life_of(cluster: Cluster) -> Life | None:
    """Returns how long a cluster lives; None where it does not end by itself.

    Args:
        cluster: The cluster.

    Raises:
        CloudError: The cloud or the cluster is not reached, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.lifetime import duration

    with told(cluster.name), connection_of(cluster.cloud) as connection, access_of(connection, cluster).api() as api:
        known, _ = _read(api)
        use = config_map(api, _NAMESPACE, _USE) or {}
    if known is None:
        return None
    used = datetime.fromisoformat(use["last"]) if "last" in use else known.since
    return Life(known.end, duration(known.idle), used)


def check_duration(text: str) -> None:
    """Checks that a text is a duration.

    Raises:
        OptionError: It is none.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
    from ansible_collections.astrok8s.magnum.plugins.module_utils.lifetime import duration

    try:
        duration(text)
    except MagnumError as error:
        raise OptionError("by", error.fact, remedy=error.remedy) from error


def extend(cluster: Cluster, by: str) -> datetime:
    """Lets a cluster live longer.

    Args:
        cluster: The cluster.
        by: By how much: a number and s, m, h or d, such as "4h".

    Returns:
        When it ends then, UTC.

    Raises:
        OptionError: It is no duration, or the site does not allow that.
        CloudError: The cloud or the cluster is not reached, or refuses; or the cluster does not end by itself.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import lifetime
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    try:
        lifetime.duration(by)  # before anybody is asked
        with (
            told(cluster.name),
            connection_of(cluster.cloud) as connection,
            access_of(connection, cluster).api() as api,
        ):
            known, held = _read(api)
            if known is None:
                fact = f"The cluster {cluster.name} does not end by itself."
                raise CloudError(fact, remedy="There is nothing to extend.")
            wanted = lifetime.extended(by, known)
            credential, record = held["credential"], held.get("record", "")
            if not lifetime.has_good(connection, credential, cluster.uuid, wanted.end, record):
                of = {"uuid": cluster.uuid, "name": cluster.name}
                made = lifetime.make_credential(connection, of, wanted.end, record)
                api.patch_namespaced_secret(_NAME, _NAMESPACE, {"stringData": made})  # the watcher reads it each time
                credential = made["id"]
            data = wanted.tell() | {"credential": credential}
            api.patch_namespaced_config_map(_NAME, _NAMESPACE, {"data": data})
    except MagnumError as error:
        raise OptionError("by", error.fact, remedy=error.remedy) from error
    return wanted.end


def _clock(time: datetime) -> str:
    """Returns a time of today as that of this machine's clock; of another day with its date."""
    local = time.astimezone()
    return f"{local:%H:%M}" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def ended(cloud: str | None = None, *, bucket: str | None = None, most: int = 100) -> "list[Ending]":
    """Returns what became of clusters of the project that are gone, the latest end first.

    Args:
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        bucket: The bucket of the records; the default of the option `lifecycle_bucket` if None.
        most: How many.

    Raises:
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import endings

    with connection_of(cloud_name(cloud)) as connection:
        return list(endings.records(connection, bucket or _endings.bucket(), most))


def _read(api: CoreV1Api) -> "tuple[Lifetime | None, dict[str, str]]":
    """Returns until when a cluster lives, and all that it tells of its end."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.lifetime import Lifetime

    found = config_map(api, _NAMESPACE, _NAME)
    return (Lifetime.read(found), found) if found else (None, {})
