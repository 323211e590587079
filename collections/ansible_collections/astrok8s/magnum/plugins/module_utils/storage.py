# Copyright: astrok8s contributors
# Apache-2.0
"""Object storage with S3: where it is, the user's key to it, and the bucket."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

LABEL = "astrok8s"
"""Key in a credential's blob that tells what it was made for: Keystone's credentials have no names."""

NAME = r"(?=.{3,63}$)[a-z0-9][a-z0-9-]*[a-z0-9]"
"""Names of buckets that every S3 allows, also as part of a host's name; S3A takes no dots in them."""

SECONDS = 5.0
"""For a connection, and then for an answer."""


class StorageError(Exception):
    """What went wrong, with the values and the remedy."""


@dataclass(frozen=True)
class Key:
    """An access key, as Keystone's EC2 credentials are."""

    access: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Place:
    """A bucket, which may not be there yet.

    Attributes:
        endpoint: URL of the S3 service.
        region: Its region, which is part of every signature.
        bucket: Name of the bucket.
    """

    endpoint: str
    region: str
    bucket: str


def place(connection: Any, endpoint: str = "", region: str = "", bucket: str = "") -> Place | None:
    """Return where the user's bucket is; None if the cloud's catalogue has no S3.

    Args:
        connection: An authenticated openstacksdk connection.
        endpoint: URL of another S3 than the catalogue's.
        region: Another region than the connection's.
        bucket: Another name than `bucket_of` gives.

    Raises:
        StorageError: The endpoint is no URL, or no bucket can have that name.
    """
    found = endpoint or connection.endpoint_for("s3", interface=connection.config.get_interface("s3") or "public")
    if not found:
        return None
    url = urlsplit(found)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise StorageError(
            f"{found!r} cannot be the endpoint of S3: it is a URL such as https://s3.example.org, without a path; "
            "correct spark_storage_endpoint"
        )
    name = bucket or bucket_of(connection)
    if not re.fullmatch(NAME, name):
        raise StorageError(
            f"{name!r} cannot be the name of a bucket: S3 wants 3 to 63 lower-case letters, digits and hyphens, no "
            "hyphen first or last; correct spark_storage_bucket, or leave it empty"
        )
    known = region or connection.config.get_region_name("s3") or _region_of(connection, found)
    return Place(found.rstrip("/"), known or "us-east-1", name)


def bucket_of(connection: Any) -> str:
    """Return the name of the user's bucket: ``spark-USER-`` and eight digits that no other user or project has.

    Swift's buckets are named per project, but other S3 services have one set of names for all.
    """
    auth = connection.session.auth.get_access(connection.session)
    word = re.sub(r"[^a-z0-9]+", "-", (auth.username or "user").lower()).strip("-")[:40].strip("-") or "user"
    digits = hashlib.sha256(f"{auth.user_id} {auth.project_id}".encode()).hexdigest()[:8]
    return f"spark-{word}-{digits}"


def _region_of(connection: Any, url: str) -> str:
    for service in connection.service_catalog:
        if service["type"] == "s3":
            for endpoint in service["endpoints"]:
                if endpoint["url"] == url:
                    return str(endpoint.get("region") or "")
    return ""


class Keys:
    """The user's EC2 credentials that were made for one purpose.

    Args:
        connection: An authenticated openstacksdk connection.
        label: The purpose.
    """

    def __init__(self, connection: Any, label: str) -> None:
        self._identity, self._label = connection.identity, label
        self._user, self._project = connection.current_user_id, connection.current_project_id

    def all(self) -> list[tuple[str, Key]]:
        """Return those that there are, each with its ID; the first is the one to use.

        Raises:
            StorageError: Keystone refuses.
        """
        from openstack.exceptions import SDKException

        try:
            found = list(self._identity.credentials(type="ec2", user_id=self._user))
        except SDKException as error:
            raise self._refused("list", error) from error
        mine = []
        for credential in found:
            blob = json.loads(credential.blob)
            if blob.get(LABEL) == self._label and credential.project_id == self._project:
                mine.append((credential.id, Key(blob["access"], blob["secret"])))
        return sorted(mine, key=lambda pair: pair[0])

    def create(self) -> Key:
        """Make one and return it; when two runs make one together, both get the same.

        Raises:
            StorageError: Keystone refuses.
        """
        from openstack.exceptions import SDKException

        key = Key(secrets.token_hex(16), secrets.token_hex(16))
        blob = json.dumps({"access": key.access, "secret": key.secret, LABEL: self._label})
        try:
            made = self._identity.create_credential(type="ec2", blob=blob, user_id=self._user, project_id=self._project)
            first = self.all()[0]
            if first[0] != made.id:
                self.delete(made.id)
        except SDKException as error:
            raise self._refused("make", error) from error
        return first[1]

    def delete(self, credential: str) -> None:
        """Delete one; it is refused from then on.

        Raises:
            StorageError: Keystone refuses.
        """
        from openstack.exceptions import SDKException

        try:
            self._identity.delete_credential(credential, ignore_missing=True)
        except SDKException as error:
            raise self._refused("delete", error) from error

    def _refused(self, what: str, error: Exception) -> StorageError:
        return StorageError(
            f"Keystone does not let user {self._user} {what} EC2 credentials ({error}); application credentials may "
            "not: log in with a password, or give a key of yours, by spark_storage_access_key and …_secret_key"
        )


class Bucket:
    """A bucket by S3's own protocol.

    Args:
        place: Where it is.
        key: Of its user.
        seconds: For a connection, and then for an answer.
        attempts: How often each is tried.
    """

    def __init__(self, place: Place, key: Key, seconds: float = SECONDS, attempts: int = 2) -> None:
        from boto3.session import Session
        from botocore.config import Config

        self._place = place
        session = Session(aws_access_key_id=key.access, aws_secret_access_key=key.secret, region_name=place.region)
        self._s3 = session.client(
            "s3",
            endpoint_url=place.endpoint,
            config=Config(
                connect_timeout=seconds,
                read_timeout=seconds,
                retries={"total_max_attempts": attempts},
                s3={"addressing_style": "path"},
                # only where S3 wants one: not all know Amazon's newer ones
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def exists(self) -> bool:
        """Whether it is there, and this key may list it.

        Raises:
            StorageError: S3 refuses or does not answer.
        """
        return self._call("list", self._s3.list_objects_v2, MaxKeys=1) is not None

    def create(self) -> None:
        """Make it.

        Raises:
            StorageError: S3 refuses or does not answer.
        """
        self._call("create", self._s3.create_bucket)

    def has(self, name: str) -> bool:
        """Whether it has an object of this name.

        Raises:
            StorageError: S3 refuses or does not answer.
        """
        return self._call("read", self._s3.head_object, Key=name) is not None

    def mark(self, folder: str) -> None:
        """Make an empty object that stands for a folder, as S3A does.

        Raises:
            StorageError: S3 refuses or does not answer.
        """
        self._call("write to", self._s3.put_object, Key=f"{folder}/", Body=b"")

    def upload(self, name: str, file: BinaryIO) -> None:
        """Make an object of a file's content, in parts if it is large; it is there whole, or not at all.

        Raises:
            StorageError: S3 refuses or does not answer.
        """
        # not upload_file: it hides what S3 answers behind an error of its own
        self._call("write to", self._s3.upload_fileobj, Fileobj=file, Key=name)

    def _call(self, verb: str, function: Any, **arguments: Any) -> Any:
        """Return what S3 answers; None if there is no such thing."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"bucket {self._place.bucket} at {self._place.endpoint}"
        try:
            return function(Bucket=self._place.bucket, **arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # an answer to HEAD has no words; a list without any is not S3's
            if code in ("NoSuchBucket", "NoSuchKey") or (code == "404" and "Key" in arguments):
                return None
            if code in ("BucketAlreadyExists", "AccessDenied", "403"):
                raise StorageError(
                    f"this key may not {verb} {where} ({code}); ask for the right to (in OpenStack: role member in the "
                    "project), or set spark_storage_bucket to a bucket of yours"
                ) from error
            raise StorageError(
                f"S3 does not {verb} {where} ({code}: {error.response['Error'].get('Message', '')}); see whether "
                "spark_storage_endpoint, spark_storage_region and the key belong together"
            ) from error
        except BotoCoreError as error:
            raise StorageError(
                f"cannot {verb} {where}: it does not answer as S3 does ({error}); see whether it is up, and whether "
                "spark_storage_endpoint is right"
            ) from error


def probe(place: Place) -> None:
    """Check that an endpoint speaks S3, by a key that it cannot know.

    Raises:
        StorageError: It does not, or does not answer.
    """
    try:
        Bucket(place, Key(secrets.token_hex(16), secrets.token_hex(16))).exists()
    except StorageError as error:
        from botocore.exceptions import ClientError

        cause = error.__cause__
        refused = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
        if not isinstance(cause, ClientError) or cause.response["Error"]["Code"] not in refused:
            raise StorageError(
                f"{place.endpoint} is no S3 that can be reached ({cause}); set spark_storage_endpoint to one, or to '' "
                "for the one of Keystone's catalogue"
            ) from error
        return
    raise StorageError(f"{place.endpoint} is no S3: it takes any key; correct spark_storage_endpoint")
