"""What object storage and history add to a session: properties, and a key that only files hold."""

from __future__ import annotations

import warnings
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astrok8s._errors import HistoryWarning
from astrok8s._spark import write_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import Bucket
    from kubernetes.client import CoreV1Api

STORAGE = "s3"
"""Config map and secret of object storage, made by the role spark_base."""

HISTORY = "history"
"""Config map of event logs, made by the role spark_history."""

PROPERTIES = "spark.properties"
"""Key in both config maps: properties for drivers, one a line."""

ANSWER_SECONDS = 3.0
"""How long a session's start waits for object storage before it goes on without an event log."""


@dataclass(frozen=True)
class Storage:
    """What a cluster tells of its object storage.

    Attributes:
        endpoint: URL of S3; empty if the cluster has none.
        region: Its region.
        bucket: The user's bucket.
        properties: Spark's, for ``s3a://``.
        history: Spark's, for event logs; empty if there is no history.
        credentials: The key, as a file for Amazon's SDK.
    """

    endpoint: str = ""
    region: str = ""
    bucket: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    history: Mapping[str, str] = field(default_factory=dict)
    credentials: bytes = field(default=b"", repr=False)


def storage_of(api: CoreV1Api, namespace: str) -> Storage:
    """Return what a namespace is told of object storage."""
    storage = data(api.list_namespaced_config_map, namespace, STORAGE)
    if not storage:
        return Storage()
    secret = data(api.list_namespaced_secret, namespace, STORAGE)
    history = data(api.list_namespaced_config_map, namespace, HISTORY)
    return Storage(
        storage["endpoint"],
        storage["region"],
        storage["bucket"],
        parse(storage[PROPERTIES]),
        parse(history.get(PROPERTIES, "")),
        b64decode(secret.get("credentials", "")),
    )


def parse(text: str) -> dict[str, str]:
    """Return the properties of a text with one a line, name first; lines that begin with # are comments."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs}


def session(storage: Storage, conf: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what storage adds to a session's properties, and to its driver's environment.

    Where object storage does not answer, the event log is left out, with a warning: Spark would not start with it.

    Args:
        storage: The cluster's.
        conf: What the user asks for.
    """
    if not storage.endpoint:
        return {}, {}
    environment = {"AWS_SHARED_CREDENTIALS_FILE": write_secret("s3", storage.credentials)}
    properties = dict(storage.properties)
    wanted = {**storage.history, **conf}
    if wanted.get("spark.eventLog.enabled") != "true":
        return properties, environment
    if wanted["spark.eventLog.dir"] == storage.history.get("spark.eventLog.dir") and (why := silent(storage)):
        warnings.warn(
            f"this session writes no history: {why}. It runs all the same; what it reads from or writes to s3a:// "
            "fails until object storage is back",
            HistoryWarning,
            stacklevel=3,
        )
        return properties, environment
    return {**properties, **storage.history}, environment


def silent(storage: Storage) -> str:
    """Return why nothing can be written to the bucket; empty if it can."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import StorageError

    bucket = bucket_of(storage)
    try:
        there = bucket.exists() and bucket.has("events/")
    except StorageError as error:
        return str(error)
    remedy = "provision the cluster again, which makes it"
    return "" if there else f"bucket {storage.bucket} at {storage.endpoint} has no folder events; {remedy}"


def bucket_of(storage: Storage, seconds: float = ANSWER_SECONDS, attempts: int = 1) -> Bucket:
    """Return the user's bucket.

    Args:
        storage: The cluster's.
        seconds: For a connection, and then for an answer.
        attempts: How often each is tried.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import Bucket, Key, Place

    profile = dict(line.split(" = ", 1) for line in storage.credentials.decode().splitlines() if " = " in line)
    key = Key(profile.get("aws_access_key_id", ""), profile.get("aws_secret_access_key", ""))
    return Bucket(Place(storage.endpoint, storage.region, storage.bucket), key, seconds, attempts)


def data(read: object, namespace: str, name: str) -> dict[str, str]:
    """Return what a config map or secret holds; nothing if there is none."""
    found = read(namespace, field_selector=f"metadata.name={name}").items  # type: ignore[operator]
    return dict(found[0].data or {}) if found else {}
