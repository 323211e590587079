"""Object storage: S3 by a client that is not ours, Swift by OpenStack's, one project unseen by the other."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import Cloud, run
from kube import Kubectl, eventually
from site_yml import CLUSTER

BUCKET = "night-1"
PART = 5 * 2**20
"""Smallest size of a part but the last one."""

S3 = Callable[..., Any]


def keys(**environment: str) -> dict[str, str]:
    """Make an access key of OS_CLOUD's user."""
    said = run("openstack", "ec2", "credentials", "create", "-f", "json", **environment).stdout
    made: dict[str, str] = json.loads(said)
    return made


def refused(call: Callable[..., Any], **arguments: Any) -> int:
    """Return the HTTP status with which S3 refuses a call."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return int(error.value.response["ResponseMetadata"]["HTTPStatusCode"])


@pytest.fixture(scope="module")
def url(cloud: Cloud) -> str:
    """Return what Keystone's catalogue says of S3."""
    shown = json.loads(run("openstack", "catalog", "show", "s3", "-f", "json").stdout)
    return next(str(endpoint["url"]) for endpoint in shown["endpoints"] if endpoint["interface"] == "public")


@pytest.fixture(scope="module")
def s3(url: str) -> S3:
    """Return a maker of S3 clients, which try once and have the SDK's own settings otherwise."""

    def client(key: dict[str, str], **options: Any) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name="RegionOne",
            aws_access_key_id=key["access"],
            aws_secret_access_key=key["secret"],
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    return client


@pytest.fixture(scope="module")
def key(cloud: Cloud) -> dict[str, str]:
    """An access key of the cloud's user."""
    return keys()


@pytest.fixture(scope="module")
def mine(s3: S3, key: dict[str, str]) -> Any:
    """The user's S3, with a bucket."""
    client = s3(key)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def stranger(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user of another project."""
    admin = f"{cloud.name}-admin"
    run("openstack", "--os-cloud", admin, "project", "create", "other")
    run("openstack", "--os-cloud", admin, "user", "create", "stranger", "--project", "other", "--password", "secret")
    run("openstack", "--os-cloud", admin, "role", "add", "member", "--user", "stranger", "--project", "other")
    clouds = yaml.safe_load(Path(os.environ["OS_CLIENT_CONFIG_FILE"]).read_text())
    entry = clouds["clouds"][cloud.name]
    entry["auth"] |= {"username": "stranger", "password": "secret", "project_name": "other"}
    path = tmp_path_factory.mktemp("stranger") / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": {"stranger": entry}}))
    return {"OS_CLIENT_CONFIG_FILE": str(path), "OS_CLOUD": "stranger"}


def test_put_get_list_delete(mine: Any) -> None:
    mine.put_object(Bucket=BUCKET, Key="m31/image.fits", Body=b"SIMPLE  =", Metadata={"filter": "r"})
    found = mine.get_object(Bucket=BUCKET, Key="m31/image.fits")
    assert (found["Body"].read(), found["Metadata"]) == (b"SIMPLE  =", {"filter": "r"})
    part = mine.get_object(Bucket=BUCKET, Key="m31/image.fits", Range="bytes=0-5")
    assert part["Body"].read() == b"SIMPLE"
    mine.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "m31/image.fits"})
    listed = mine.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert [entry["Key"] for entry in listed["Contents"]] == ["copy"]
    assert [entry["Prefix"] for entry in listed["CommonPrefixes"]] == ["m31/"]
    mine.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}, {"Key": "m31/image.fits"}]})
    assert mine.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert refused(mine.get_object, Bucket=BUCKET, Key="copy") == 404


def test_upload_in_parts(mine: Any) -> None:
    parts = [bytes([number]) * PART for number in (1, 2)] + [b"end"]
    upload = mine.create_multipart_upload(Bucket=BUCKET, Key="catalogue")["UploadId"]
    arguments = {"Bucket": BUCKET, "Key": "catalogue", "UploadId": upload}
    made = [
        {"PartNumber": number, "ETag": mine.upload_part(**arguments, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(parts, 1)
    ]
    mine.complete_multipart_upload(**arguments, MultipartUpload={"Parts": made})
    assert mine.get_object(Bucket=BUCKET, Key="catalogue")["Body"].read() == b"".join(parts)
    mine.delete_object(Bucket=BUCKET, Key="catalogue")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_url(s3: S3, key: dict[str, str], mine: Any, version: str) -> None:
    mine.put_object(Bucket=BUCKET, Key="shared", Body=b"for a friend")
    arguments = {"Params": {"Bucket": BUCKET, "Key": "shared"}, "ExpiresIn": 60}
    link = s3(key, signature_version=version).generate_presigned_url("get_object", **arguments)
    assert urllib.request.urlopen(link, timeout=10).read() == b"for a friend"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace("shared", "another"), timeout=10)


def test_swift_has_the_same_data(mine: Any, tmp_path: Path) -> None:
    mine.put_object(Bucket=BUCKET, Key="by-s3", Body=b"1")
    (tmp_path / "by-swift").write_bytes(b"22")
    run("openstack", "object", "create", BUCKET, str(tmp_path / "by-swift"), "--name", "by-swift")
    listed = run("openstack", "object", "list", BUCKET, "--prefix", "by-", "-f", "value").stdout.split()
    assert listed == ["by-s3", "by-swift"]
    assert mine.get_object(Bucket=BUCKET, Key="by-swift")["Body"].read() == b"22"

    def total() -> int:
        shown = json.loads(run("openstack", "object", "store", "account", "show", "-f", "json").stdout)
        return int(shown["Objects"])

    eventually("the account to count them", lambda: total() >= 2, seconds=40)


def test_another_project_sees_nothing(s3: S3, mine: Any, stranger: dict[str, str]) -> None:
    mine.put_object(Bucket=BUCKET, Key="secret", Body=b"unpublished")
    theirs = s3(keys(**stranger))
    assert theirs.list_buckets()["Buckets"] == []
    for call in (theirs.get_object, theirs.head_object, theirs.delete_object):
        assert refused(call, Bucket=BUCKET, Key="secret") in (403, 404)
    assert refused(theirs.list_objects_v2, Bucket=BUCKET) in (403, 404)
    assert refused(theirs.put_object, Bucket=BUCKET, Key="secret", Body=b"") in (403, 404)
    assert run("openstack", "container", "list", "-f", "value", **stranger).stdout == ""
    # by Swift's API with the other's account in the URL
    token = run("openstack", "token", "issue", "-f", "value", "-c", "id", **stranger).stdout.strip()
    account = json.loads(run("openstack", "catalog", "show", "object-store", "-f", "json").stdout)["endpoints"][0][
        "url"
    ]
    for headers in ({"X-Auth-Token": token}, {}):
        request = urllib.request.Request(f"{account}/{BUCKET}/secret", headers=headers)
        with pytest.raises(urllib.error.HTTPError, match=r"40[13]"):
            urllib.request.urlopen(request, timeout=10)
    assert mine.get_object(Bucket=BUCKET, Key="secret")["Body"].read() == b"unpublished"


def test_wrong_keys_are_refused(s3: S3, key: dict[str, str]) -> None:
    assert refused(s3({**key, "secret": "0" * 32}).list_buckets) == 403
    assert refused(s3({**key, "access": "0" * 32}).list_buckets) == 403


def test_revoked_key_is_refused_at_once(s3: S3) -> None:
    key = keys()
    client = s3(key)
    client.list_buckets()
    run("openstack", "ec2", "credentials", "delete", key["access"])
    assert refused(client.list_buckets) == 403


def test_a_pod_reaches_it(mine: Any, tmp_path: Path) -> None:
    mine.put_object(Bucket=BUCKET, Key="for-pods", Body=b"from the machine")
    link = mine.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "for-pods"}, ExpiresIn=300)
    kubectl = Kubectl(CLUSTER, tmp_path)
    pod = ("run", "reader", "--image=docker.io/library/busybox:1.36", "--restart=Never", "--command", "--")
    kubectl(*pod, "wget", "-qO-", link)
    eventually("the pod to end", lambda: kubectl.get("pod", "reader")["status"]["phase"] in ("Succeeded", "Failed"))
    assert kubectl("logs", "reader") == "from the machine"
    kubectl("delete", "pod", "reader", "--wait=false")


def test_data_survives_down_and_up(mine: Any, tmp_path: Path) -> None:
    mine.put_object(Bucket=BUCKET, Key="kept", Body=b"Proxima")
    kubectl = Kubectl(CLUSTER, tmp_path)
    nodes = kubectl.ready_nodes()
    run("localcloud", "down")
    run("localcloud", "up")
    assert mine.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"Proxima"

    def back() -> bool:
        return bool(kubectl("get", "nodes", check=False)) and kubectl.ready_nodes() == nodes

    eventually("all nodes to be Ready", back, seconds=120)
