"""Interrupted and killed in the middle: the next run, or the cloud itself, finishes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BIN, REPOSITORY, Cloud, run
from kube import Kubectl, eventually
from machine import NUMBER
from site_yml import clusters, playbook, shown

SITE = ["ansible-playbook", "site.yml", "-e", f"cloud_name=local{NUMBER}", "-e", "size=1", "-e"]


def start(log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a command of the environment, its output in a file."""
    with log.open("wb") as file:
        command = (str(BIN / command[0]), *command[1:])
        return subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file, start_new_session=True)


def status(name: str) -> str:
    """Return a cluster's status; empty if there is no such cluster."""
    return str(shown(name).get("status", ""))


def pid(cloud: Cloud, program: str) -> int:
    """Return the PID of a program of localcloud."""
    facts = json.loads(run("localcloud", "status", "--json", check=False).stdout)
    return next(int(p["pid"]) for p in facts["processes"] if p["name"] == program)


def destroy(name: str) -> None:
    playbook("-e", f"magnum_cluster_name={name}", book="playbooks/destroy.yml")
    assert name not in clusters()


@pytest.mark.parametrize(
    "command",
    [
        [*SITE, "magnum_cluster_name=interrupted", "--tags", "cloud,magnum_cluster"],
        ["astrok8s", "up", "interrupted", "--size", "1"],
    ],
    ids=["ansible-playbook", "astrok8s"],
)
def test_interrupted_create_is_finished_by_the_next_run(cloud: Cloud, tmp_path: Path, command: list[str]) -> None:
    process = start(tmp_path / "log", *command)
    eventually("the cluster to be in creation", lambda: status("interrupted") == "CREATE_IN_PROGRESS")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    run(*command)
    assert clusters().count("interrupted") == 1
    assert sorted(Kubectl("interrupted", tmp_path).ready_nodes().values()) == [False, True]
    destroy("interrupted")


def test_killed_conductor_loses_no_create(cloud: Cloud, tmp_path: Path) -> None:
    run("openstack", "coe", "cluster", "create", "killed", "--cluster-template", "kubernetes-v1.34")
    eventually("the cluster to be in creation", lambda: status("killed") == "CREATE_IN_PROGRESS")
    os.kill(pid(cloud, "magnum"), signal.SIGKILL)
    eventually("the cluster to be complete", lambda: status("killed") == "CREATE_COMPLETE", seconds=120)
    destroy("killed")


def test_two_runs_together_make_one_cluster(cloud: Cloud, tmp_path: Path) -> None:
    runs = [start(tmp_path / f"log{number}", *SITE, "magnum_cluster_name=twins") for number in range(2)]
    with ThreadPoolExecutor() as pool:
        codes = list(pool.map(lambda process: process.wait(timeout=300), runs))
    assert codes == [0, 0], "\n".join(path.read_text() for path in tmp_path.glob("log*"))
    assert clusters().count("twins") == 1
    destroy("twins")


def test_everything_killed_comes_back_with_its_data(cloud: Cloud, tmp_path: Path) -> None:
    kubectl = Kubectl("astrok8s", tmp_path)
    kubectl("create", "configmap", "kept", "--from-literal=star=Proxima")
    os.kill(int((cloud.home / "run/supervisord.pid").read_text()), signal.SIGKILL)
    run("localcloud", "up")
    eventually(
        "the cluster to answer with its data",
        lambda: "Proxima" in kubectl("get", "configmap", "kept", "-o", "yaml", check=False),
    )
    eventually("all nodes to be Ready", lambda: len(kubectl.ready_nodes()) == 4, seconds=120)
