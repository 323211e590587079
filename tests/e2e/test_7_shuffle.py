"""Shuffle files outlive their executors: with Spark's own service on each node, and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Cloud
from kube import Kubectl, eventually, remove_servers
from site_yml import CLUSTER, playbook

import astrok8s

MAPS = 6
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: none, namespace: spark}
spec: {podSelector: {matchLabels: {nobody: has}}}
"""
SMALL = {"spark.executor.memory": "600m", "spark.kubernetes.executor.request.cores": "0.2"}


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("shuffle"))


@pytest.fixture(scope="module")
def external(kubectl: Kubectl) -> Iterator[None]:
    """Have the service, and take it away again."""
    assert "failed=0" in playbook("-e", "spark_shuffle_service=external", part="spark_shuffle").text
    yield
    assert "failed=0" in playbook(part="spark_shuffle").text


def attach(mode: str = "client", **conf: str) -> Any:
    return astrok8s.attach(CLUSTER, mode=mode, executors=2, conf={**SMALL, **conf}, quiet=True)  # type: ignore[arg-type]


def shuffled(session: Any) -> tuple[Any, Any]:
    """Return data behind a shuffle, and how many map tasks have run for it."""
    ran = session.sparkContext.accumulator(0)

    def counted(rows: Iterator[int]) -> Iterator[tuple[int, int]]:
        ran.add(1)
        return ((row % 7, row) for row in rows)

    return session.sparkContext.parallelize(range(600), MAPS).mapPartitions(counted).groupByKey(3), ran


def executors(kubectl: Kubectl) -> list[dict[str, Any]]:
    return list(kubectl.get("pods", "-n", "spark", "-l", "spark-role=executor,!astrok8s/server")["items"])


def lose_executors(kubectl: Kubectl) -> None:
    """Delete all executors at once, which leaves them no time to hand anything over."""
    before = {pod["metadata"]["uid"] for pod in executors(kubectl)}
    assert before
    kubectl("delete", "pods", "-n", "spark", "-l", "spark-role=executor", "--grace-period=0", "--force")


def test_without_the_service_lost_files_are_computed_again(kubectl: Kubectl) -> None:
    session = attach()
    try:
        data, ran = shuffled(session)
        assert data.count() == 7
        assert ran.value == MAPS
        lose_executors(kubectl)
        assert data.count() == 7
        assert ran.value > MAPS
    finally:
        session.stop()


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ("pod security", ("label", "namespace", "spark", "pod-security.kubernetes.io/enforce=baseline")),
        ("NetworkPolicies", ("apply", "-f", "-")),
    ],
)
def test_a_namespace_where_it_cannot_work_is_refused(kubectl: Kubectl, thing: str, words: tuple[str, ...]) -> None:
    kubectl(*words, stdin=POLICY)
    try:
        result = playbook("-e", "spark_shuffle_service=external", part="spark_shuffle", check=False)
        text = " ".join(result.text.split())
    finally:
        kubectl("label", "namespace", "spark", "pod-security.kubernetes.io/enforce-")
        kubectl("delete", "networkpolicy", "-n", "spark", "none", "--ignore-not-found")
    assert "cannot work in namespace spark" in text
    assert thing in text
    assert "Use spark_shuffle_service tracking" in text


@pytest.mark.usefixtures("external")
class TestWithTheService:
    """Spark's external shuffle service, one pod a node."""

    def test_no_map_task_runs_twice_when_all_executors_are_lost(self, kubectl: Kubectl) -> None:
        session = attach()
        try:
            data, ran = shuffled(session)
            assert data.count() == 7
            lose_executors(kubectl)
            assert sorted(len(list(rows)) for _, rows in data.collect()) == [85, 85, 86, 86, 86, 86, 86]
            assert ran.value == MAPS
        finally:
            session.stop()

    def test_files_outlive_a_time_without_any_executor(self, kubectl: Kubectl) -> None:
        session = attach(**{"spark.dynamicAllocation.executorIdleTimeout": "1s"})
        try:
            data, ran = shuffled(session)
            assert data.count() == 7
            eventually("the last executor to go", lambda: executors(kubectl) == [])
            assert data.count() == 7
            assert ran.value == MAPS
        finally:
            session.stop()

    def test_the_service_asks_who_comes(self, kubectl: Kubectl) -> None:
        """An executor that cannot say the secret is refused, and ends."""
        from py4j.protocol import Py4JError

        wrong = {
            "spark.authenticate": "false",
            "spark.executor.maxNumFailures": "1",
            "spark.kubernetes.executor.deleteOnTermination": "false",  # what it said is read below
        }
        with pytest.raises((Py4JError, astrok8s.AttachError)):
            attach(**wrong).sparkContext.parallelize(range(2)).count()
        names = [pod["metadata"]["name"] for pod in executors(kubectl)]
        said = "".join(kubectl("logs", "-n", "spark", name, check=False) for name in names)
        kubectl("delete", "pods", "-n", "spark", "--ignore-not-found", *names)
        assert "Unable to register with external shuffle server" in said
        assert "Expected SaslMessage" in said

    def test_a_connect_server_has_it_too(self, kubectl: Kubectl) -> None:
        session = attach("connect")
        try:
            rows = session.range(1000).selectExpr("id % 7 AS band").groupBy("band").count()
            assert rows.count() == 7
            pods = kubectl.get("pods", "-n", "spark", "-l", "spark-role=executor,astrok8s/server")["items"]
            assert pods
            assert all(pod["spec"].get("hostNetwork") for pod in pods)
        finally:
            session.stop()
            remove_servers(kubectl)

    def test_files_of_applications_that_ended_are_deleted(self, cloud: Cloud, kubectl: Kubectl) -> None:
        def kept() -> list[str]:
            found = cloud.home.glob("clusters/*/nodes/*/root/var/lib/astrok8s/shuffle/blockmgr-*")
            return [str(folder) for folder in found]

        assert kept()
        asked = ("-e", "spark_shuffle_service=external", "-e", "spark_shuffle_hours=0.01")
        assert "failed=0" in playbook(*asked, part="spark_shuffle").text
        eventually("the files to go", lambda: not kept(), seconds=150)
