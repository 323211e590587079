"""A cluster through its own clients: `openstack coe cluster config`, then kubectl."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import run


class Kubectl:
    """kubectl with the configuration that Magnum hands out.

    Args:
        cluster: The cluster's name.
        folder: For the configuration.
    """

    def __init__(self, cluster: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        run("openstack", "coe", "cluster", "config", cluster, "--dir", str(folder), "--force", "--output-certs")
        self.config = folder / "config"

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={self.config}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stderr}", pytrace=False)
        return done.stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what kubectl says when it is refused what it asks for; fail if it is not."""
        command = ["kubectl", f"--kubeconfig={self.config}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode, f"{' '.join(command)} was not refused: {done.stdout}"
        return done.stderr

    def get(self, *arguments: str) -> Any:
        """Return what ``kubectl get … -o json`` prints."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def ready_nodes(self) -> dict[str, bool]:
        """Return for each Ready node whether it is a worker (has no NoSchedule taint)."""
        result = {}
        for node in self.get("nodes")["items"]:
            conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
            if conditions["Ready"] == "True":
                tainted = any(t["effect"] == "NoSchedule" for t in node["spec"].get("taints", []))
                result[node["metadata"]["name"]] = not tainted
        return result


def eventually(what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds; fail naming it if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}", pytrace=False)
        time.sleep(0.2)


def throughout(what: str, holds: Callable[[], bool], seconds: float) -> None:
    """Look for ``seconds`` whether something goes on to hold; fail naming it as soon as it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not holds():
            pytest.fail(f"not for {seconds:.0f} s: {what}", pytrace=False)
        time.sleep(0.2)


SERVERS = "app.kubernetes.io/name=spark-connect"
"""Label of Spark Connect servers' pods."""


def remove_servers(kubectl: Kubectl) -> None:
    """End Connect servers, and wait for the end of their executors: a small cluster has room for few."""
    kubectl("delete", "pods", "-n", "spark", "-l", SERVERS, "--grace-period=1")
    executors = ("pods", "-n", "spark", "-l", "astrok8s/server,spark-role=executor")
    eventually("executors to end with their servers", lambda: kubectl.get(*executors)["items"] == [])


class Namespace:
    """A namespace through kubectl, with pods whose container is named ``main``.

    Args:
        kubectl: Of the cluster.
        name: Of the namespace.
    """

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl, self.name = kubectl, name

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        return self.kubectl("-n", self.name, *arguments, check=check, stdin=stdin)

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what kubectl says when it is refused what it asks for; fail if it is not."""
        return self.kubectl.refused("-n", self.name, *arguments, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """Return what ``kubectl get … -o json`` prints."""
        return self.kubectl.get("-n", self.name, *arguments)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make what is declared."""
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def uid(self, pod: str) -> str:
        """Return what tells a pod from another one of its name; empty if there is none."""
        return self("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")

    def sh(self, pod: str, script: str) -> str:
        """Return what a script prints in a pod."""
        return self("exec", pod, "-c", "main", "--", "sh", "-c", script)

    def main(self, pod: str) -> dict[str, Any]:
        """Return the status of a pod's container; empty before it has one."""
        statuses = self.get("pod", pod)["status"].get("containerStatuses", [])
        return next((status for status in statuses if status["name"] == "main"), {})

    def ended(self, pod: str) -> dict[str, Any]:
        """Return how a pod's container ended, once it has."""
        eventually(f"{pod} to end", lambda: "terminated" in self.main(pod).get("state", {}))
        found: dict[str, Any] = self.main(pod)["state"]["terminated"]
        return found

    def ready(self, *pods: str) -> None:
        """Wait until pods are Ready."""
        self("wait", "--for=condition=Ready", *(f"pod/{pod}" for pod in pods), "--timeout=60s")
