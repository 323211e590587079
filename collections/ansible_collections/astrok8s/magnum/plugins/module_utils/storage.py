# Copyright: astrok8s contributors
# Apache-2.0
"""A cloud's object storage: where its S3 is, a key for it, and buckets."""

import re
from dataclasses import dataclass, field
from typing import Any

from .errors import MagnumError


@dataclass(frozen=True)
class S3:
    """Where a cloud's S3 is.

    Attributes:
        url: Its URL.
        region: Its region, which signatures name.
    """

    url: str
    region: str


@dataclass(frozen=True)
class Key:
    """A key of S3.

    Attributes:
        access: Its name.
        secret: Its secret.
    """

    access: str
    secret: str = field(repr=False)


def s3(connection: Any) -> S3 | None:
    """Returns where the S3 of a cloud is; None where its catalogue has none.

    Args:
        connection: An openstacksdk connection, authenticated.
    """
    from keystoneauth1.exceptions import CatalogException

    config, session = connection.config, connection.session
    try:
        entry = session.auth.get_access(session).service_catalog.endpoint_data_for(
            service_type="s3", interface=config.get_interface("s3"), region_name=config.get_region_name("s3")
        )
    except CatalogException:
        return None
    return S3(entry.url, entry.region_name)


def key(connection: Any, *, make: bool = True) -> Key | None:
    """Returns a key that the user has for the project.

    Args:
        connection: An openstacksdk connection, authenticated.
        make: Let Keystone make it where there is none; otherwise None is returned then.

    Raises:
        MagnumError: Keystone gives none, as with an application credential.
    """
    from keystoneauth1.exceptions import Forbidden, NotFound

    path, project = f"/users/{connection.current_user_id}/credentials/OS-EC2", connection.current_project_id
    try:
        keys: list[dict[str, str]] = connection.identity.get(path, raise_exc=True).json()["credentials"]
        # Not one that a trust has made for somebody else to act with.
        own = [entry for entry in keys if entry["tenant_id"] == project and not entry.get("trust_id")]
        if not own and make:
            own = [connection.identity.post(path, json={"tenant_id": project}, raise_exc=True).json()["credential"]]
    except (Forbidden, NotFound) as error:  # NotFound: this Keystone makes no such keys
        raise MagnumError(
            f"Keystone gives no key of object storage: {error}.",
            "See whether `openstack ec2 credentials create` works; application credentials may not.",
        ) from error
    return Key(own[0]["access"], own[0]["secret"]) if own else None


def check_bucket_name(name: str) -> None:
    """Checks the name of a bucket by S3's rule (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).

    Raises:
        MagnumError: S3 would not find a bucket of that name.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise MagnumError(
            f"A bucket cannot have the name {name!r}.",
            "S3 wants 3 to 63 small letters, digits, dots and hyphens, with a letter or digit at both ends.",
        )


def check_bucket(connection: Any, name: str) -> bool:
    """Returns whether the project has a bucket.

    Args:
        connection: An openstacksdk connection, authenticated.
        name: Its name.

    Raises:
        MagnumError: The object storage does not answer, or refuses.
    """
    answer = _ask(connection, "HEAD", name)
    if answer.status_code not in (200, 204, 404):
        raise MagnumError(
            f"The object storage refuses bucket {name} (HTTP {answer.status_code}).",
            f"See whether `openstack container show {name}` works; ask for a role that may use it.",
        )
    return bool(answer.status_code != 404)


def make_bucket(connection: Any, name: str) -> None:
    """Makes a bucket; one that is there stays as it is.

    Raises:
        MagnumError: The object storage does not answer, or refuses.
    """
    answer = _ask(connection, "PUT", name)
    if answer.status_code >= 400:
        raise MagnumError(
            f"The object storage does not make bucket {name} (HTTP {answer.status_code}).",
            f"See whether `openstack container create {name}` works.",
        )


def _ask(connection: Any, method: str, bucket: str) -> Any:
    """Asks by Swift's own API, which every object storage of OpenStack has beside its S3."""
    from keystoneauth1.exceptions import ClientException

    try:
        # A storage that is busy says 503.
        retried = {"status_code_retries": 5, "retriable_status_codes": [503]}
        return connection.object_store.request(f"/{bucket}", method, raise_exc=False, **retried)
    except ClientException as error:
        raise MagnumError(
            f"The cloud's object storage does not answer: {error}.", "See that it is up: `openstack container list`."
        ) from error
