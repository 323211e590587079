"""The parts of attach that need no cluster."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from pathlib import Path

import pytest

import astrok8s
from astrok8s import _attach
from astrok8s._errors import AttachError, OptionError
from astrok8s._executors import executor_properties
from astrok8s._java import check_java
from astrok8s._jvm import is_over
from astrok8s._kube import Access, SparkBase
from astrok8s._sizing import LEAST_MEMORY, MOST_MEMORY, Room, executor_size, fitting
from astrok8s._spark import _environment, properties_of, start, write_secret

BASE = SparkBase("spark", "image:4.1.4", "4.1.4", "spark")
SIZE = executor_size([Room(2, 4000)], 1)


def access(server="https://127.0.0.1:6443"):
    data = {kind: b64encode(kind.encode()).decode() for kind in ("ca", "certificate", "key")}
    return Access.from_kubeconfig(
        {
            "current-context": "c",
            "contexts": [{"name": "other"}, {"name": "c", "context": {"cluster": "k", "user": "admin"}}],
            "clusters": [{"name": "k", "cluster": {"server": server, "certificate-authority-data": data["ca"]}}],
            "users": [
                {
                    "name": "admin",
                    "user": {"client-certificate-data": data["certificate"], "client-key-data": data["key"]},
                }
            ],
        }
    )


def test_a_kubeconfig_is_read_and_its_key_is_not_shown():
    found = access()
    assert (found.ca, found.certificate, found.key) == (b"ca", b"certificate", b"key")
    assert found.address == ("127.0.0.1", 6443)
    assert "key" not in repr(found)


def test_a_cluster_that_cannot_be_reached_is_an_error():
    with pytest.raises(AttachError, match="cannot be reached from here"):
        access("https://127.0.0.1:1").local_address()


@pytest.mark.parametrize(
    "options", [{"mode": "thin"}, {"executors": 0}, {"executors": True}, {"token_hours": 0}, {"token_hours": 1000}]
)
def test_arguments_are_checked_first(options):
    with pytest.raises(OptionError, match=r"give one of connect, client|give a"):
        astrok8s.attach("x", **options)


def test_executors_fit_and_leave_a_fifth():
    size = executor_size([Room(4, 16000), Room(3.5, 15000)], 4)  # two on each node
    assert size.cores == 1.4
    assert size.heap + size.overhead == MOST_MEMORY
    assert 2 * size.cores <= 3.5 * 0.8
    assert executor_size([Room(8, 2000)], 1).heap == 960
    assert executor_size([Room(0.5, 2000)], 1).slots == 1


@pytest.mark.parametrize(
    ("rooms", "executors", "says"),
    [([], 1, "no worker node"), ([Room(4, LEAST_MEMORY)], 1, "fewer executors"), ([Room(1, 64000)], 20, "0.04 cores")],
)
def test_executors_that_do_not_fit_are_an_error(rooms, executors, says):
    with pytest.raises(AttachError, match=says):
        executor_size(rooms, executors)


def test_the_token_is_in_a_private_file_and_in_no_property():
    path = Path(write_secret("token", b"very-secret"))
    properties = properties_of(access(), "127.0.0.1", "Été: my app!", "uuid")
    assert properties["spark.kubernetes.authenticate.oauthTokenFile"] == str(path)
    assert not any("very-secret" in value for value in properties.values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_executors_come_and_go_and_are_labelled():
    properties = executor_properties(
        BASE, [Room(2, 4000)] * 2, None, "Été: my app!", {"astrok8s/server": "connect-1"}, {}
    )
    assert properties["spark.kubernetes.executor.podNamePrefix"].startswith("t-my-app-")
    assert properties["spark.dynamicAllocation.minExecutors"] == "0"
    assert properties["spark.dynamicAllocation.maxExecutors"] == "2"
    assert properties["spark.kubernetes.executor.label.astrok8s/server"] == "connect-1"
    assert properties["spark.kubernetes.executor.label.astrok8s/user"]
    assert executor_properties(BASE, [Room(4, 9000)] * 2, 4, "x", {}, {})["spark.dynamicAllocation.maxExecutors"] == "4"


def test_as_many_as_fit():
    rooms = [Room(16, 64000), Room(8, 16000)]
    size = executor_size(rooms, 2)
    assert (size.slots, size.heap + size.overhead) == (4, MOST_MEMORY)
    assert fitting(rooms, size) == 3 + 1
    assert fitting([Room(0.1, 100)], size) == 1


def test_other_versions_of_spark_and_python_are_refused():
    _attach._check_versions(BASE)
    with pytest.raises(AttachError, match=r"has Spark 3\.5\.0, and this Python has pyspark 4"):
        _attach._check_versions(SparkBase("spark", "image:3.5.0", "3.5.0", "spark"))
    with pytest.raises(AttachError, match=r"has Python 3\.1, and this is Python 3\."):
        _attach._check_versions(SparkBase("spark", "image", "4.1.4", "spark", "3.1"))


def test_a_spark_elsewhere_is_not_replaced(tmp_path):
    from pyspark.sql import SparkSession

    with _environment():
        local = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        cluster = astrok8s.Cluster("x", "u", 1, "CREATE_COMPLETE", (), "local")
        with pytest.raises(AttachError, match=r"attached to Spark at local\[1\].*spark\.stop\(\)"):
            astrok8s.attach(cluster, quiet=True)
    finally:
        local.stop()


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("PYSPARK_PYTHON", "/mine")
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    with _environment():
        assert os.environ["PYSPARK_PYTHON"] == "python3"
        assert os.environ["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert os.environ["PYSPARK_PYTHON"] == "/mine"
    assert "SPARK_LOCAL_IP" not in os.environ


def test_a_missing_or_old_java_is_an_error(monkeypatch, tmp_path):
    check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(AttachError, match=r"has no bin/java; install Java 17"):
        check_java()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    with pytest.raises(AttachError, match="is Java 8, and Spark's driver needs 17"):
        check_java()


def test_a_session_does_not_get_the_properties_of_the_one_before():
    local = {"spark.app.name": "x", "spark.master": "local[1]", "spark.ui.enabled": "false"}
    start({**local, "spark.astrok8s.first": "1"}).stop()
    second = start(local)
    try:
        assert second.conf.get("spark.astrok8s.first", "none") == "none"
    finally:
        second.stop()


def test_a_jvm_that_has_ended_is_forgotten():
    """As Spark ends it when a session's executors fail too often."""
    local = {"spark.app.name": "x", "spark.master": "local[1]", "spark.ui.enabled": "false"}
    first = start(local).sparkContext
    jvm = first._gateway.proc
    jvm.terminate()
    second = start(local)
    try:
        assert jvm.poll() is not None
        assert is_over(first)
        assert second.range(3).count() == 3
    finally:
        second.stop()
