"""What it costs a cluster to watch for its end: requests of its API, and memory, with 1 and 50 sessions.

Requests are those of a minute with the watcher, less those of a minute without it. The cloud is asked for nothing until
the end.

usage: python benchmarks/watching.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LOCALCLOUD = ROOT / "localcloud" / ".venv" / "bin" / "localcloud"
KUBECTL = ROOT / "localcloud" / ".venv" / "builds" / "kubernetes" / "kubectl"
WATCHER = ("--namespace=astrok8s", "deployment/lifecycle")
SPAN_S = 60


def kubectl(*arguments: str, stdin: Any = None) -> str:
    """Runs kubectl as the cluster's administrator, and returns what it prints."""
    text = None if stdin is None else json.dumps(stdin)
    command = [str(KUBECTL), f"--kubeconfig={os.environ['KUBECONFIG']}", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def answered() -> float:
    """Returns how many requests the API has answered, but for this program's own."""
    lines = kubectl("get", "--raw", "/metrics").splitlines()
    counted = [line for line in lines if line.startswith("apiserver_request_total{") and ',resource=""' not in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


def per_minute() -> float:
    """Returns how many requests the API answers in a minute."""
    before = answered()
    time.sleep(SPAN_S)  # it is what is measured
    return answered() - before


def memory_mib() -> float:
    """Returns the memory that the watcher works with, as its kubelet sees it."""
    (node,) = set(kubectl("get", "pods", "--namespace=astrok8s", "--output=jsonpath={.items[*].spec.nodeName}").split())
    summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    (pod,) = [pod for pod in summary["pods"] if pod["podRef"]["namespace"] == "astrok8s"]
    return float(pod["memory"]["workingSetBytes"]) / 2**20


def sessions(count: int) -> None:
    """Gives the cluster as many sessions: leases as those of kernels."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    leases = [
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": f"kernel-{number}", "namespace": "default", "labels": {"astrok8s/use": "kernel"}},
            "spec": {"renewTime": now, "holderIdentity": f"user@host, process {number}", "leaseDurationSeconds": 3600},
        }
        for number in range(count)
    ]
    kubectl("apply", "--filename=-", stdin={"apiVersion": "v1", "kind": "List", "items": leases})


def measure() -> None:
    """Prints a line for each number of sessions."""
    for count in (1, 50):
        sessions(count)
        kubectl("scale", *WATCHER, "--replicas=0")
        kubectl("wait", "--namespace=astrok8s", "--for=delete", "pod", "--all", "--timeout=120s")
        without = per_minute()
        kubectl("scale", *WATCHER, "--replicas=1")
        kubectl("rollout", "status", *WATCHER, "--timeout=120s")
        with_it = per_minute()
        print(
            f"{count} session{'s' if count > 1 else ''}: {with_it - without:.0f} requests a minute of its API "
            f"(of {with_it:.0f}), {memory_mib():.0f} MiB",
            flush=True,
        )


def main() -> None:
    """Measures on a cluster of one worker in a box of its own."""
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        os.environ |= {"OS_CLOUD": name, "SHELL": "/bin/sh", "KUBECONFIG": f"{folder}/config"}
        site = [str(BIN / "ansible-playbook"), "site.yml", "--tags=cloud,magnum_cluster,lifecycle"]
        variables = ["-e", f"cloud_name={name}", "-e", "magnum_cluster_name=bench", "-e", "size=1"]
        openstack = str(LOCALCLOUD.parent / "openstack")
        try:
            for command in (
                [str(LOCALCLOUD), "up", "--name", name],
                [*site, *variables],
                [openstack, "coe", "cluster", "config", "bench", "--dir", folder],
            ):
                run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                if run.returncode != 0:
                    raise SystemExit(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
            measure()
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", "--name", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
