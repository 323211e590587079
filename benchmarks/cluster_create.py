"""How long a cluster takes: from the POST to all its nodes Ready and its DNS answering, as the rack sees it.

usage: python benchmarks/cluster_create.py [WORKERS...]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import openstack

LOCALCLOUD = Path(__file__).resolve().parents[1] / "localcloud" / ".venv" / "bin" / "localcloud"
POLL_S = 0.1
TIMEOUT_S = 600


def wait_until_ready(cluster: Path) -> None:
    """Waits until the rack has reached the cluster in a folder."""
    status, deadline = cluster / "status.json", time.monotonic() + TIMEOUT_S
    while not status.exists() or (reached := json.loads(status.read_text()))["state"] == "working":
        if time.monotonic() > deadline:
            raise SystemExit(f"{cluster} is not ready after {TIMEOUT_S} s")
        time.sleep(POLL_S)
    if reached["state"] != "ready":
        raise SystemExit(reached["reason"])


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
                wait_until_ready(cluster)
                print(f"POST to all Ready, {size} workers: {time.monotonic() - start:5.1f} s", flush=True)
                magnum.delete_cluster(created.id)
                while cluster.exists():
                    time.sleep(POLL_S)
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", *of_this_box], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
