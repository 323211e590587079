"""How long a cluster takes: from the POST to all its nodes Ready and its DNS answering, as the rack sees it.

Beside it the bare floor of the same run, in the same box (floor.py), and how many times that is. Each is the best of a
few runs, which take turns.

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
from typing import Any

import openstack

ROOT = Path(__file__).resolve().parents[1]
LOCALCLOUD = ROOT / "localcloud" / ".venv" / "bin" / "localcloud"
POLL_S = 0.1
TIMEOUT_S = 600
TURNS = 3


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


def by_magnum(magnum: Any, home: Path, workers: int) -> float:
    """Returns how long a cluster of Magnum takes, in seconds."""
    start = time.monotonic()
    created = magnum.create_cluster(name="bench", cluster_template_id="kubernetes", node_count=workers)
    cluster = home / "state/clusters" / created.id
    wait_for("all nodes to be Ready", partial(is_ready, cluster))
    took = time.monotonic() - start
    magnum.delete_cluster(created.id)
    wait_for("the cluster to be gone", partial(is_gone, cluster))
    return took


def by_hand(home: Path, workers: int) -> float:
    """Returns how long the bare floor takes, in seconds."""
    python = LOCALCLOUD.with_name("python")
    say = f"from localcloud import box; from localcloud.home import Home; print(box.inside(Home.of({home.name!r})))"
    init = subprocess.run([str(python), "-c", say], capture_output=True, text=True, check=True).stdout.strip()
    inside = ["nsenter", f"--target={init}", "--mount", "--net", "--pid", "--ipc", "--uts"]
    arguments = [home.name, (home / "network").read_text().strip(), str(workers)]
    floor = [*inside, str(python), str(Path(__file__).with_name("floor.py")), *arguments]
    return float(subprocess.run(floor, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    """Prints one line for each size."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [2, 8]
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        home, of_this_box = Path(folder, "state/astrok8s", name), ("--name", name)
        try:
            subprocess.run([str(LOCALCLOUD), "up", *of_this_box], stdout=subprocess.DEVNULL, check=True)
            magnum = openstack.connect(cloud=name).container_infrastructure_management
            for size in sizes:
                turns = [(by_magnum(magnum, home, size), by_hand(home, size)) for _ in range(TURNS)]
                cluster, floor = (min(times) for times in zip(*turns, strict=True))
                told = f"{cluster:5.1f} s, {cluster / floor:.1f} times the bare floor of {floor:.1f} s"
                print(f"POST to all Ready, {size} workers: {told}", flush=True)
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", *of_this_box], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
