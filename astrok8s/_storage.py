"""The cloud's object storage, as Spark's `s3a://` knows it."""

from collections.abc import Callable, Mapping
from typing import Any

KEY = "spark.hadoop.fs.s3a.access.key"
"""The name of a key of object storage, as Spark knows it."""

_ENDPOINT = "spark.hadoop.fs.s3a.endpoint"
_LOG = "spark.eventLog.dir"


def is_known(base: Mapping[str, str]) -> bool:
    """Returns whether a cluster knows of object storage.

    Args:
        base: What it tells sessions.
    """
    return _ENDPOINT in base


def key_properties(connection: Any, base: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """Returns Spark's properties for a key of the connected user; none where the cluster knows of no object storage.

    Args:
        connection: An openstacksdk connection, authenticated.
        base: What the cluster tells sessions.
        say: Is told when there is storage and no key, as with an application credential.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import storage
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    if not is_known(base):
        return {}
    try:
        key = storage.key(connection)
    except MagnumError as error:
        say(f"going on without a key of object storage, which conf may name: {error}")
        return {}
    return {KEY: key.access, "spark.hadoop.fs.s3a.secret.key": key.secret} if key else {}


def event_log(connection: Any, conf: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """Returns Spark's properties for an event log; none where it could not be written: a session is worth more.

    Args:
        connection: An openstacksdk connection, authenticated.
        conf: What the cluster tells sessions of the event log.
        say: Is told why there will be none.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import storage
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    if _LOG not in conf:
        return {}
    bucket = conf[_LOG].removeprefix("s3a://").partition("/")[0]
    try:
        if not storage.check_bucket(connection, bucket):
            say(f"this session will not be in the history: bucket {bucket} is gone; provision the cluster again")
            return {}
    except MagnumError as error:
        say(f"this session will not be in the history: {error}")
        return {}
    return dict(conf)
