"""What runs in the virtual machine, as its only program: localcloud, a cluster, and what cgroup v2 is about."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack

REPOSITORY = Path(__file__).parents[2]
BIN = REPOSITORY / ".venv/bin"
CGROUPS = Path("/sys/fs/cgroup")
DISK = Path("/mnt")
"""Where init.sh mounts the disk."""

NAME = "proof"
PASSED = "cgroup v2: all checks passed"
CLOUD = {
    "LOCALCLOUD_HOME": str(DISK / "home"),
    "XDG_CACHE_HOME": str(DISK / "cache"),
    "OS_CLIENT_CONFIG_FILE": str(DISK / "clouds.yaml"),
    "OS_CLOUD": "local",
}

MIB = 2**20
WORKER = ("m1.small", "100000 100000", 2048 * MIB)
MASTER = ("m1.medium", "max 100000", 4096 * MIB)
"""A flavor, and cpu.max and memory.max of its nodes: the second has as many processors as the machine, no limit."""

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: bounded}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: docker.io/library/busybox:1.36
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
      image: docker.io/library/busybox:1.36
      command: [dd, if=/dev/zero, of=/dev/null, bs=200M]
      resources: {limits: {memory: 32Mi}}
"""

begun = time.monotonic()


def say(line: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True)


def run(*words: str | Path, text: str | None = None) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run([*words], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(word) for word in words)
        raise RuntimeError(f"{shown} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def until(what: str, holds: Callable[[], bool], seconds: float = 900) -> None:
    """Wait until something holds; an emulated processor is slow."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(3)
    say(what)


def check(what: str, *, holds: bool) -> None:
    """Print what holds; fail if it does not."""
    if not holds:
        raise RuntimeError(f"does not hold: {what}")
    say(what)


def up() -> bool:
    """Bring localcloud up; it waits as long as real processors need, so it may have to be told again."""
    try:
        run(BIN / "localcloud", "up")
    except RuntimeError as error:
        if "not every service answers" not in str(error):
            raise
        return False
    return True


def create(magnum: Any) -> None:
    """Have Magnum create a cluster of one worker."""
    template = next(iter(magnum.cluster_templates()))
    cluster = magnum.create_cluster(
        name=NAME,
        cluster_template_id=template.uuid,
        keypair="astronomer",
        master_count=1,
        node_count=1,
        flavor_id=WORKER[0],
        master_flavor_id=MASTER[0],
    )

    def complete() -> bool:
        shown = magnum.get_cluster(cluster.uuid or cluster.id)
        if shown.status == "CREATE_FAILED":
            raise RuntimeError(f"Magnum did not create the cluster: {shown.status_reason}")
        return bool(shown.status == "CREATE_COMPLETE")

    until("Magnum's cluster is CREATE_COMPLETE", complete, 1800)


class Kubernetes:
    """The cluster's API."""

    def __init__(self) -> None:
        (kubeconfig,) = DISK.glob("home/clusters/*/pki/localcloud.kubeconfig")
        self._kubectl = (BIN / "kubectl", f"--kubeconfig={kubeconfig}")

    def apply(self, objects: str) -> None:
        """Create objects."""
        run(*self._kubectl, "apply", "-f", "-", text=objects)

    def pod(self, name: str) -> dict[str, Any]:
        """Return a pod."""
        return dict(json.loads(run(*self._kubectl, "get", "pod", name, "-o", "json")))

    def container(self, name: str) -> dict[str, Any]:
        """Return the state of a pod's container; nothing if it has none yet."""
        return dict(next(iter(self.pod(name)["status"].get("containerStatuses", ())), {}))

    def ready(self) -> dict[str, bool]:
        """Return for each node whether it is Ready."""
        items = json.loads(run(*self._kubectl, "get", "nodes", "-o", "json"))["items"]
        conditions = {node["metadata"]["name"]: node["status"]["conditions"] for node in items}
        return {
            name: any(c["type"] == "Ready" and c["status"] == "True" for c in found)
            for name, found in conditions.items()
        }

    def exec(self, pod: str, *command: str) -> str:
        """Run a command in a pod; return what it prints."""
        return run(*self._kubectl, "exec", pod, "--", *command)


def containers(node: Path) -> set[str]:
    """Return the cgroups of a node's containers, each named by its container."""
    return {path.name for path in node.glob("kubepods/**/pod*/*/") if path.is_dir()}


def limits(cgroup: Path) -> tuple[str, int]:
    """Return cpu.max, and memory.max in bytes."""
    return (cgroup / "cpu.max").read_text().strip(), int((cgroup / "memory.max").read_text())


def proof() -> None:
    """Check everything."""
    filesystems = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    check(
        f"Linux {os.uname().release}, {os.cpu_count()} processors, cgroup v2 alone",
        holds="cgroup2" in filesystems and "cgroup" not in filesystems,
    )
    until("localcloud is up", up, 1800)
    create(openstack.connect().container_infrastructure_management)
    kubernetes = Kubernetes()
    check(f"nodes are Ready: {', '.join(kubernetes.ready())}", holds=list(kubernetes.ready().values()) == [True, True])
    for word, (flavor, cpu, memory) in (("node", WORKER), ("master", MASTER)):
        (node,) = CGROUPS.glob(f"lc0/{NAME}-*-{word}-0")
        found = limits(node)
        check(f"{node.name} is {flavor}: cpu.max {found[0]}, memory.max {found[1]}", holds=found == (cpu, memory))
    (worker,) = CGROUPS.glob(f"lc0/{NAME}-*-node-0")

    kubernetes.apply(PODS)
    until("a pod with limits runs", lambda: kubernetes.container("bounded").get("ready", False))
    shown = kubernetes.pod("bounded")
    identifier = shown["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    (container,) = worker.glob(f"kubepods/**/pod{shown['metadata']['uid']}/{identifier}")
    for word, cgroup in (("pod", container.parent), ("container", container)):
        check(f"they are the limits of its {word}'s cgroup", holds=limits(cgroup) == ("50000 100000", 64 * MIB))
    seen = kubernetes.exec("bounded", "cat", "/sys/fs/cgroup/memory.max").strip()
    check(f"it sees its own cgroup: memory.max {seen}", holds=seen == str(64 * MIB))

    def killed() -> bool:
        return bool(kubernetes.container("greedy").get("state", {}).get("terminated"))

    until("a pod above its memory limit has ended", killed)
    ended = kubernetes.container("greedy")["state"]["terminated"]
    check(f"because of {ended['reason']}, exit code {ended['exitCode']}", holds=ended["reason"] == "OOMKilled")

    before = containers(worker)
    run(BIN / "localcloud", "power", "off", NAME, worker.name)
    until("a worker without power is not Ready", lambda: not kubernetes.ready()[worker.name])
    run(BIN / "localcloud", "power", "on", NAME, worker.name)
    until("with power, it is", lambda: kubernetes.ready()[worker.name])
    until("and its pod runs again", lambda: kubernetes.container("bounded").get("restartCount") == 1)
    after = containers(worker)
    check(f"no cgroup is left of the {len(before)} containers before", holds=bool(before) and not before & after)
    check("its flavor holds still", holds=limits(worker) == WORKER[1:])

    print(run(BIN / "localcloud", "doctor"), end="", flush=True)
    say("localcloud doctor finds everything well")
    run(BIN / "localcloud", "destroy", "--yes")
    check("nothing of it is left among the cgroups", holds=not list(CGROUPS.glob("lc*")))


def main() -> None:
    """Check, print the outcome, and switch the machine off."""
    os.environ.update(CLOUD, PATH=f"{BIN}:{os.environ['PATH']}")
    try:
        proof()
        print(PASSED, flush=True)
    except Exception:
        traceback.print_exc()
        for log in sorted(DISK.glob("home/logs/**/*.log")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-2000:]}", flush=True)
    finally:
        Path("/proc/sysrq-trigger").write_text("o")
        signal.pause()  # the kernel stops when its first program ends


if __name__ == "__main__":
    main()
