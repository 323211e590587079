"""CVMFS on a cluster of two workers, each figure against the same files on a node's own disk, in the same run.

What is read for the first time on one node (cold) is read from the proxy on the other one (squid-warm), and then again
on the first one (hot).
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spark import kubectl_of, site

FQRN, DEMO = "bench.astro.example", "sw.astro.example"
SMALL, LARGE = 1000, 100 * 10**6
"""How many small files there are, and bytes of the large one."""

PODS = ("first", "second")

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: spark}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: {image}
      args: [sleep, infinity]
      volumeMounts:
        - {{name: cvmfs, mountPath: /cvmfs, readOnly: true, mountPropagation: HostToContainer}}
        - {{name: local, mountPath: /local}}
  volumes:
    - name: cvmfs
      hostPath: {{path: /cvmfs}}
    - name: local
      emptyDir: {{}}
"""

WORK = """
import os, subprocess, sys, time
what, place = sys.argv[1:]
begun = time.monotonic()
if what == "import":
    program = "import astropy, astropy.units, astropy.coordinates, healpy"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": place}, check=True)
else:
    for entry in os.scandir(place):
        with open(entry.path, "rb") as file:
            while file.read(2**20):
                pass
print(time.monotonic() - begun)
"""
"""Prints the seconds of reading all files of a folder, or of an import by a new process."""

COPY = "import shutil, sys; shutil.copytree(*sys.argv[1:], symlinks=True)"

MOUNT = f"""
set -eu
folder=$(mktemp -d)
mkdir "$folder/cache" "$folder/mounts"
export CVMFS_REPOSITORIES={DEMO} CVMFS_CACHE_BASE=$folder/cache CVMFS_MOUNT_DIR=$folder/mounts
begun=$(date +%s%N)
cvmfs-client &
client=$!
until grep -q " $folder/mounts/{DEMO} " /proc/mounts && ls "$folder/mounts/{DEMO}" >/dev/null; do sleep 0.01; done
ended=$(date +%s%N)
kill $client
wait $client || true
rm -rf "$folder"
echo $((ended - begun))
"""
"""Prints the nanoseconds of one more client of a node, with a cache of its own, until the repository lists."""

CASES = (
    # what, path, title, targets: cold, squid-warm, hot
    ("small", f"/cvmfs/{FQRN}/small", f"{SMALL:,} small files", ("", "", "")),
    ("large", f"/cvmfs/{FQRN}/large", f"{LARGE // 10**6} MB", ("", "", "")),
    ("import", f"/cvmfs/{DEMO}/python", "import astropy, healpy", ("≤ 3 ×", "", "≤ 1.2 ×")),
)


def publish(folder: Path) -> None:
    """Publish what nobody has read yet."""
    chance = random.Random(0)
    for name in ("small", "large"):
        (folder / name).mkdir(parents=True)
    for number in range(SMALL):
        (folder / f"small/{number}").write_bytes(chance.randbytes(chance.randrange(8000)))
    (folder / "large/file").write_bytes(chance.randbytes(LARGE))
    subprocess.run(["localcloud", "cvmfs", "publish", FQRN, str(folder)], check=True, stdout=subprocess.DEVNULL)


def pods(kubectl: Callable[..., str]) -> None:
    """Start a pod on each worker."""
    told = json.loads(kubectl("get", "configmap", "astrok8s", "-n", "spark", "-o", "json"))["data"]
    found = json.loads(kubectl("get", "nodes", "-l", "!node-role.kubernetes.io/control-plane", "-o", "json"))["items"]
    nodes = [node["metadata"]["name"] for node in found]
    for name, node in zip(PODS, nodes, strict=True):
        kubectl("apply", "-f", "-", stdin=POD.format(name=name, node=node, image=told["image"]))
    kubectl("wait", "-n", "spark", *(f"pod/{name}" for name in PODS), "--for=condition=Ready", "--timeout=120s")


def measure(figures: Any, folder: Path) -> None:
    """Measure, on the cluster that the figures of Spark were measured on.

    Args:
        figures: Takes lines.
        folder: For the cluster's kubeconfig, and what is published.
    """
    publish(folder / "published")
    site()
    kubectl = kubectl_of(folder)
    pods(kubectl)

    def python(pod: str, script: str, *words: str) -> str:
        return kubectl("exec", "-n", "spark", pod, "--", "python3", "-c", script, *words)

    client = ("-n", "kube-system", "daemonset/astrok8s-cvmfs", "-c", "client")
    nanoseconds = kubectl("exec", *client, "--", "sh", "-c", MOUNT).split()[-1]
    figures.add("mount of a repository", f"{int(nanoseconds) / 1e9:.2f} s")
    first, second = PODS
    for what, path, title, targets in CASES:
        seconds = [float(python(pod, WORK, what, path)) for pod in (first, second, first)]
        python(first, COPY, path, f"/local/{what}")
        local = float(python(first, WORK, what, f"/local/{what}"))
        for state, took, target in zip(("cold", "squid-warm", "hot"), seconds, targets, strict=True):
            ratio = f"{took / local:.1f} × local disk {local:.2f} s"
            figures.add(f"{title}, CVMFS, {state}", f"{took:.2f} s", ratio, target)
    kubectl("delete", "pods", "-n", "spark", *PODS)
