"""Object storage of a box, as users reach it: keys by the unmodified `openstack`, S3 by a client that is not ours."""

import io
import json

from boxes import Box
from minio import Minio

REGION = "RegionOne"


def endpoint(box: Box) -> str:
    """Returns the URL of S3, as the catalogue says it."""
    run = box.openstack("catalog", "show", "s3", "-f", "json")
    assert run.returncode == 0, run.stderr
    urls = {entry["interface"]: str(entry["url"]) for entry in json.loads(run.stdout)["endpoints"]}
    return urls["public"]


def new_key(box: Box, *account: str) -> dict[str, str]:
    """Makes an access key.

    Args:
        box: The box.
        account: Options of `openstack` that name another account than the cloud's user.
    """
    run = box.openstack(*account, "ec2", "credentials", "create", "-f", "json")
    assert run.returncode == 0, run.stderr
    key: dict[str, str] = json.loads(run.stdout)
    return key


def key(box: Box) -> dict[str, str]:
    """Returns the key of the cloud's user, who has one and no more."""
    run = box.openstack("ec2", "credentials", "list", "-f", "json")
    assert run.returncode == 0, run.stderr
    (entry,) = json.loads(run.stdout)
    return {"access": entry["Access"], "secret": entry["Secret"]}


def client(url: str, key: dict[str, str]) -> Minio:
    """Returns a client of S3 with a key."""
    host = url.removeprefix("http://")
    return Minio(endpoint=host, access_key=key["access"], secret_key=key["secret"], secure=False, region=REGION)


def put(s3: Minio, bucket: str, name: str, content: bytes) -> None:
    """Writes an object."""
    s3.put_object(bucket_name=bucket, object_name=name, data=io.BytesIO(content), length=len(content))


def get(s3: Minio, bucket: str, name: str) -> bytes:
    """Reads an object."""
    with s3.get_object(bucket_name=bucket, object_name=name) as answer:
        content: bytes = answer.data
    return content


def buckets(s3: Minio) -> list[str]:
    """Returns the names of the buckets that a key sees."""
    return [bucket.name for bucket in s3.list_buckets()]
