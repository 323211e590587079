"""What runs in the virtual machine, as its only program: a box with the rack alone, and a cluster of one worker.

OpenStack is left out: it has nothing to do with cgroups, and an emulated processor would be busy with it for minutes.
What Magnum's driver writes of a cluster, this writes.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from run import PASSED

from localcloud import box, supervision
from localcloud.clusters import cgroups
from localcloud.clusters.description import Spec, read_spec, read_status, write_spec
from localcloud.clusters.kubectl import Kubectl
from localcloud.home import Home
from localcloud.network import Addresses

NETWORK = IPv4Network("10.70.0.0/16")
NAME = "proof"
MIB = 2**20
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: bounded}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: localcloud/busybox:1
      command: [sleep, "36000"]
      resources: {limits: {cpu: 500m, memory: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: localcloud/busybox:1
      command: [busybox, dd, if=/dev/zero, of=/dev/null, bs=200M]
      resources: {limits: {memory: 32Mi}}
"""


def main() -> None:
    """Checks, prints the outcome, and switches the machine off."""
    home = Home.of(NAME)
    try:
        prove(home)
        print(PASSED, flush=True)
    except Exception:
        traceback.print_exc()
        for log in sorted([*home.logs.glob("*"), *home.state.glob("clusters/*/nodes/*/**/*.log")]):
            if log.is_file():
                print(f"--- {log}\n{log.read_text(errors='replace')[-2500:]}", flush=True)
    finally:
        sys.stdout.flush()
        Path("/proc/sysrq-trigger").write_text("o")
        signal.pause()  # the kernel stops when its first program ends


def prove(home: Home) -> None:
    """Checks everything."""
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    check(f"Linux {os.uname().release} has cgroups of version 2 alone", "cgroup2" in kinds and "cgroup" not in kinds)
    refuse_a_container()
    start(home)
    cluster = home.state / "clusters" / NAME
    create(cluster)
    kubernetes = Kubectl(cluster / "admin.kubeconfig")
    worker = cgroups.ROOT / cgroups.parent(NAME) / "c1n1"
    check(f"{worker} gives controllers to pods", {"cpu", "cpuset", "memory", "pids"} <= words(worker))

    kubernetes.run("apply", "--filename=-", stdin=PODS)
    until("a pod with limits runs", lambda: container(kubernetes, "bounded").get("ready", False))
    identifier = container(kubernetes, "bounded")["containerID"].rpartition("/")[2]
    (folder,) = worker.glob(f"kubepods/**/{identifier}")
    limits = [(folder / name).read_text().strip() for name in ("cpu.max", "memory.max")]
    check(f"its cgroup has its limits: {limits}", limits == ["50000 100000", str(64 * MIB)])
    until("a pod above its limit has ended", lambda: "terminated" in container(kubernetes, "greedy").get("state", {}))
    ended = container(kubernetes, "greedy")["state"]["terminated"]
    check(f"because of {ended['reason']}, with {ended['exitCode']}", ended["reason"] == "OOMKilled")
    say(f"inotify instances in use: {inotify_instances()}")

    lose_power(worker)
    until("its pod runs again after a power cut", lambda: container(kubernetes, "bounded").get("restartCount") == 1)
    check("no cgroup is left of its former life", not list(worker.glob(f"kubepods/**/{identifier}")))

    remove(cluster)
    check("no cgroup of the cluster is left", not list(worker.parent.glob("c*/")))
    box.stop(home)
    check("no cgroup of the box is left", not worker.parent.exists())


def refuse_a_container() -> None:
    """Checks what a container is told whose root is its own cgroup, with its processes in it."""
    script = 'umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    checked = [sys.executable, "-c", "from localcloud.clusters import cgroups; cgroups.check()"]
    folder = cgroups.make_unified("container")
    join = f"echo 0 >{folder}/cgroup.procs && exec unshare --cgroup --mount sh -c '{script}' sh \"$@\""
    run = subprocess.run(["sh", "-c", join, "sh", *checked], capture_output=True, text=True, check=False)
    folder.rmdir()
    refused = "cannot give controllers to nodes" in run.stderr
    check(f"a container's root with processes in it is refused{'' if refused else run.stderr}", refused)


def start(home: Home) -> None:
    """Starts a box without OpenStack."""
    box.check_machine()
    home.create()
    home.remember_network(NETWORK)
    (home.state / "prepared").write_text(str(NETWORK))  # OpenStack's databases: nobody will ask for them
    supervision.write(home, services=())
    box.start(home)
    box.connect(home, Addresses(NETWORK))
    say("the box has started")


def create(cluster: Path) -> None:
    """Has the rack make a cluster of one worker, as Magnum's driver does."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder) / "key", Path(folder) / "certificate"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-subj", f"/CN={NAME}", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, capture_output=True, check=True)
        pair = certificate.read_text(), key.read_text()
    spec = Spec(generation=1, name=NAME, workers=1, ca_certificate=pair[0], ca_key=pair[1])
    write_spec(cluster, spec)

    def is_ready() -> bool:
        nonlocal spec
        status = read_status(cluster)
        if status is None or status.generation != spec.generation or status.state == "working":
            return False
        if status.state == "failed":  # the rack waits for as long as real processors need
            say(status.reason)
            spec = replace(spec, generation=spec.generation + 1)
            write_spec(cluster, spec)
        return status.state == "ready"

    until("its control plane and its worker are Ready, and DNS answers", is_ready)


def lose_power(worker: Path) -> None:
    """Kills the process that holds the worker's namespaces: its process 1 is the only child of that."""
    programs = (worker / "programs" / "cgroup.procs").read_text().split()
    (holder,) = (number for number in programs if Path(f"/proc/{number}/comm").read_text().strip() == "unshare")
    os.kill(int(holder), signal.SIGKILL)


def remove(cluster: Path) -> None:
    """Has the rack remove the cluster."""
    spec = read_spec(cluster)
    assert spec
    write_spec(cluster, replace(spec, generation=spec.generation + 1, deleted=True))
    until("the cluster is gone", lambda: not cluster.exists())


def container(kubernetes: Kubectl, pod: str) -> dict[str, Any]:
    """Returns the status of a pod's container; nothing where it has none yet."""
    status = json.loads(kubernetes.run("get", "pod", pod, "--output=json"))["status"]
    return dict(next(iter(status.get("containerStatuses", ())), {}))


def words(folder: Path) -> set[str]:
    """Returns the controllers that a cgroup gives to those below it."""
    return set((folder / "cgroup.subtree_control").read_text().split())


def inotify_instances() -> dict[str, int]:
    """Returns how many inotify instances the programs of the box have, by name."""
    found: dict[str, int] = {}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        if descriptor.is_symlink() and str(descriptor.readlink()) == "anon_inode:inotify":
            name = (descriptor.parents[1] / "comm").read_text().strip()
            found[name] = found.get(name, 0) + 1
    return found


def say(line: str) -> None:
    """Prints a line with the seconds since the kernel started."""
    print(f"{time.monotonic():7.1f} s  {line}", flush=True)


def check(what: str, holds: bool) -> None:
    """Prints what holds; fails if it does not."""
    if not holds:
        raise RuntimeError(f"does not hold: {what}")
    say(what)


def until(what: str, holds: Callable[[], bool], timeout_s: float = 900) -> None:
    """Waits until something holds; what it asks for takes its time on an emulated processor."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(3)
    say(what)


if __name__ == "__main__":
    main()
