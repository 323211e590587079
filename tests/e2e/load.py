"""What goes on while a fault strikes: traffic and a Spark application; nothing of it may be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import run
from kube import Kubectl, eventually
from site_yml import CLUSTER, shown

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: traffic}
spec:
  replicas: 3
  selector: {matchLabels: {app: traffic}}
  template:
    metadata: {labels: {app: traffic}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: # moved 5 s after its node is told to be gone; Kubernetes' own patience is 300 s
        - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
        - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: traffic}}
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [httpd, -f, -p, "8080", -h, /etc]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: traffic}
spec:
  type: NodePort
  selector: {app: traffic}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"""

APPLICATION = """
import sys, time, astrok8s
spark = astrok8s.attach(sys.argv[1], mode="client", conf={"spark.task.maxFailures": "20"}, quiet=True)
while True:
    total = spark.range(200_000).repartition(4).selectExpr("sum(id)").first()[0]
    assert total == 19_999_900_000, total
    print("right", flush=True)
    time.sleep(0.5)
"""
"""A Spark application that does a shuffle again and again, and ends if a result is wrong."""


@dataclass
class Load:
    """What goes on while a fault strikes.

    Attributes:
        kubectl: Of the cluster.
        node: Address of a worker that no fault hits: the one that traffic goes through.
        application: The Spark application's process.
        output: What it printed.
    """

    kubectl: Kubectl
    node: str
    application: subprocess.Popen[bytes]
    output: Path

    def answers(self) -> bool:
        """Return whether the Service answers, through the node port."""
        return not self.silent()

    def silent(self, seconds: float = 2) -> str:
        """Return why the Service does not answer through the node port; empty if it does."""
        start = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://{self.node}:30080/hostname", timeout=seconds):
                return ""
        except OSError as error:
            return f"{error} after {time.monotonic() - start:.1f} s"

    def jobs(self) -> int:
        """Return how many jobs the application has done, and all of them right."""
        assert self.application.poll() is None, f"the Spark application ended:\n{self.output.read_text()[-3000:]}"
        return self.output.read_text().count("right")


def workers(kubectl: Kubectl) -> list[str]:
    return sorted(name for name in kubectl.ready_nodes() if "-node-" in name)


@contextmanager
def going_on(folder: Path) -> Iterator[Load]:
    """Bring traffic and an application to the cluster, and take them away again."""
    kubectl = Kubectl(CLUSTER, folder)
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("rollout", "status", "deployment/traffic", "--timeout=60s")
    kubectl("create", "configmap", "canary", "--from-literal=star=Sirius")
    node = kubectl.get("node", workers(kubectl)[-1])
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    output = folder / "application"
    with output.open("wb") as file:
        command = [sys.executable, "-c", APPLICATION, CLUSTER]
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    load = Load(kubectl, address, process, output)
    try:
        eventually("the Spark application to work", lambda: load.jobs() > 1, seconds=120)
        yield load
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kubectl("delete", "deployment,service", "traffic", check=False)
        kubectl("delete", "configmap", "canary", check=False)
        kubectl("delete", "pods", "--all", "-n", "spark", "--wait=false", check=False)


def healthy(load: Load) -> None:
    """Wait until all is as before a fault: the cloud, the cluster, its data, its traffic, its Spark application."""
    eventually("the cloud to be up", lambda: run("localcloud", "status", check=False).returncode == 0)
    eventually("the cluster to be HEALTHY", lambda: shown(CLUSTER).get("health_status") == "HEALTHY", seconds=120)
    kubectl = load.kubectl
    eventually("4 nodes to be Ready", lambda: len(kubectl.ready_nodes()) == 4)
    kubectl("rollout", "status", "deployment/traffic", "--timeout=60s")
    kubectl("rollout", "status", "--namespace", "kube-system", "deployment/coredns", "--timeout=60s")
    assert "Sirius" in kubectl("get", "configmap", "canary", "-o", "yaml")
    eventually("the Service to answer", load.answers)
    done = load.jobs()
    eventually("the Spark application to do another job", lambda: load.jobs() > done, seconds=180)
