"""The cloud's object storage, as Spark's `s3a://` knows it."""

from collections.abc import Callable
from typing import Any


def properties(connection: Any, say: Callable[[str], None]) -> dict[str, str]:
    """Returns Spark's properties for the S3 of a cloud, with a key of the connected user; none where there is no S3.

    Args:
        connection: An openstacksdk connection, authenticated.
        say: Is told when there is S3 and no key, as with an application credential.
    """
    from keystoneauth1.exceptions import CatalogException, Forbidden, NotFound

    config, session = connection.config, connection.session
    try:
        entry = session.auth.get_access(session).service_catalog.endpoint_data_for(
            service_type="s3", interface=config.get_interface("s3"), region_name=config.get_region_name("s3")
        )
    except CatalogException:
        return {}
    options = {
        "endpoint": entry.url,
        "endpoint.region": entry.region_name,
        "path.style.access": "true",
        # Swift cannot check a signature of each chunk, S3A's default: it would have to read the secret.
        "s3.signing-algorithm": "AWS4UnsignedPayloadSignerType",
        # No other: a session token of AWS in the environment would be sent with our key.
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    }
    try:
        key = _key(connection)
        options |= {"access.key": key["access"], "secret.key": key["secret"]}
    except (Forbidden, NotFound) as error:  # NotFound: this Keystone makes no such keys
        say(f"going on without a key of object storage, which conf may name; Keystone gives none: {error}")
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in options.items()}


def _key(connection: Any) -> dict[str, str]:
    """Returns a key that the user has for the project; Keystone makes it where there is none."""
    path, project = f"/users/{connection.current_user_id}/credentials/OS-EC2", connection.current_project_id
    keys: list[dict[str, str]] = connection.identity.get(path, raise_exc=True).json()["credentials"]
    # Not one that a trust has made for somebody else to act with.
    if own := [key for key in keys if key["tenant_id"] == project and not key.get("trust_id")]:
        return own[0]
    made = connection.identity.post(path, json={"tenant_id": project}, raise_exc=True).json()
    return dict(made["credential"])
