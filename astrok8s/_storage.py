"""The cloud's object storage, as Spark's `s3a://` knows it."""

from collections.abc import Callable
from typing import Any


def properties(connection: Any, say: Callable[[str], None]) -> dict[str, str]:
    """Returns Spark's properties for the S3 of a cloud, with a key of the connected user; none where there is no S3.

    Args:
        connection: An openstacksdk connection, authenticated.
        say: Is told when there is S3 and no key, as with an application credential.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import storage
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    where = storage.s3(connection)
    if where is None:
        return {}
    options = {
        "endpoint": where.url,
        "endpoint.region": where.region,
        "path.style.access": "true",
        # Swift cannot check a signature of each chunk, S3A's default: it would have to read the secret.
        "s3.signing-algorithm": "AWS4UnsignedPayloadSignerType",
        # No other: a session token of AWS in the environment would be sent with our key.
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    }
    try:
        if key := storage.key(connection):
            options |= {"access.key": key.access, "secret.key": key.secret}
    except MagnumError as error:
        say(f"going on without a key of object storage, which conf may name: {error}")
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in options.items()}


def event_log(connection: Any, folder: str, say: Callable[[str], None]) -> dict[str, str]:
    """Returns Spark's properties for an event log; none where it could not be written: a session is worth more.

    Args:
        connection: An openstacksdk connection, authenticated.
        folder: Where event logs are kept, as `s3a://BUCKET/`.
        say: Is told why there will be none.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import storage
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    bucket = folder.removeprefix("s3a://").partition("/")[0]
    try:
        if not storage.check_bucket(connection, bucket):
            say(f"this session will not be in the history: bucket {bucket} is gone; provision the cluster again")
            return {}
    except MagnumError as error:
        say(f"this session will not be in the history: {error}")
        return {}
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder,
        # A file of an object storage is there when it is closed: a session that goes on shows what it has closed.
        "spark.eventLog.rolling.enabled": "true",
        "spark.eventLog.compress": "true",
        "spark.eventLog.compression.codec": "zstd",
    }
