"""Attach and shuffle on a cluster of two workers, each against plain Spark in the same image and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloud import CLOUD, REPOSITORY
from job import PARTS, job

import astrok8s

NAME = "astrok8s"
MEMORY, CORES = "900m", "0.3"
CONF = {
    "spark.executor.memory": MEMORY,
    "spark.executor.cores": "1",
    "spark.kubernetes.executor.request.cores": CORES,
    "spark.sql.shuffle.partitions": str(PARTS),
}

ATTACH = """
import json, sys, time
begun = time.monotonic()
import astrok8s
name, cloud, mode, conf = sys.argv[1:]
spark = astrok8s.attach(name, cloud=cloud, mode=mode, executors=2, conf=json.loads(conf), quiet=True)
spark.range(10).count()
print(time.monotonic() - begun, flush=True)
spark.stop()
"""
"""A notebook's first cell: from nothing to a first result."""

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: plain, namespace: spark}}
spec:
  serviceAccountName: spark
  restartPolicy: Never
  containers:
    - name: plain
      image: {image}
      args: [python3, -c, {program}, spark, {image}, {memory}, "{cores}"]
      env: [{{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}]
"""


def attach(mode: str) -> float:
    """Return the seconds from a new process to a first result."""
    command = [sys.executable, "-W", "ignore", "-c", ATTACH, NAME, CLOUD, mode, json.dumps(CONF)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def plain(kubectl: Callable[..., str]) -> dict[str, float]:
    """Return the seconds of plain Spark to a first result, and for the job."""
    program = json.dumps((REPOSITORY / "benchmarks/job.py").read_text())
    image = json.loads(kubectl("get", "configmap", "astrok8s", "-n", "spark", "-o", "json"))["data"]["image"]
    pod = POD.format(image=image, program=program, memory=MEMORY, cores=CORES)
    kubectl("apply", "-f", "-", stdin=pod)
    kubectl("wait", "-n", "spark", "pod/plain", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s")
    said = kubectl("logs", "-n", "spark", "plain").splitlines()
    kubectl("delete", "pod", "-n", "spark", "plain")
    return dict(json.loads(next(line for line in said if line.startswith("{"))))


def site(*options: str) -> None:
    """Have a cluster of two workers as these options say."""
    command = ["ansible-playbook", "site.yml", "-i", "inventory/local", "-e", "size=2", "-e", f"cloud_name={CLOUD}"]
    words = [word for option in options for word in ("-e", option)]
    subprocess.run([*command, *words], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def with_a_loss(session: Any, kubectl: Callable[..., str]) -> float:
    """Return the seconds of the job when an executor is lost between its map and its reduce tasks."""
    tracker, over = session.sparkContext.statusTracker(), threading.Event()

    def lose() -> None:
        seen = set[int]()
        while not over.wait(0.02):
            seen |= set(tracker.getActiveStageIds())
            if len(seen) > 1:  # the maps' stage is done, the next one has begun
                pods = kubectl("get", "pods", "-n", "spark", "-l", "spark-role=executor", "-o", "name").split()
                kubectl("delete", "-n", "spark", pods[0], "--grace-period=0", "--force")
                return

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        return job(session)
    finally:
        over.set()
        thread.join()


def shuffles(kubectl: Callable[..., str]) -> tuple[float, float]:
    """Return the seconds of the job, whole and with an executor lost."""
    session = astrok8s.attach(NAME, cloud=CLOUD, mode="client", executors=2, conf=CONF, quiet=True)
    try:
        job(session)  # the first one waits for executors and compiles
        return job(session), with_a_loss(session, kubectl)
    finally:
        session.stop()


def kubectl_of(folder: Path) -> Callable[..., str]:
    """Return kubectl for the cluster, with its configuration in a folder."""
    command = ["openstack", "coe", "cluster", "config", NAME, "--dir", str(folder), "--force"]
    # it asks which shell the configuration is for
    subprocess.run(command, check=True, env={"SHELL": "/bin/sh", **os.environ})

    def kubectl(*words: str, stdin: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={folder / 'config'}", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, input=stdin, text=True).stdout

    return kubectl


def measure(add: Callable[[str, float, float, str], None], folder: Path) -> None:
    """Measure, on a cluster that is made for it.

    Args:
        add: Takes a line: what, seconds, plain Spark's seconds, target.
        folder: For the cluster's kubeconfig.
    """
    site()
    kubectl = kubectl_of(folder)
    base = plain(kubectl)
    add("attach to first result, connect, cold", attach("connect"), base["first"], "")
    add("attach to first result, connect, warm", attach("connect"), base["first"], "≤ 3 s")
    kubectl("delete", "pods", "-n", "spark", "-l", "app.kubernetes.io/name=spark-connect", "--grace-period=1")
    add("attach to first result, client", attach("client"), base["first"], "")
    add("attach to first result, client, again", attach("client"), base["first"], "")
    for service in ("tracking", "external"):
        site(f"spark_shuffle_service={service}")
        whole, lost = shuffles(kubectl)
        add(f"shuffle of 10M rows, {service}", whole, base["job"], "")
        add(f"shuffle of 10M rows, {service}, an executor lost", lost, base["job"], "")
