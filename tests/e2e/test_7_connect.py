"""Spark Connect: one server for all who ask for the same, reached through the Kubernetes API and by no other way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Cloud, run
from kube import SERVERS, Kubectl, eventually, remove_servers, throughout
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it
from site_yml import CLUSTER, playbook

import astrok8s
from astrok8s import _attach

NOTEBOOK = """
import sys, time, astrok8s
spark = astrok8s.attach(sys.argv[1], mode="connect", quiet=True)
spark.range(int(sys.argv[2])).createOrReplaceTempView("mine")
print(spark.sql("select count(*) from mine").first()[0], flush=True)
sys.stdin.read()
spark.stop()
"""
"""A notebook that has a view of its own under a name that all use, and stays until its input ends."""


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("connect"))


@pytest.fixture(scope="module", autouse=True)
def no_other_servers(kubectl: Kubectl) -> Iterator[None]:
    """Begin and end without servers."""
    remove_servers(kubectl)
    yield
    remove_servers(kubectl)


@pytest.fixture
def empty(kubectl: Kubectl) -> None:
    """Make room: a small cluster has it for one server of other properties with its executors, not for two."""
    remove_servers(kubectl)


@pytest.fixture
def spark(cloud: Cloud) -> Iterator[Any]:
    session = attach()
    yield session
    session.stop()


def attach(**options: Any) -> Any:
    return astrok8s.attach(CLUSTER, mode="connect", quiet=True, **options)


def servers(kubectl: Kubectl) -> list[dict[str, Any]]:
    pods = kubectl.get("pods", "-n", "spark", "-l", SERVERS)["items"]
    return [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]


def slow(spark: Any, seconds: float) -> int:
    """Return the number of rows of a query that takes some seconds."""

    def nap(number: int) -> int:
        time.sleep(seconds / 10)
        return number

    numbers = spark.range(0, 10, 1, 10).select(F.udf(nap, "long")("id").alias("id"))
    return int(numbers.agg(F.count_distinct("id")).first()[0])


def test_ten_notebooks_share_one_server(kubectl: Kubectl) -> None:
    command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK, CLUSTER]
    pipes: dict[str, int] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    notebooks = [subprocess.Popen([*command, str(number)], text=True, **pipes) for number in range(10)]  # type: ignore[call-overload]
    try:
        for number, notebook in enumerate(notebooks):
            line = notebook.stdout.readline()
            assert line == f"{number}\n", notebook.stderr.read() if notebook.poll() else line
        assert len(servers(kubectl)) == 1
    finally:
        for notebook in notebooks:
            notebook.communicate(timeout=60)


def test_attached_twice_is_one_session(spark: Any) -> None:
    assert attach() is spark
    with pytest.raises(astrok8s.AttachError, match=r'mode="connect" already.*spark\.stop\(\)'):
        astrok8s.attach(CLUSTER, mode="client", quiet=True)


def test_executors_belong_to_their_server_and_name_the_user(kubectl: Kubectl, spark: Any) -> None:
    spark.range(1000).repartition(4).count()
    (server,) = servers(kubectl)
    pods = kubectl.get("pods", "-n", "spark", "-l", "spark-role=executor")["items"]
    assert pods
    for pod in pods:
        assert [owner["uid"] for owner in pod["metadata"]["ownerReferences"]] == [server["metadata"]["uid"]]
        assert pod["metadata"]["labels"]["astrok8s/user"]


def test_nobody_reaches_a_server_past_the_kubernetes_api(kubectl: Kubectl, spark: Any) -> None:
    (server,) = servers(kubectl)
    address = server["status"]["podIP"]
    for port in (15002, 4040):  # Connect, and Spark's own pages
        words = ("exec", "-n", "spark", server["metadata"]["name"], "--", "bash", "-c")
        assert "yes" in kubectl(*words, f"</dev/tcp/127.0.0.1/{port} && echo yes"), "nobody listens there at all"
        assert "yes" not in kubectl(*words, f"</dev/tcp/{address}/{port} && echo yes", check=False)


def test_a_wrong_token_is_refused(spark: Any) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _, tunnel = _attach._servers[astrok8s.get_cluster(CLUSTER).uuid]
    for token in ("wrong", ""):
        url = f"sc://localhost:{tunnel.port}/" + (f";token={token}" if token else "")
        with pytest.raises(PySparkException, match=r"(?i)unauthenticated"):
            SparkSession.builder.remote(url).create().sql("select 1").collect()


def test_a_query_outlives_the_api_server(kubectl: Kubectl, spark: Any) -> None:
    """The tunnel breaks in the middle of a query, and its result arrives."""
    threading.Timer(3, kill_api_server, args=(kubectl,)).start()
    assert slow(spark, 30) == 10


def kill_api_server(kubectl: Kubectl) -> None:
    processes = json.loads(run("localcloud", "status", "--json", check=False).stdout)["processes"]
    for process in processes:
        if process["name"].endswith("master-0.kube-apiserver") and process["group"].startswith(CLUSTER):
            os.kill(process["pid"], 9)


def test_a_server_that_dies_ends_its_queries_with_the_reason(kubectl: Kubectl) -> None:
    session = attach()
    (server,) = servers(kubectl)
    # as the kernel does when memory is short
    words = ("exec", "-n", "spark", server["metadata"]["name"], "--", "pkill", "-KILL", "java")
    threading.Timer(3, kubectl, args=words).start()
    begun = time.monotonic()
    with pytest.raises(astrok8s.AttachError, match=r"(?s)server connect-[0-9a-f]+ has ended.*attach again"):
        slow(session, 60)
    assert time.monotonic() - begun < 60
    again = attach()
    assert slow(again, 0.1) == 10, "functions still ask the session whose server has ended"
    again.stop()


def test_a_notebook_whose_server_is_gone_ends(kubectl: Kubectl, empty: None) -> None:
    """Spark's client says good-bye when its process ends, and must not wait for who will never answer."""
    quits = NOTEBOOK.replace("spark.stop()\n", "")
    notebook = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", quits, CLUSTER, "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert notebook.stdout
    assert notebook.stdout.readline().strip() == "5"
    remove_servers(kubectl)
    notebook.communicate(timeout=60)
    assert notebook.returncode == 0


def test_a_token_that_has_ended_is_told(kubectl: Kubectl, capfd: pytest.CaptureFixture[str]) -> None:
    """Kubernetes gives no token for less than ten minutes; with its account, it ends at once."""
    session = attach()
    words = ("serviceaccount", "-n", "spark", "spark")
    account = kubectl.get(*words)
    kubectl("delete", *words)
    try:
        begun = time.monotonic()
        kill_api_server(kubectl)  # the way that is open is not asked for a token any more
        with pytest.raises(astrok8s.AttachError, match=r"token has ended \(token_hours\).*attach again"):
            slow(session, 60)
        assert time.monotonic() - begun < 60
        told = "executors do not come: the session's token has ended"
        said: list[str] = []
        eventually("that to be told", lambda: said.append(capfd.readouterr().err) or told in "".join(said))
    finally:
        kept = {key: account["metadata"].get(key) for key in ("name", "namespace", "labels")}
        kubectl("apply", "-f", "-", stdin=json.dumps({**account, "metadata": kept}))
        remove_servers(kubectl)  # their own tokens have ended, too
    again = attach()
    assert again is not session
    assert again.range(10).count() == 10
    again.stop()


def test_executors_larger_than_any_node_are_told(empty: None) -> None:
    with pytest.raises(astrok8s.AttachError, match=r"fits on no node: .*Insufficient memory"):
        attach(conf={"spark.executor.memory": "900g"})
    session = attach()
    assert slow(session, 0.1) == 10, "functions ask the session that was given up"
    session.stop()


def test_a_property_that_spark_refuses_is_told(empty: None) -> None:
    with pytest.raises(astrok8s.AttachError, match=r"(?s)connect-[0-9a-f]+ ended at once.*cores must be a positive"):
        attach(conf={"spark.executor.cores": "many"})


def test_a_quota_that_leaves_no_room_is_told(kubectl: Kubectl, empty: None) -> None:
    quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: spark}\nspec: {hard: {pods: '0'}}\n"
    kubectl("apply", "-f", "-", stdin=quota)
    try:
        with pytest.raises(astrok8s.AttachError, match="exceeded quota: none"):
            attach(conf={"spark.ui.retainedJobs": "7"})
    finally:
        kubectl("delete", "resourcequota", "-n", "spark", "none")


def test_an_idle_server_ends(kubectl: Kubectl, empty: None) -> None:
    assert "failed=0" in playbook("-e", "spark_connect_idle_minutes=0.1", part="spark_connect").text
    session = attach(conf={"spark.ui.retainedJobs": "8"})
    (name,) = (s["metadata"]["name"] for s in servers(kubectl) if "spark.ui.retainedJobs=8" in str(s["spec"]))
    # for twice its patience
    throughout(
        "a client that is connected and quiet keeps its server",
        lambda: name in {server["metadata"]["name"] for server in servers(kubectl)},
        seconds=12,
    )
    session.stop()

    def phase() -> str:
        return str(kubectl.get("pod", "-n", "spark", name)["status"]["phase"])

    eventually("the idle server to end well", lambda: phase() == "Succeeded")
    executors = ("pods", "-n", "spark", "-l", f"astrok8s/server={name},spark-role=executor")
    eventually("its executors to be gone", lambda: kubectl.get(*executors)["items"] == [])
    assert "failed=0" in playbook(part="spark_connect").text


def test_a_driver_that_no_pod_reaches_is_told(kubectl: Kubectl) -> None:
    """As behind NAT: only what is in the cluster may be reached from Spark's namespace."""
    policy = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: inside, namespace: spark}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {}}]}]
"""
    kubectl("apply", "-f", "-", stdin=policy)
    try:
        with pytest.raises(astrok8s.AttachError, match=r'does not reach this machine at 10\..*mode="connect"'):
            astrok8s.attach(CLUSTER, mode="client", quiet=True)
    finally:
        kubectl("delete", "networkpolicy", "-n", "spark", "inside")
