"""A notebook on the cluster: attach, the stars, and what a token of a session may not do."""

from __future__ import annotations

import json
from pathlib import Path

import papermill
import pytest
from conftest import REPOSITORY, Cloud
from kube import Kubectl
from site_yml import CLUSTER

import astrok8s


def test_provision_of_what_stands_returns_it(cloud: Cloud) -> None:
    before = astrok8s.get_cluster(CLUSTER)
    assert astrok8s.provision(CLUSTER, size=before.size, quiet=True) == before
    assert [cluster.name for cluster in astrok8s.list_clusters()] == [CLUSTER]


def test_service_account_is_confined_to_its_namespace(cloud: Cloud, tmp_path: Path) -> None:
    kubectl = Kubectl(CLUSTER, tmp_path)
    account = "--as=system:serviceaccount:spark:spark"

    def may(*words: str) -> bool:
        return kubectl("auth", "can-i", *words, account, check=False).strip() == "yes"

    assert may("create", "pods", "-n", "spark")
    assert not may("create", "pods", "-n", "default")
    assert not may("get", "secrets", "-n", "spark")
    assert not may("list", "nodes")
    assert not may("create", "rolebindings", "-n", "spark")


@pytest.mark.filterwarnings("default")  # the notebook's machinery warns about itself
@pytest.mark.parametrize("mode", ["client", "connect"])
def test_stars(cloud: Cloud, tmp_path: Path, mode: str) -> None:
    """The notebook checks its results against published values itself, and fails if they differ."""
    papermill.execute_notebook(
        REPOSITORY / "notebooks/stars.ipynb",
        tmp_path / "stars.ipynb",
        parameters={"cluster": CLUSTER, "output": str(tmp_path), "mode": mode},
        progress_bar=False,
        execution_timeout=300,
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["stars"] == 117_955
    assert (tmp_path / "results.json").exists()
    assert list(tmp_path.glob("*.png")), "no picture"


def test_nothing_of_the_session_stays(cloud: Cloud, tmp_path: Path) -> None:
    """Executors end with their driver; a Connect server's stay for others."""
    pods = Kubectl(CLUSTER, tmp_path).get("pods", "-n", "spark", "-l", "spark-role=executor,!astrok8s/server")["items"]
    running = [pod["metadata"]["name"] for pod in pods if pod["metadata"].get("deletionTimestamp") is None]
    assert running == []
