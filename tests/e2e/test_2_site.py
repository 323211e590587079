"""site.yml: a declaration that converges, predicts itself, and resizes without losing work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import Cloud
from kube import Kubectl, eventually
from site_yml import CLUSTER, clusters, playbook

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 8
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 3
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: web}}
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [httpd, -f, -p, "8080", -h, /etc]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  maxUnavailable: 2
  selector: {matchLabels: {app: web}}
"""


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl of the cluster that the first test makes."""
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))


def test_check_mode_predicts_a_new_cluster(cloud: Cloud) -> None:
    result = playbook("-e", "size=8", "--check", "--diff")
    assert result.count("changed") > 0
    assert result.count("failed") == 0
    assert clusters() == []


def test_eight_workers(cloud: Cloud, tmp_path: Path) -> None:
    result = playbook("-e", "size=8")
    assert result.count("changed") > 0
    nodes = Kubectl(CLUSTER, tmp_path).ready_nodes()
    assert sorted(nodes.values()) == [False] + [True] * 8, nodes


def test_again_changes_nothing(cloud: Cloud) -> None:
    assert playbook("-e", "size=8").count("changed") == 0
    assert playbook("-e", "size=8", "--check", "--diff").count("changed") == 0


def test_check_mode_predicts_a_resize(cloud: Cloud, kubectl: Kubectl) -> None:
    result = playbook("-e", "size=3", "--check", "--diff")
    assert result.count("changed") == 1
    assert "size: 8" in result.text
    assert "size: 3" in result.text
    assert len(kubectl.ready_nodes()) == 9


def test_shrinking_drains(cloud: Cloud, kubectl: Kubectl) -> None:
    """A disruption budget holds all through a resize: workers are drained, not killed."""
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    available, done = [8], threading.Event()

    def observe() -> None:
        while not done.wait(0.2):
            available.append(kubectl.get("deployment", "web")["status"].get("availableReplicas", 0))

    observer = threading.Thread(target=observe)
    observer.start()
    try:
        result = playbook("-e", "size=3")
    finally:
        done.set()
        observer.join()
    assert result.count("changed") == 1
    assert sorted(kubectl.ready_nodes().values()) == [False] + [True] * 3
    assert min(available) >= 6, available
    eventually("8 pods on the workers that stay", lambda: _available(kubectl) == 8)
    assert playbook("-e", "size=3").count("changed") == 0


def _available(kubectl: Kubectl) -> int:
    return int(kubectl.get("deployment", "web")["status"].get("availableReplicas", 0))
