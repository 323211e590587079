"""The fault table: each fault hits a cluster that serves traffic and runs a Spark application, and nothing is lost.

Processes are killed, machines lose their power, disks fill up: a worker's by a pod, the control plane's under etcd.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Cloud, run
from kube import Kubectl, eventually
from load import Load, going_on, healthy, workers
from site_yml import CLUSTER, shown

HUNGRY = """
apiVersion: v1
kind: Pod
metadata: {{name: hungry}}
spec:
  nodeName: {node}
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
    - name: hungry
      image: docker.io/library/busybox:1.36
      command: [sh, -c, "dd if=/dev/zero of=/data/zeros bs=1M count=1400; sleep 600"]
      volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, emptyDir: {{}}}}]
"""


@pytest.fixture(scope="module")
def load(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    with going_on(tmp_path_factory.mktemp("faults")) as load:
        yield load


def kill(program: str, group: str = "") -> None:
    """Kill a supervised program with SIGKILL, and wait until another process is in its place."""

    def pid() -> int:
        facts = json.loads(run("localcloud", "status", "--json", check=False).stdout)
        name = f"{group}.{program}" if group else program
        found = [p for p in facts["processes"] if p["name"] == name and p["state"] == "RUNNING"]
        return int(found[0]["pid"]) if found else 0

    before = pid()
    assert before, f"{program} does not run"
    # a program is an nsenter that dies with its component
    os.kill(before, signal.SIGKILL)
    eventually(f"{program} to run again", lambda: pid() not in (0, before))


@pytest.mark.parametrize("service", ["magnum", "keystone"])
def test_a_killed_service_of_openstack_comes_back(load: Load, service: str) -> None:
    kill(service)
    assert not (why := load.silent(seconds=10)), why
    healthy(load)


@pytest.mark.parametrize(
    "components",
    [["kube-apiserver"], ["etcd"], ["kube-controller-manager", "kube-scheduler"]],
    ids=["apiserver", "etcd", "controllers"],
)
def test_killed_components_of_the_control_plane_come_back(load: Load, components: list[str]) -> None:
    (master,) = (name for name in load.kubectl.ready_nodes() if "-master-" in name)
    for component in components:
        kill(component, master)
    healthy(load)


@pytest.mark.parametrize("component", ["kubelet", "containerd", "kube-proxy"])
def test_a_killed_component_of_a_worker_disturbs_no_pod(load: Load, component: str) -> None:
    before = _containers(load.kubectl)
    kill(component, workers(load.kubectl)[0])
    healthy(load)
    assert _containers(load.kubectl) == before, "containers were started anew"


def _containers(kubectl: Kubectl) -> set[str]:
    pods = kubectl.get("pods", "-l", "app=traffic")["items"]
    return {status["containerID"] for pod in pods for status in pod["status"]["containerStatuses"]}


def test_killed_dns_comes_back(load: Load) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        command, group = _read(process / "cmdline"), _read(process / "cgroup")
        if command.startswith("/coredns") and f"/{CLUSTER}-" in group:
            os.kill(int(process.name), signal.SIGKILL)
            break
    else:
        pytest.fail("no process of CoreDNS")
    healthy(load)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_worker_without_power_is_told_and_its_pods_go_elsewhere(cloud: Cloud, load: Load) -> None:
    kubectl, victim = load.kubectl, workers(load.kubectl)[0]
    with observed(load.answers) as seen:
        with without_power(victim):
            # 50 s is the grace period of Kubernetes' node lifecycle controller
            eventually("the node to be NotReady", lambda: victim not in kubectl.ready_nodes(), seconds=70)

            def reason() -> str:
                facts = shown(CLUSTER)
                assert facts["health_status_reason"]["api"] == "ok"
                return facts["health_status"] + facts["health_status_reason"][f"{victim}.Ready"]

            eventually("Magnum to tell which node", lambda: reason().startswith("UNHEALTHYKubelet stopped posting"))
            kubectl("rollout", "status", "deployment/traffic", "--timeout=60s")
            done = load.jobs()
            eventually("the Spark application to go on without it", lambda: load.jobs() > done, seconds=180)
            before = len(kubelet_said(cloud, victim))
        healthy(load)
    assert "Failed to create existing container" not in kubelet_said(cloud, victim)[before:], "cgroups outlived the cut"
    # a third of the requests goes to the dead pod until its node is told to be gone
    assert sum(seen) > len(seen) / 3, f"{sum(seen)} of {len(seen)} requests were answered"


@contextmanager
def without_power(node: str) -> Iterator[None]:
    run("localcloud", "power", "off", CLUSTER, node)
    try:
        yield
    finally:
        run("localcloud", "power", "on", CLUSTER, node)


def kubelet_said(cloud: Cloud, node: str) -> str:
    return next((cloud.home / "logs").glob(f"*/{node}/kubelet.log")).read_text()


def observed(look: Callable[[], bool]) -> _Observed:
    """Look again and again while a block runs; give what was seen."""
    return _Observed(look)


class _Observed:
    def __init__(self, look: Callable[[], bool]) -> None:
        self._look, self._seen, self._done = look, list[bool](), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(0.2):
            self._seen.append(self._look())

    def __enter__(self) -> list[bool]:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def test_a_control_plane_without_power_disturbs_no_pod(load: Load) -> None:
    (master,) = (name for name in load.kubectl.ready_nodes() if "-master-" in name)
    before = _containers(load.kubectl)
    with without_power(master):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            # seconds, as pods that come back take the nodes' cores meanwhile
            assert not (why := load.silent(seconds=10)), f"traffic needs no control plane: {why}"
            time.sleep(0.5)
    healthy(load)
    assert _containers(load.kubectl) == before, "containers were started anew"


def root(cloud: Cloud, node: str) -> Path:
    (found,) = (cloud.home / "clusters").glob(f"*/nodes/{node}/root")
    return found


def switch(node: str, state: str) -> None:
    """Switch a node on or off, and wait until it is."""
    run("localcloud", "power", state, CLUSTER, node)

    def machine() -> str:
        facts = json.loads(run("localcloud", "status", "--json").stdout)
        return str(next(p["state"] for p in facts["processes"] if p["name"] == f"{node}.machine"))

    eventually(f"{node} to be {state}", lambda: machine() == {"on": "RUNNING", "off": "STOPPED"}[state])


@contextmanager
def own_disk(load: Load, node: str, place: Path, megabytes: int, image: Path) -> Iterator[None]:
    """Give a node a small disk for one of its folders; what the folder holds moves there, and back at the end."""
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    run("mkfs.ext4", "-q", "-m", "0", str(image))
    original, back = place.with_name("original"), place.with_name("back")
    switch(node, "off")
    place.rename(original)
    place.mkdir()
    run("mount", "-o", "loop", str(image), str(place))
    run("cp", "-a", f"{original}/.", str(place))
    switch(node, "on")
    try:
        healthy(load)
        yield
    finally:
        switch(node, "off")
        run("cp", "-a", str(place), str(back))
        run("umount", str(place))
        place.rmdir()
        back.rename(place)
        shutil.rmtree(original)
        switch(node, "on")
    healthy(load)


@contextmanager
def quick(node: Path) -> Iterator[None]:
    """Let a kubelet call pressure over 20 s after it is, and not five minutes later.

    Shorter than a few times its ``nodeStatusUpdateFrequency``, the pressure could be over before it is ever told.
    """
    file = node / "etc/kubernetes/kubelet.json"
    usual = file.read_text()
    file.write_text(json.dumps({**json.loads(usual), "evictionPressureTransitionPeriod": "20s"}))
    try:
        yield
    finally:
        file.write_text(usual)


def condition(kubectl: Kubectl, node: str, kind: str) -> str:
    conditions = kubectl.get("node", node)["status"]["conditions"]
    return str(next(c["status"] for c in conditions if c["type"] == kind))


def test_a_pod_that_fills_its_node_is_evicted(cloud: Cloud, load: Load, tmp_path: Path) -> None:
    kubectl, node = load.kubectl, workers(load.kubectl)[0]
    with quick(root(cloud, node)), own_disk(load, node, root(cloud, node) / "var/lib/kubelet", 1500, tmp_path / "disk"):
        kubectl("apply", "-f", "-", stdin=HUNGRY.format(node=node))
        eventually("the pressure to be told", lambda: condition(kubectl, node, "DiskPressure") == "True", seconds=180)

        def evicted() -> bool:
            status = kubectl.get("pod", "hungry")["status"]
            return bool(status.get("reason") == "Evicted" and "ephemeral-storage" in status["message"])

        eventually("the pod to be evicted", evicted)
        eventually("the pressure to be over", lambda: condition(kubectl, node, "DiskPressure") == "False")
        kubectl("delete", "pod", "hungry")
        healthy(load)


def test_etcd_without_disk_loses_nothing(cloud: Cloud, load: Load, tmp_path: Path) -> None:
    kubectl = load.kubectl
    (master,) = (name for name in kubectl.ready_nodes() if "-master-" in name)
    place = root(cloud, master) / "var/lib/etcd"
    megabyte = tmp_path / "megabyte"
    megabyte.write_text("x" * 900_000)
    with own_disk(load, master, place, 400, tmp_path / "disk"):
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):  # until nothing more fits
            while file.write(bytes(2**20)) == 2**20:
                pass
        written = []
        for number in range(200):
            name = f"large-{number}"
            if not kubectl("create", "configmap", name, f"--from-file=x={megabyte}", "-o", "name", check=False):
                break
            written.append(name)
        else:
            pytest.fail("etcd never ran out of disk")
        eventually("doctor to name etcd", lambda: "etcd" in _doctor())
        filler.unlink()
        healthy(load)
        kept = {item["metadata"]["name"] for item in kubectl.get("configmaps")["items"]}
        assert set(written) <= kept
        kubectl("delete", "configmap", *kept & {f"large-{number}" for number in range(200)})


def _doctor() -> str:
    """Return the subjects that are not well."""
    found = json.loads(run("localcloud", "doctor", "--json", check=False).stdout)
    return " ".join(finding["subject"] for finding in found if not finding["well"])
