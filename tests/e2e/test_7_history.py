"""Object storage in Spark, and history that outlives its cluster: keys, files, logs, the server, storage that hangs."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from conftest import NUMBER, Cloud, run
from kube import Kubectl, eventually, remove_servers
from site_yml import CLUSTER, clusters, playbook

import astrok8s

NIGHT = "night"
"""A small cluster that comes and goes."""

SMALL = {"mode": "client", "quiet": True, "executors": 1, "conf": {"spark.executor.memory": "700m"}}


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="module")
def storage(kubectl: Kubectl) -> dict[str, str]:
    """What the cluster tells of its object storage."""
    return dict(kubectl.get("configmap", "s3", "-n", "spark")["data"])


@pytest.fixture(scope="module")
def key(kubectl: Kubectl) -> dict[str, str]:
    """The cluster's key; a test changes it."""
    return key_in(kubectl)


def key_in(kubectl: Kubectl) -> dict[str, str]:
    """Return a cluster's key, as an administrator may read it."""
    data = kubectl.get("secret", "s3", "-n", "spark")["data"]
    lines = base64.b64decode(data["credentials"]).decode().splitlines()[1:]
    access, secret = (line.split(" = ")[1] for line in lines)
    return {"access": access, "secret": secret}


def s3(storage: dict[str, str], key: dict[str, str]) -> Any:
    """Return a client of S3."""
    keys = {"aws_access_key_id": key["access"], "aws_secret_access_key": key["secret"]}
    return boto3.client("s3", endpoint_url=storage["endpoint"], region_name=storage["region"], **keys)


def names(s3: Any, bucket: str, prefix: str = "") -> list[str]:
    """Return the names of a bucket's objects."""
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def keys_of_user() -> list[str]:
    """Return the access keys that Keystone has of the cloud's user."""
    return run("openstack", "ec2", "credentials", "list", "-f", "value", "-c", "Access").stdout.split()


def ran(cluster: str, name: str, seconds: float = 120) -> astrok8s.Application:
    """Return an application once history has it."""
    found: list[astrok8s.Application] = []

    def there() -> bool:
        found[:] = [one for one in astrok8s.get_cluster(cluster).history() if one.name == name and one.completed]
        return bool(found)

    eventually(f"{name} to be in the history of {cluster}", there, seconds)
    return found[0]


@contextmanager
def hanging(program: str) -> Iterator[None]:
    """Have a service take connections and never answer, while a block runs."""
    facts = json.loads(run("localcloud", "status", "--json", check=False).stdout)
    pid = next(int(process["pid"]) for process in facts["processes"] if process["name"] == program)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_key_is_one_and_known_to_a_secret_only(kubectl: Kubectl, key: dict[str, str]) -> None:
    before = keys_of_user()
    assert before.count(key["access"]) == 1
    size = astrok8s.get_cluster(CLUSTER).size
    assert playbook("-e", f"size={size}").count("changed") == 0
    assert keys_of_user() == before
    told = kubectl("get", "configmaps,pods,statefulsets", "--all-namespaces", "-o", "yaml")
    assert key["secret"] not in told
    assert key["access"] not in told


def test_ansible_never_prints_the_key(cloud: Cloud, key: dict[str, str]) -> None:
    """A key that Keystone lost is made anew, and is in no line of the most talkative run."""
    others = set(keys_of_user()) - {key["access"]}
    run("openstack", "ec2", "credentials", "delete", key["access"])
    size = astrok8s.get_cluster(CLUSTER).size
    result = playbook("-e", f"size={size}", "-vvv", "--diff")
    assert result.count("changed") == 3  # the key, its secret, and the server that reads it
    (made,) = set(keys_of_user()) - others
    shown = json.loads(run("openstack", "ec2", "credentials", "show", made, "-f", "json").stdout)
    assert made != key["access"]
    assert shown["secret"] not in result.text
    assert base64.b64encode(shown["secret"].encode()).decode()[:20] not in result.text
    key.update(access=made, secret=shown["secret"])


def test_files_on_s3_and_their_application_in_history(
    cloud: Cloud, storage: dict[str, str], key: dict[str, str]
) -> None:
    before = time.time()
    spark = astrok8s.attach(CLUSTER, mode="client", app_name="files", quiet=True)
    try:
        at = f"s3a://{storage['bucket']}/data"
        stars = spark.range(10_000).selectExpr("id", "id % 7 AS band", "sqrt(id) AS flux").repartition(4)
        for kind in ("parquet", "csv", "avro"):
            options = {"header": "true", "inferSchema": "true"} if kind == "csv" else {}
            stars.write.format(kind).options(**options).mode("overwrite").save(f"{at}/{kind}")
            back = spark.read.format(kind).options(**options).load(f"{at}/{kind}")
            assert back.count() == 10_000
            assert back.exceptAll(stars.selectExpr(*(f"{c} AS {c}" for c in back.columns))).count() == 0, kind
        # a key that is the executors' only: they read what the driver did not list
        assert spark.read.parquet(f"{at}/parquet").rdd.map(lambda row: row.flux).count() == 10_000
    finally:
        spark.stop()
    wall = time.time() - before
    found = ran(CLUSTER, "files")
    assert before <= found.started.timestamp() <= time.time()
    assert 0 < found.duration.total_seconds() < wall
    assert found.id.startswith("spark-")
    assert "files" in run("astrok8s", "history", CLUSTER).stdout


def test_files_are_committed_without_renaming(storage: dict[str, str], key: dict[str, str]) -> None:
    """S3A's magic committer leaves a report, and nothing else beside the files."""
    client = s3(storage, key)
    for kind in ("parquet", "csv", "avro"):
        there = names(client, storage["bucket"], f"data/{kind}/")
        assert sum("part-" in name for name in there) == 4, there
        assert not [name for name in there if "__magic" in name or "_temporary" in name]
        report = client.get_object(Bucket=storage["bucket"], Key=f"data/{kind}/_SUCCESS")["Body"].read()
        assert json.loads(report)["committer"] == "magic", kind


def test_the_event_log_is_compressed_and_does_not_hold_the_key(storage: dict[str, str], key: dict[str, str]) -> None:
    client = s3(storage, key)
    application = ran(CLUSTER, "files")
    logs = [
        name
        for name in names(client, storage["bucket"], "events/")
        if application.id in name and name.endswith(".zstd")
    ]
    assert logs
    text = ""
    for name in logs:
        packed = client.get_object(Bucket=storage["bucket"], Key=name)["Body"].read()
        text += pa.input_stream(io.BytesIO(packed), compression="zstd").read().decode()
    assert "SparkListenerApplicationEnd" in text
    assert "fs.s3a.endpoint" in text
    assert key["secret"] not in text
    assert key["access"] not in text


def test_the_pages_work_for_who_has_their_url(cloud: Cloud) -> None:
    application = ran(CLUSTER, "files")
    url = astrok8s.get_cluster(CLUSTER).history_url
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    home = browser.open(url, timeout=30).read().decode()
    assert "History Server" in home
    base = url.split("?")[0].rstrip("/")
    for script in re.findall(r'src="(/static/[^"]+)"', home):
        assert browser.open(base + script, timeout=30).status == 200
    jobs = browser.open(f"{base}/history/{application.id}/jobs/", timeout=60).read().decode()
    assert "files" in jobs
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(base, timeout=10)


def test_no_pod_reaches_the_server(kubectl: Kubectl) -> None:
    """It listens on its pod's loopback device: who comes there is asked by Kubernetes."""
    address = kubectl.get("pod", "history-0", "-n", "spark")["status"]["podIP"]
    look = f"nc -w 3 {address} 18080 </dev/null 2>&1; echo ended with $?"
    pod = ("run", "prober", "--image=docker.io/library/busybox:1.36", "--restart=Never", "--command", "--")
    kubectl(*pod, "sh", "-c", look)
    try:
        eventually("the prober to end", lambda: kubectl.get("pod", "prober")["status"]["phase"] == "Succeeded")
        said = kubectl("logs", "prober")
    finally:
        kubectl("delete", "pod", "prober", "--wait=false")
    assert "refused" in said, said
    assert "ended with 1" in said, said
    account = "--as=system:serviceaccount:spark:spark"

    def may(namespace: str) -> bool:
        words = ("create", "pods/history-0", "--subresource=portforward", "-n", namespace)
        return kubectl("auth", "can-i", *words, account, check=False).strip() == "yes"

    assert may("spark")
    assert not may("default")


def test_storage_that_hangs_does_not_keep_a_job_from_running(cloud: Cloud) -> None:
    with hanging("swift"):
        with pytest.warns(astrok8s.HistoryWarning, match=r"writes no history: .* does not answer"):
            spark = astrok8s.attach(CLUSTER, mode="client", app_name="without history", quiet=True)
        try:
            assert spark.range(1000).repartition(4).selectExpr("sum(id)").first()[0] == 499_500
            start = time.monotonic()
        finally:
            spark.stop()
        # three times 15 s on a quiet machine, for shuffle files; with S3A's own patience it is more than 900
        assert time.monotonic() - start < 300


def test_storage_that_hangs_meanwhile_does_not_keep_a_session_from_ending(cloud: Cloud) -> None:
    spark = astrok8s.attach(CLUSTER, mode="client", app_name="half a history", quiet=True)
    with hanging("swift"):
        assert spark.range(1000).repartition(4).selectExpr("sum(id)").first()[0] == 499_500
        start = time.monotonic()
        spark.stop()
        # three times 15 s on a quiet machine, for each of shuffle files, event log, and the word that this is complete
        assert time.monotonic() - start < 300


def test_history_outlives_its_cluster_and_the_key_does_not(
    cloud: Cloud, tmp_path: Path, storage: dict[str, str], key: dict[str, str]
) -> None:
    before = set(keys_of_user())
    cluster = astrok8s.provision(NIGHT, size=1, quiet=True)
    (made,) = set(keys_of_user()) - before
    told = Kubectl(NIGHT, tmp_path).get("configmap", "s3", "-n", "spark")["data"]
    assert told == storage, "the same user's clusters have one bucket"
    with warnings.catch_warnings():
        warnings.simplefilter("error", astrok8s.HistoryWarning)
        spark = cluster.attach(app_name="first night", **SMALL)
    assert spark.range(100).count() == 100
    spark.stop()
    cluster.destroy(quiet=True)
    assert NIGHT not in clusters()
    assert made not in keys_of_user()
    assert set(keys_of_user()) == before

    again = astrok8s.provision(NIGHT, size=1, quiet=True)
    assert again.uuid != cluster.uuid
    ran(NIGHT, "first night")
    ran(NIGHT, "files")  # of the other cluster; the server reads logs in any order


def test_retention(cloud: Cloud, tmp_path: Path) -> None:
    """Old applications go, with their logs; in a bucket of its own, so that the others stay."""
    bucket = "short-lived"
    options = {"spark_storage_bucket": bucket, "quiet": True}
    cluster = astrok8s.provision(NIGHT, size=1, **options)
    kubectl = Kubectl(NIGHT, tmp_path)
    kubectl("rollout", "status", "statefulset/history", "-n", "spark", "--timeout=120s")
    spark = cluster.attach(app_name="soon forgotten", **SMALL)
    spark.range(100).count()
    spark.stop()
    ran(NIGHT, "soon forgotten")
    client = s3(kubectl.get("configmap", "s3", "-n", "spark")["data"], key_in(kubectl))
    assert len(names(client, bucket, "events/")) > 1
    astrok8s.provision(NIGHT, size=1, spark_history_days=1e-5, **options)
    kubectl("rollout", "status", "statefulset/history", "-n", "spark", "--timeout=120s")
    eventually("the log to be deleted", lambda: names(client, bucket, "events/") == ["events/"], 120)
    eventually("the application to be forgotten", lambda: cluster.history() == [], 120)


def test_a_cluster_without_history_says_so(cloud: Cloud, tmp_path: Path) -> None:
    """A cloud without S3 in its catalogue gives a cluster that works, or is refused where S3 is required."""
    admin = ("openstack", "--os-cloud", f"local{NUMBER}-admin")
    run(*admin, "service", "set", "--disable", "swift-s3")
    try:
        refused = playbook("-e", f"magnum_cluster_name={NIGHT}", "-e", "spark_storage_required=true", check=False)
        assert refused.code == 2
        assert "has no service of type s3: set spark_storage_endpoint" in " ".join(refused.text.split())
        cluster = astrok8s.provision(NIGHT, size=1, quiet=True)
        with pytest.raises(astrok8s.HistoryError, match="has no object storage, or spark_history_state is absent"):
            cluster.history()
        done = run("astrok8s", "history", NIGHT, check=False)
        assert (done.returncode, "no history server" in done.stderr) == (1, True)
        # the server of the test before has no sessions, and still the only worker's memory
        remove_servers(Kubectl(NIGHT, tmp_path))
        spark = cluster.attach(app_name="no history", **SMALL)
        assert spark.range(100).count() == 100
        spark.stop()
    finally:
        run(*admin, "service", "set", "--enable", "swift-s3")
    cluster.destroy(quiet=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spark_storage_bucket": "Not_A_Bucket"}, "'Not_A_Bucket' cannot be the name of a bucket"),
        ({"spark_storage_endpoint": "s3.example.org"}, "cannot be the endpoint of S3"),
        ({"spark_storage_endpoint": "http://127.0.0.1:9"}, "is no S3 that can be reached"),
        ({"spark_storage_endpoint": "KEYSTONE"}, "is no S3 that can be reached"),
        ({"spark_storage_access_key": "half"}, "only one of spark_storage_access_key and spark_storage_secret_key"),
        ({"spark_storage_access_key": "nobodys", "spark_storage_secret_key": "secret0"}, "S3 does not list bucket"),
    ],
)
def test_bad_input_is_refused_before_a_cluster_is_made(cloud: Cloud, options: dict[str, str], says: str) -> None:
    before = (clusters(), keys_of_user())
    keystone = f"http://127.0.0.1:5{NUMBER}00"
    given = {name: value.replace("KEYSTONE", keystone) for name, value in options.items()}
    arguments = [word for pair in given.items() for word in ("-e", "=".join(pair))]
    result = playbook("-e", "magnum_cluster_name=refused", *arguments, check=False)
    assert result.code == 2, result.text
    assert says in " ".join(result.text.split()), result.text
    assert (clusters(), keys_of_user()) == before
