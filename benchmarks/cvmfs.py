"""What reading from a repository takes on a worker, against the same tree on its disk.

A repository is new to the proxy and to the clients of both workers. One worker reads it (cold), then the other, for
which the proxy has it (proxy warm), then that one again (hot), and at last a copy of its own (disk, which the kernel
has in its memory, as it has what is hot). Medians over several repositories of the same content; a mount is timed in
a client's pod.

usage: python benchmarks/cvmfs.py
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import astrok8s

ROOT = Path(__file__).resolve().parents[1]
LOCALCLOUD = ROOT / "localcloud" / ".venv" / "bin" / "localcloud"
KUBECTL = ROOT / "localcloud" / ".venv" / "builds" / "kubernetes" / "kubectl"
REPOSITORIES = [f"bench{number}.example.org" for number in range(3)]
WHATS = {"small": "1,000 files of 4 kB", "large": "100 MB", "import": "import astropy, healpy"}

# Prints the seconds of each, in the tree that it is given.
READ = """
import json, os, subprocess, sys, time
from pathlib import Path

tree, seconds = Path(sys.argv[1]), {}

def small():
    for number in range(1000):
        (tree / "small" / str(number)).read_bytes()

def large():
    with open(tree / "large", "rb") as file:
        while file.read(1 << 20):
            pass

def packages():
    environment = os.environ | {"PYTHONPATH": str(tree / "python" / "lib")}
    subprocess.run([sys.executable, "-c", "import astropy, healpy"], env=environment, check=True)

for name, read in {"small": small, "large": large, "import": packages}.items():
    start = time.monotonic()
    read()
    seconds[name] = time.monotonic() - start
print(json.dumps(seconds))
"""
MOUNT = """
export CVMFS_MOUNT_DIR=/tmp/mounted CVMFS_CACHE_BASE=/tmp/cache
start=$(date +%s%N)
cvmfs-client {fqrn} 2>/dev/null & until mountpoint -q /tmp/mounted/{fqrn}; do sleep 0.005; done
echo $(($(date +%s%N) - start)); kill $!; wait; rm -r /tmp/cache
"""
READERS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: readers}}
spec:
  selector: {{matchLabels: {{app: readers}}}}
  template:
    metadata: {{labels: {{app: readers}}}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {{fsGroup: 185}}
      containers:
        - name: reader
          image: docker.io/astrok8s/spark:{version}
          args: [sleep, infinity]
          volumeMounts:
            - {{name: cvmfs, mountPath: /cvmfs, mountPropagation: HostToContainer, readOnly: true}}
            - {{name: disk, mountPath: /disk}}
      volumes:
        - {{name: cvmfs, hostPath: {{path: /cvmfs}}}}
        - {{name: disk, emptyDir: {{}}}}
"""


def run(*command: object, stdin: str | None = None) -> str:
    """Runs a command, which must succeed; returns what it prints."""
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, input=stdin, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def cluster(name: str, folder: Path) -> Path:
    """Makes a cloud with the repositories and a cluster that has them; returns its kubeconfig."""
    tree = folder / "tree"
    shutil.copytree(ROOT / ".venv" / "software", tree)
    (tree / "small").mkdir()
    for number in range(1000):
        (tree / "small" / str(number)).write_bytes(os.urandom(4096))
    (tree / "large").write_bytes(os.urandom(100_000_000))
    run(LOCALCLOUD, "up", "--name", name)
    for fqrn in REPOSITORIES:
        run(LOCALCLOUD, "cvmfs", "publish", fqrn, tree, "--name", name)
    (folder / "options.json").write_text(run(LOCALCLOUD, "cvmfs", "options", "--name", name))
    variables = ("-e", f"cloud_name={name}", "-e", "magnum_cluster_name=bench", "-e", "size=2")
    run(Path(sys.executable).with_name("ansible-playbook"), "site.yml", *variables, "-e", f"@{folder / 'options.json'}")
    run(LOCALCLOUD.with_name("openstack"), "--os-cloud", name, "coe", "cluster", "config", "bench", "--dir", folder)
    return folder / "config"


def measure(kubeconfig: Path) -> dict[str, dict[str, list[float]]]:
    """Returns the seconds, by what was read and in which state."""

    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        return run(KUBECTL, f"--kubeconfig={kubeconfig}", *arguments, stdin=stdin)

    kubectl(
        "apply", "--filename=-", stdin=READERS.format(version=astrok8s.load_options()["spark_base_version"].default)
    )
    kubectl("rollout", "status", "daemonset/readers", "--timeout=120s")
    first, second = kubectl("get", "pods", "--selector=app=readers", "--output=name").split()
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("mount", *WHATS)}

    def read(state: str, pod: str, tree: str) -> None:
        for name, seconds in json.loads(kubectl("exec", pod, "--", "python3", "-c", READ, tree)).items():
            found[name].setdefault(state, []).append(seconds)

    for fqrn in REPOSITORIES:
        mount = kubectl("exec", "--namespace=cvmfs", "daemonset/cvmfs", "--", "bash", "-c", MOUNT.format(fqrn=fqrn))
        found["mount"].setdefault("proxy warm", []).append(int(mount) / 1e9)
        read("cold", first, f"/cvmfs/{fqrn}")
        read("proxy warm", second, f"/cvmfs/{fqrn}")
        read("hot", second, f"/cvmfs/{fqrn}")
        kubectl("exec", second, "--", "cp", "--archive", f"/cvmfs/{fqrn}", f"/disk/{fqrn}")
        read("disk", second, f"/disk/{fqrn}")
    return found


def main() -> None:
    """Prints a table."""
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        os.environ |= {"SHELL": "/bin/sh"}  # `openstack coe cluster config` fails without one
        try:
            found = measure(cluster(name, Path(folder)))
        finally:
            run(LOCALCLOUD, "destroy", "--name", name)
    states = ("cold", "proxy warm", "hot", "disk")
    table = Table("seconds", *states, *(f"{state} / disk" for state in states[:3]))
    for what, title in {"mount": "mount", **WHATS}.items():
        medians = {state: statistics.median(seconds) for state, seconds in found[what].items()}
        ratios = [f"{medians[state] / medians['disk']:.2f}" if "disk" in medians else "" for state in states[:3]]
        table.add_row(title, *(f"{medians[state]:.3f}" if state in medians else "" for state in states), *ratios)
    Console().print(table)


if __name__ == "__main__":
    main()
