# Copyright: astrok8s contributors
# Apache-2.0
"""A cloud's object storage: where its S3 is, a key for it, and buckets."""

import json
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .errors import MagnumError

_MARK = "astrok8s"


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

    try:
        own = _own(connection)
        if not own and make:
            own = [_make_key(connection)]
    except (Forbidden, NotFound) as error:  # NotFound: this Keystone makes no such keys
        raise MagnumError(
            f"Keystone gives no key of object storage: {error}.",
            "See whether `openstack ec2 credentials create` works; application credentials may not.",
        ) from error
    return own[0] if own else None


def keys(connection: Any) -> list[str]:
    """Returns the names of the keys that astrok8s has made for the user, this project and this region.

    Args:
        connection: An openstacksdk connection, authenticated.
    """
    from keystoneauth1.exceptions import Forbidden, NotFound

    try:
        return [key.access for key in _own(connection) if key.access.startswith(_mark(connection))]
    except (Forbidden, NotFound):  # of a user who has no right to any, or a Keystone without
        return []


def _own(connection: Any) -> list[Key]:
    """Returns the keys that the user has for the project, but for those that astrok8s has made for other regions."""
    path, project = f"/users/{connection.current_user_id}/credentials/OS-EC2", connection.current_project_id
    entries = connection.identity.get(path, raise_exc=True).json()["credentials"]
    return [
        Key(entry["access"], entry["secret"])
        for entry in entries
        # Not one that a trust has made for somebody else to act with.
        if entry["tenant_id"] == project
        and not entry.get("trust_id")
        and not _is_elsewhere(connection, entry["access"])
    ]


def _make_key(connection: Any) -> Key:
    """Has Keystone keep a key whose name says that it is astrok8s's, so that it can go when no cluster needs it."""
    from keystoneauth1.exceptions import Forbidden

    user, project = connection.current_user_id, connection.current_project_id
    key = Key(_mark(connection) + secrets.token_hex(8), secrets.token_hex(16))
    asked = {"type": "ec2", "user_id": user, "project_id": project}
    asked["blob"] = json.dumps({"access": key.access, "secret": key.secret})
    try:
        connection.identity.post("/credentials", json={"credential": asked}, raise_exc=True)
    except Forbidden:  # before Keystone 15 (Stein) users had keys made, with names that say nothing
        path = f"/users/{user}/credentials/OS-EC2"
        made = connection.identity.post(path, json={"tenant_id": project}, raise_exc=True).json()["credential"]
        return Key(made["access"], made["secret"])
    return key


def _mark(connection: Any) -> str:
    """Returns how names of keys begin that astrok8s makes: a user has one list of them for all regions of a cloud."""
    region = connection.config.get_region_name() or ""
    return _MARK + sha256(region.encode()).hexdigest()[:8]


def _is_elsewhere(connection: Any, access: str) -> bool:
    made = re.fullmatch(_MARK + "[0-9a-f]{24}", access)
    return bool(made) and not access.startswith(_mark(connection))


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
