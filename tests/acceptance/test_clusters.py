"""What the clusters of localcloud promise beside the main job: they stand side by side, and they survive."""

import ctypes
import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from boxes import KUBECTL, LOCALCLOUD_BIN, WEB, Box, traces, until
from processes import in_box, kill_in_box


def create(box: Box, name: str, workers: int = 1, *options: str) -> None:
    template = ("--cluster-template", "kubernetes", "--keypair", "astro")
    run = box.openstack("coe", "cluster", "create", *template, "--node-count", str(workers), *options, name)
    assert run.returncode == 0, run.stderr


def serve(box: Box, cluster: str) -> None:
    run = box.kubectl(cluster, "apply", "--filename=-", stdin=WEB)
    assert run.returncode == 0, run.stderr
    rolled = box.kubectl(cluster, "rollout", "status", "deployment/web", "--timeout=120s")
    assert rolled.returncode == 0, rolled.stderr


def service(box: Box, cluster: str) -> str:
    return box.kubectl(cluster, "get", "service", "web", "--output=jsonpath={.spec.clusterIP}").stdout


def test_clusters_that_are_created_at_once_stand_side_by_side(box: Box) -> None:
    names = ("one", "two", "three")
    for name in names:
        create(box, name)
    for name in names:
        box.wait_for_cluster(name, "CREATE_COMPLETE")
    addresses = {
        address["address"]
        for name in names
        for node in box.nodes(name).values()
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    }
    assert len(addresses) == 6
    for name in names:
        serve(box, name)
    answers = {box.run("curl", "--silent", "--max-time", "10", f"http://{service(box, name)}").stdout for name in names}
    assert len(answers) == 3


def test_the_machine_reaches_pods_and_their_logs(box: Box) -> None:
    pod = json.loads(box.kubectl("one", "get", "pods", "--selector=app=web", "--output=json").stdout)["items"][0]
    name = pod["metadata"]["name"]
    direct = box.run("curl", "--silent", "--max-time", "10", f"http://{pod['status']['podIP']}")
    assert direct.stdout == f"{name}\n"
    assert box.kubectl("one", "exec", name, "--", "hostname").stdout == f"{name}\n"
    assert box.kubectl("one", "logs", "deployment/coredns", "--namespace=kube-system").returncode == 0


def test_a_port_of_a_pod_is_forwarded(box: Box) -> None:
    command = [str(KUBECTL), f"--kubeconfig={box.folder / f'{box.name}-one' / 'config'}"]
    command += ["port-forward", "deployment/web", ":80", "--address=127.0.0.1"]
    with subprocess.Popen(command, env=box.environment, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout
            found = re.search(r"127\.0\.0\.1:(\d+) -> 80", forward.stdout.readline())
            assert found
            answer = box.run("curl", "--silent", "--max-time", "10", f"http://127.0.0.1:{found[1]}")
        finally:
            forward.terminate()
    assert answer.stdout.startswith("web-")


def test_a_cluster_goes_without_the_others(box: Box) -> None:
    box.delete_cluster("three")
    assert len(box.nodes("one")) == len(box.nodes("two")) == 2


def test_a_cluster_takes_the_place_of_one_that_is_gone(box: Box) -> None:
    for name in ("old", "new"):
        create(box, name, workers=3)
        box.wait_for_cluster(name, "CREATE_COMPLETE")
        logs = [path.read_text() for path in (box.home / "state/clusters").glob("*/nodes/*/node.log")]
        assert not any("Traceback" in log for log in logs)  # each node was started once
        box.delete_cluster(name)


def test_a_killed_box_comes_back_with_its_clusters(box: Box) -> None:
    holder, network, address = box.holder(), box.network, service(box, "one")
    assert holder
    os.kill(holder, signal.SIGKILL)
    assert box.localcloud("down").returncode == 0
    assert traces(box, network) == [f"file {box.home}"]
    assert box.localcloud("up").returncode == 0
    answer = until(
        lambda: box.run("curl", "--silent", "--max-time", "5", f"http://{address}"),
        lambda run: run.returncode == 0,
        120,
    )
    assert answer.stdout.startswith("web-")
    until(lambda: box.kubectl("one", "get", "nodes"), lambda run: run.stdout.count(" Ready") == 2, 120)


@pytest.mark.parametrize("module", ["localcloud.cloud.magnum_server", "localcloud.clusters.rack"])
def test_a_create_survives_the_end_of_who_does_it(box: Box, module: str) -> None:
    name = module.rsplit(".", 1)[1].replace("_", "-")
    create(box, name, workers=2)
    # From here on all that is wanted is on the disk.
    until(lambda: box.run("grep", "-rl", f'"name": "{name}"', str(box.home / "state/clusters"), "--include=spec.json"),
          lambda run: run.returncode == 0)  # fmt: skip
    kill_in_box(box, module)
    until(lambda: box.localcloud("status"), lambda run: run.returncode == 0)
    box.wait_for_cluster(name, "CREATE_COMPLETE")
    assert len(box.nodes(name)) == 3


def test_more_masters_than_one_are_refused(box: Box) -> None:
    template = ("--cluster-template", "kubernetes", "--keypair", "astro", "--master-count", "3")
    run = box.openstack("coe", "cluster", "create", *template, "masters")
    if run.returncode == 0:
        refused = until(lambda: box.cluster_status("masters"), lambda answer: answer.stdout.startswith("CREATE_FAILED"))
        assert "has 1 master node, not 3" in refused.stdout
    else:
        assert "master" in run.stderr


def test_a_create_that_takes_longer_than_its_timeout_fails_with_the_reason(box: Box) -> None:
    others = {*in_box(box, "kube-apiserver")}
    create(box, "late", 1, "--timeout", "1")
    apiserver: list[int] = []
    deadline = time.monotonic() + 30
    while not apiserver:
        assert time.monotonic() < deadline
        apiserver = [process for process in in_box(box, "kube-apiserver") if process not in others]
        time.sleep(0.05)
    os.kill(apiserver[0], signal.SIGSTOP)
    failed = until(lambda: box.cluster_status("late"), lambda run: "_FAILED" in run.stdout, 150)
    assert failed.stdout.startswith("CREATE_FAILED")
    assert "Its create_timeout is over." in failed.stdout
    box.delete_cluster("late")


def test_instances_that_others_have_are_counted(box: Box) -> None:
    wanted = 2 * 7 + 7  # one worker and a control plane
    libc, taken = ctypes.CDLL(None), list[int]()
    while (instance := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(instance)
    try:
        for instance in taken[: wanted - 1]:
            os.close(instance)
        create(box, "squeezed")
        failed = until(lambda: box.cluster_status("squeezed"), lambda run: "_FAILED" in run.stdout)
        assert "need 21 inotify instances, 1 more than are left" in failed.stdout
    finally:
        for instance in taken[wanted - 1 :]:
            os.close(instance)
    box.delete_cluster("squeezed")


def test_nodes_for_which_the_machine_has_no_room_are_refused(box: Box) -> None:
    if int(Path("/proc/sys/fs/inotify/max_user_instances").read_text()) > 200:
        pytest.skip("the machine has inotify instances for more nodes than a cluster may have")
    create(box, "crowd", 31)
    failed = until(lambda: box.cluster_status("crowd"), lambda run: "_FAILED" in run.stdout)
    assert failed.stdout.startswith("CREATE_FAILED")
    assert "sysctl fs.inotify.max_user_instances=" in failed.stdout
    box.delete_cluster("crowd")


def test_a_terminal_is_asked_before_clusters_go(box: Box) -> None:
    master, terminal = pty.openpty()
    command = [str(LOCALCLOUD_BIN / "localcloud"), "destroy", "--name", box.name]
    with subprocess.Popen(command, env=box.environment, stdin=terminal, stdout=subprocess.PIPE, text=True) as process:
        os.write(master, b"n\n")
        asked, _ = process.communicate(timeout=60)
    os.close(terminal)
    os.close(master)
    assert process.returncode == 1
    assert re.match(rf"Destroy {box.name} with its clusters .*\bone\b", asked)
    assert box.holder()
