"""How long a cluster takes: from the POST to all its nodes Ready and its DNS answering, as the rack sees it.

usage: python benchmarks/cluster_create.py [WORKERS...]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import openstack

LOCALCLOUD = Path(__file__).resolve().parents[1] / "localcloud" / ".venv" / "bin" / "localcloud"
POLL_S = 0.1
TIMEOUT_S = 600


def wait_for(what: str, predicate: Callable[[], bool]) -> None:
    """Waits until a predicate holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not predicate():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {TIMEOUT_S} s for {what}")
        time.sleep(POLL_S)


def is_ready(cluster: Path) -> bool:
    """Returns whether the rack has reached the cluster in a folder."""
    status = cluster / "status.json"
    reached = json.loads(status.read_text()) if status.exists() else {"state": "working"}
    if reached["state"] == "failed":
        raise SystemExit(reached["reason"])
    return bool(reached["state"] == "ready")


def is_gone(cluster: Path) -> bool:
    """Returns whether the rack has removed the cluster in a folder."""
    return not cluster.exists()


def main() -> None:
    """Prints one line for each size."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [2, 8]
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        of_this_box = ("--name", name)
        try:
            subprocess.run([str(LOCALCLOUD), "up", *of_this_box], stdout=subprocess.DEVNULL, check=True)
            magnum = openstack.connect(cloud=name).container_infrastructure_management
            for size in sizes:
                start = time.monotonic()
                created = magnum.create_cluster(
                    name="bench", cluster_template_id="kubernetes", keypair="astro", node_count=size
                )
                cluster = Path(folder, "state/astrok8s", name, "state/clusters", created.id)
                wait_for("all nodes to be Ready", partial(is_ready, cluster))
                print(f"POST to all Ready, {size} workers: {time.monotonic() - start:5.1f} s", flush=True)
                magnum.delete_cluster(created.id)
                wait_for("the cluster to be gone", partial(is_gone, cluster))
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", *of_this_box], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
