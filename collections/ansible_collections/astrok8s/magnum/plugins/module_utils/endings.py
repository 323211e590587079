# Copyright: astrok8s contributors
# Apache-2.0
"""What became of clusters: a record of each end, in a bucket that outlives them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from .errors import MagnumError
from .storage import check_bucket, check_bucket_name, make_bucket

ITSELF = "itself"
"""By whom a cluster ends whose time is over."""

_FOLDER = "ended"
_UUID = 36  # characters


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a cluster.

    Attributes:
        cluster: Its name.
        uuid: Magnum's name for it.
        size: Its number of worker nodes.
        since: From when it lived, UTC.
        ended: When somebody ended it, UTC.
        why: Why, as the end of a sentence: "its time of 12h was over".
        by: Who ended it: a user's name, or "itself".
    """

    cluster: str
    uuid: str
    size: int
    since: datetime
    ended: datetime
    why: str
    by: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Ending":
        """Returns one from what a record holds."""
        since, ended = (datetime.fromisoformat(told[name]) for name in ("since", "ended"))
        rest: dict[str, Any] = {name: told[name] for name in ("cluster", "uuid", "size", "why", "by")}
        return cls(since=since, ended=ended, **rest)

    def sentence(self) -> str:
        """Returns it as a sentence."""
        by = "" if self.by == ITSELF else f" by {self.by}"
        return f"The cluster {self.cluster} ended at {self.ended:%Y-%m-%d %H:%M} UTC: {self.why}{by}."

    def tell(self) -> dict[str, Any]:
        """Returns what a record holds; times are of ISO 8601."""
        return asdict(self) | {"since": self.since.isoformat(), "ended": self.ended.isoformat()}


def place(connection: Any, bucket: str, name: str, uuid: str) -> str:
    """Returns the URL of the record of a cluster, by Swift's own API; empty where the cloud has no object storage.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: The bucket of the records; empty for none.
        name: The cluster's.
        uuid: Magnum's name for it.
    """
    url = _endpoint(connection) if bucket else ""
    return f"{url.rstrip('/')}/{bucket}/{_start(name)}{uuid}.json" if url else ""


def _start(name: str) -> str:
    """Returns how the records of clusters of a name begin.

    They are found by the name, of which this keeps a sum alone: an access rule of Keystone has 128 characters for all
    of a path.
    """
    return f"{_FOLDER}/{crc32(name.encode()):08x}-"


def ready(connection: Any, bucket: str, *, make: bool = True) -> bool:
    """Makes sure that there is a bucket for records; returns whether it was missing.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: Its name; empty for none.
        make: Make it; otherwise it is only looked for.

    Raises:
        MagnumError: There cannot be one of that name, or the object storage does not answer, or refuses.
    """
    if not bucket:
        return False
    check_bucket_name(bucket)
    missing = bool(_endpoint(connection)) and not check_bucket(connection, bucket)
    if missing and make:
        make_bucket(connection, bucket)
    return missing


def write(connection: Any, bucket: str, ending: Ending) -> None:
    """Writes a record.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: The bucket of the records; where it is empty, or the cloud has no object storage, nothing is written.
        ending: What is written.

    Raises:
        MagnumError: The object storage does not answer, or refuses.
    """
    from keystoneauth1.exceptions import ClientException

    url = place(connection, bucket, ending.cluster, ending.uuid)
    try:
        if url:
            connection.object_store.put(url, json=ending.tell(), raise_exc=True)
    except ClientException as error:
        raise MagnumError(
            f"Why the cluster {ending.cluster} ended is not written into bucket {bucket}: {error}.",
            f"See whether `openstack container show {bucket}` works.",
        ) from error


def records(connection: Any, bucket: str, most: int = 100, *, name: str = "") -> Iterator[Ending]:
    """Yields the records, the latest first; none where there is no bucket, or no object storage.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: The bucket of the records.
        most: How many.
        name: Of clusters of this name alone; of all if empty.
    """
    start = _start(name) if name else f"{_FOLDER}/"
    listed = _listed(connection, bucket, start) if _endpoint(connection) else ()
    for _, path in sorted(listed, reverse=True)[:most]:
        ending = Ending.read(connection.object_store.get(f"/{bucket}/{path}", raise_exc=True).json())
        if name in ("", ending.cluster):  # two names may have one sum
            yield ending


def ended(connection: Any, bucket: str) -> set[str]:
    """Returns the UUIDs of the clusters that have a record; none where there is no bucket, or no object storage.

    Args:
        connection: An openstacksdk connection, authenticated.
        bucket: The bucket of the records; empty for none.
    """
    listed = _listed(connection, bucket, f"{_FOLDER}/") if bucket and _endpoint(connection) else ()
    return {path.removesuffix(".json")[-_UUID:] for _, path in listed}


def _listed(connection: Any, bucket: str, start: str) -> Iterator[tuple[str, str]]:
    """Yields when the objects of a bucket were written whose names begin so, and the names, page by page."""
    from keystoneauth1.exceptions import NotFound

    marker = ""
    while True:
        query = {"prefix": start, "format": "json", "marker": marker}
        try:
            page = connection.object_store.get(f"/{bucket}", params=query, raise_exc=True).json()
        except NotFound:
            return
        if not page:
            return
        yield from ((entry["last_modified"], entry["name"]) for entry in page)
        marker = page[-1]["name"]


def _endpoint(connection: Any) -> str:
    from keystoneauth1.exceptions import CatalogException

    try:
        return str(connection.object_store.get_endpoint() or "")
    except CatalogException:
        return ""
