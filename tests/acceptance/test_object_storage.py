"""What object storage promises: S3 with keys of Keystone, kept by the box, one project unseen by another."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from boxes import LOCALCLOUD_BIN, ROOT, Box, until
from minio.error import S3Error
from storage import REGION, buckets, client, endpoint, get, new_key, put

BUCKET = "night-1"
PART = 5 * 2**20
VERSION = re.findall(r"^ARG SPARK_VERSION=(.+)$", (ROOT / "images/spark/Containerfile").read_text(), re.MULTILINE)[0]

# A Spark in one container, which has the key in its environment.
JOB = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: job}}
data:
  job.py: |
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spark.range(1000).repartition(2).write.parquet("s3a://{BUCKET}/range")
    total = spark.read.parquet("s3a://{BUCKET}/range").groupBy().sum("id").first()[0]
    print(f"read {{total}}")
---
apiVersion: v1
kind: Pod
metadata: {{name: job}}
spec:
  restartPolicy: Never
  containers:
    - name: job
      image: astrok8s/spark:{VERSION}
      args:
        - spark-submit
        - --master=local[1]
        - --conf=spark.hadoop.fs.s3a.endpoint=URL
        - --conf=spark.hadoop.fs.s3a.endpoint.region={REGION}
        - --conf=spark.hadoop.fs.s3a.path.style.access=true
        - --conf=spark.hadoop.fs.s3a.s3.signing-algorithm=AWS4UnsignedPayloadSignerType
        - /job/job.py
      envFrom: [{{secretRef: {{name: key}}}}]
      volumeMounts: [{{name: job, mountPath: /job}}]
  volumes:
    - name: job
      configMap: {{name: job}}
"""
STRANGER = ("--os-username", "stranger", "--os-password", "secret", "--os-project-name", "other")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(f"o{os.getpid()}", tmp_path_factory.mktemp("storage"))
    run = box.localcloud("up")
    assert run.returncode == 0, run.stderr
    yield box
    box.localcloud("destroy")


@pytest.fixture(scope="module")
def url(box: Box) -> str:
    return endpoint(box)


@pytest.fixture(scope="module")
def key(box: Box, url: str) -> dict[str, str]:
    """A key of the cloud's user, who has a bucket with an object."""
    key = new_key(box)
    s3 = client(url, key)
    s3.make_bucket(bucket_name=BUCKET)
    put(s3, BUCKET, "m31/image.fits", b"SIMPLE  =")
    return key


@pytest.fixture(scope="module")
def stranger(box: Box) -> tuple[str, ...]:
    """The options of `openstack` that name a user of another project."""
    clouds = str(box.home / "clouds.yaml")
    for command in (
        "project create other",
        "user create stranger --project other --password secret",
        "role add member --user stranger --project other",
    ):
        openstack = (str(LOCALCLOUD_BIN / "openstack"), "--os-cloud", f"{box.name}-admin")
        run = box.run(*openstack, *command.split(), OS_CLIENT_CONFIG_FILE=clouds)
        assert run.returncode == 0, run.stderr
    return STRANGER


def refused(error: pytest.ExceptionInfo[S3Error]) -> int:
    """Returns the status with which S3 refused."""
    return int(error.value.response.status)


def test_s3_and_swift_show_the_same_objects(box: Box, url: str, key: dict[str, str], tmp_path: Path) -> None:
    s3 = client(url, key)
    assert BUCKET in buckets(s3)
    assert [entry.object_name for entry in s3.list_objects(bucket_name=BUCKET)] == ["m31/"]
    assert get(s3, BUCKET, "m31/image.fits") == b"SIMPLE  ="
    (tmp_path / "by-swift").write_bytes(b"22")
    created = box.openstack("object", "create", BUCKET, str(tmp_path / "by-swift"), "--name", "by-swift")
    assert created.returncode == 0, created.stderr
    assert get(s3, BUCKET, "by-swift") == b"22"
    listed = box.openstack("object", "list", BUCKET, "-f", "value")
    assert listed.stdout.split() == ["by-swift", "m31/image.fits"]
    account = ("object", "store", "account", "show", "-f", "value", "-c", "Objects")
    until(lambda: box.openstack(*account), lambda run: run.stdout.strip() == "2")  # the updaters count


def test_an_upload_in_parts_is_one_object(url: str, key: dict[str, str]) -> None:
    s3, content = client(url, key), os.urandom(2 * PART + 1)
    s3.make_bucket(bucket_name="parts")
    put(s3, "parts", "catalogue", content)  # of this length, the client uploads it in parts
    assert get(s3, "parts", "catalogue") == content
    s3.remove_object(bucket_name="parts", object_name="catalogue")
    assert list(s3.list_objects(bucket_name="parts", recursive=True)) == []


def test_another_project_neither_sees_nor_reads_nor_writes(
    box: Box, url: str, key: dict[str, str], stranger: tuple[str, ...]
) -> None:
    theirs = client(url, new_key(box, *stranger))
    assert buckets(theirs) == []
    with pytest.raises(S3Error) as error:
        get(theirs, BUCKET, "m31/image.fits")
    assert refused(error) == 404
    with pytest.raises(S3Error) as error:
        put(theirs, BUCKET, "m31/image.fits", b"")
    assert refused(error) == 404
    project = box.openstack("token", "issue", "-f", "value", "-c", "project_id").stdout.strip()
    for path in (f"/v1/AUTH_{project}/{BUCKET}/m31/image.fits", f"/v1/AUTH_{project}"):
        token = box.openstack(*stranger, "token", "issue", "-f", "value", "-c", "id").stdout.strip()
        run = box.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-Auth-Token: {token}", url + path)
        assert run.stdout == "403"
    theirs.make_bucket(bucket_name=BUCKET)  # names are each project's own
    put(theirs, BUCKET, "m31/image.fits", b"another")
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_who_has_no_key_or_a_wrong_secret_is_refused(box: Box, url: str, key: dict[str, str]) -> None:
    with pytest.raises(S3Error) as error:
        buckets(client(url, key | {"secret": "wrong"}))
    assert (refused(error), error.value.code) == (403, "SignatureDoesNotMatch")
    with pytest.raises(S3Error) as error:
        buckets(client(url, key | {"access": "unknown"}))
    assert refused(error) == 403
    anonymous = box.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/{BUCKET}")
    assert anonymous.stdout.startswith("4")


def test_a_revoked_key_is_refused_at_once(box: Box, url: str, key: dict[str, str]) -> None:
    second = new_key(box)
    s3 = client(url, second)
    assert buckets(s3) == buckets(client(url, key))
    revoked = box.openstack("ec2", "credentials", "delete", second["access"])
    assert revoked.returncode == 0, revoked.stderr
    with pytest.raises(S3Error) as error:
        buckets(s3)
    assert refused(error) == 403
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_objects_and_keys_survive_down_and_up(box: Box, url: str, key: dict[str, str]) -> None:
    for command in ("down", "up"):
        run = box.localcloud(command)
        assert run.returncode == 0, run.stderr
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_status_and_logs_show_it(box: Box) -> None:
    status = box.localcloud("status")
    (line,) = (line for line in status.stdout.splitlines() if line.startswith("│ swift "))
    assert "RUNNING" in line
    assert "swift.out" in box.localcloud("logs", "swift", "--lines", "1").stdout + box.localcloud("logs").stdout


@pytest.fixture(scope="module")
def cluster(box: Box) -> str:
    template = ("--cluster-template", "kubernetes", "--keypair", "astro", "--node-count", "1")
    created = box.openstack("coe", "cluster", "create", *template, "first")
    assert created.returncode == 0, created.stderr
    box.wait_for_cluster("first", "CREATE_COMPLETE")
    return "first"


def test_a_pod_reaches_it_at_the_same_address(box: Box, url: str, cluster: str) -> None:
    ask = ("--", "sh", "-c", f"wget -q -O- {url}/healthcheck && echo")
    run = box.kubectl(cluster, "run", "ask", "--image=localcloud/busybox:1", "--restart=Never", *ask)
    assert run.returncode == 0, run.stderr
    answer = until(lambda: box.kubectl(cluster, "logs", "ask"), lambda run: run.returncode == 0 and run.stdout != "")
    assert answer.stdout == "OK\n"


def test_spark_in_a_cluster_writes_and_reads_with_the_users_key(
    box: Box, url: str, key: dict[str, str], cluster: str
) -> None:
    literals = (
        f"--from-literal=AWS_ACCESS_KEY_ID={key['access']}",
        f"--from-literal=AWS_SECRET_ACCESS_KEY={key['secret']}",
    )
    made = box.kubectl(cluster, "create", "secret", "generic", "key", *literals)
    assert made.returncode == 0, made.stderr
    applied = box.kubectl(cluster, "apply", "--filename=-", stdin=JOB.replace("URL", url))
    assert applied.returncode == 0, applied.stderr
    phase = ("get", "pod", "job", "--output=jsonpath={.status.phase}")
    end = until(lambda: box.kubectl(cluster, *phase), lambda run: run.stdout in ("Succeeded", "Failed"), timeout_s=180)
    log = box.kubectl(cluster, "logs", "job").stdout
    assert end.stdout == "Succeeded", log
    assert "read 499500" in log
    written = [entry.object_name for entry in client(url, key).list_objects(bucket_name=BUCKET, prefix="range/part-")]
    assert len(written) == 2


def test_a_file_system_without_attributes_is_refused(tmp_path: Path) -> None:
    box = Box(f"n{os.getpid()}", tmp_path)
    (tmp_path / "state").mkdir()
    up = f"mount -t ramfs none {tmp_path}/state && exec {LOCALCLOUD_BIN}/localcloud up --name {box.name}"
    run = box.run("unshare", "--mount", "sh", "-c", up)
    box.localcloud("destroy")  # were it up
    assert run.returncode == 1
    assert "keeps no attributes of 2048 bytes, which object storage needs" in run.stderr
    assert "XDG_STATE_HOME" in run.stderr
