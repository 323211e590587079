"""kubectl on one cluster, with the rack's own credentials."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.clusters import programs
from localcloud.errors import LocalcloudError

# How long one request may take: a frozen apiserver must not hold up whoever has a deadline. What is only asked will be
# asked again; what changes something fails with its request.
_ASK_TIMEOUT_S = 10
_RUN_TIMEOUT_S = 60


@dataclass(frozen=True)
class Kubectl:
    """The command on one cluster.

    Attributes:
        kubeconfig: The file with the credentials.
    """

    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs a command and returns what it prints.

        Raises:
            LocalcloudError: It failed.
        """
        run = self._run(*arguments, timeout_s=_RUN_TIMEOUT_S, stdin=stdin)
        if run.returncode != 0:
            raise LocalcloudError(
                f"`kubectl {' '.join(arguments)}` failed: {run.stderr.strip()}", remedy="See `localcloud logs rack`."
            )
        return run.stdout

    def answers(self) -> bool:
        """Returns whether the apiserver is ready."""
        return self._ask("get", "--raw", "/readyz").returncode == 0

    def server_version(self) -> str:
        """Returns the version of the apiserver, with its "v"."""
        return str(json.loads(self.run("version", "--output=json"))["serverVersion"]["gitVersion"])

    def ready_nodes(self) -> set[str]:
        """Returns the names of the nodes that are Ready; none while the apiserver does not answer."""
        run = self._ask("get", "nodes", "--output=json")
        nodes: list[dict[str, Any]] = json.loads(run.stdout)["items"] if run.returncode == 0 else []
        return {node["metadata"]["name"] for node in nodes if _is_ready(node)}

    def dns_is_ready(self) -> bool:
        """Returns whether a server of the cluster's DNS answers."""
        run = self._ask("get", "deployment", "coredns", "--namespace=kube-system", "--output=json")
        return run.returncode == 0 and json.loads(run.stdout)["status"].get("readyReplicas", 0) > 0

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(*arguments, timeout_s=_ASK_TIMEOUT_S)

    def _run(self, *arguments: str, timeout_s: int, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        kubectl = programs.kubernetes() / "kubectl"
        command = [str(kubectl), f"--kubeconfig={self.kubeconfig}", f"--request-timeout={timeout_s}s", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
