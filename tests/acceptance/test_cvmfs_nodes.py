"""What the role cvmfs promises: every worker reads the repositories, and so does every pod of Spark."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boxes import FQRN, Box, read_on_executors, until

from astrok8s import load_options

CLIENTS = ("--namespace=cvmfs", "--selector=app.kubernetes.io/name=cvmfs")

# Ordinary users on every worker.
READERS = f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: readers}}
spec:
  selector: {{matchLabels: {{app: readers}}}}
  template:
    metadata: {{labels: {{app: readers}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: reader
          image: docker.io/astrok8s/spark:{load_options()["spark_base_version"].default}
          args: [sleep, infinity]
          securityContext: {{runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
          volumeMounts: [{{name: cvmfs, mountPath: /cvmfs, mountPropagation: HostToContainer, readOnly: true}}]
      volumes:
        - name: cvmfs
          hostPath: {{path: /cvmfs, type: DirectoryOrCreate}}
"""


def declare(box: Box, *repositories: dict[str, Any], **options: object) -> subprocess.CompletedProcess[str]:
    variables = {"size": 2, "cvmfs_repositories": repositories} | options
    return box.playbook("site.yml", clusters=["one"], **variables)


def test_every_worker_reads_it_when_the_playbook_ends(box: Box, repository: dict[str, Any]) -> None:
    run = declare(box, repository)
    assert run.returncode == 0, run.stdout
    names = box.kubectl("one", "get", "pods", *CLIENTS, "--output=name").stdout.split()
    assert len(names) == 2
    for name in names:
        read = box.kubectl("one", "exec", "--namespace=cvmfs", name, "--", "cat", f"/cvmfs/{FQRN}/hip/main.csv")
        assert read.stdout == "ra,dec", read.stderr
    assert "changed=0" in declare(box, repository).stdout


@pytest.mark.parametrize("mode", ["connect", "client"])
def test_executors_of_both_workers_read_it(box: Box, mode: str) -> None:
    run = read_on_executors(box, mode)
    assert run.stdout == "2 {'ra,dec'}\n", run.stderr


def test_eight_readers_on_every_worker_see_the_same(box: Box, tmp_path: Path) -> None:
    for number in range(1_000):
        path = tmp_path / str(number % 10) / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}\n" * 100)
    told = box.publish("many.example.org", tmp_path)
    many = {"fqrn": "many.example.org", "urls": [told["url"]], "public_key": Path(told["public key"]).read_text()}
    assert declare(box, many).returncode == 0
    assert box.kubectl("one", "apply", "--filename=-", stdin=READERS).returncode == 0
    rolled = box.kubectl("one", "rollout", "status", "daemonset/readers", "--timeout=120s")
    assert rolled.returncode == 0, rolled.stdout
    names = box.kubectl("one", "get", "pods", "--selector=app=readers", "--output=name").stdout.split()
    assert len(names) == 2
    digest = "find . -type f | sort | xargs sha1sum | sha1sum"
    eight = f"cd /cvmfs/many.example.org && id -u && for i in 1 2 3 4 5 6 7 8; do ({digest}) & done; wait"
    commands = [("exec", name, "--", "sh", "-c", eight) for name in names]
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda command: box.kubectl("one", *command), commands))
    expected = box.run("sh", "-c", f"cd {tmp_path} && {digest}").stdout
    assert [run.stdout for run in runs] == ["185\n" + 8 * expected] * 2


def test_a_new_worker_has_it_before_the_playbook_ends(box: Box, repository: dict[str, Any]) -> None:
    assert declare(box, repository, size=2).returncode == 0
    for playbook, size in (("playbooks/resize.yml", 3), ("playbooks/resize.yml", 2), ("site.yml", 3)):
        repositories = {} if playbook != "site.yml" else {"cvmfs_repositories": [repository]}
        run = box.playbook(playbook, clusters=["one"], size=size, **repositories)
        assert run.returncode == 0, run.stdout
        names = box.kubectl("one", "get", "pods", *CLIENTS, "--output=name").stdout.split()
        status = box.kubectl("one", "get", "daemonset", "cvmfs", "--namespace=cvmfs", "--output=json").stdout
        assert json.loads(status)["status"]["numberReady"] >= size, names


def test_a_client_that_is_killed_comes_back_under_pods_that_run(box: Box) -> None:
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}}
    mount = {"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": True, "mountPropagation": "HostToContainer"}
    container = {"name": "reader", "image": "localcloud/busybox:1", "command": ["sleep", "infinity"]}
    volumes = [{"name": "cvmfs", "hostPath": {"path": "/cvmfs"}}]
    pod["spec"] = {"containers": [container | {"volumeMounts": [mount]}], "volumes": volumes}
    assert box.kubectl("one", "apply", "--filename=-", stdin=json.dumps(pod)).returncode == 0
    read = ("exec", "reader", "--", "cat", f"/cvmfs/{FQRN}/hip/main.csv")
    until(lambda: box.kubectl("one", *read), lambda run: run.stdout == "ra,dec")
    assert box.kubectl("one", "delete", "pods", *CLIENTS, "--grace-period=0", "--force").returncode == 0
    until(lambda: box.kubectl("one", *read), lambda run: run.stdout == "ra,dec", timeout_s=120)


def test_a_proxy_that_is_down_is_done_without(box: Box, repository: dict[str, Any]) -> None:
    box_address = repository["urls"][0].removeprefix("http://").partition(":")[0]
    run = declare(box, repository, cvmfs_http_proxy=f"http://{box_address}:3127;DIRECT")
    assert run.returncode == 0, run.stdout


# Of a repository that a node has never read, what it has in its cache is no help.
WRONG = {
    "key": ({"public_key": "another's"}, FQRN, "not signed by the master key"),
    "server": ({"fqrn": "new.example.org", "urls": ["http://{box}:8001/cvmfs/@fqrn@"]}, "new.example.org", "refused"),
    "name": ({"fqrn": "none.example.org"}, "none.example.org", "it is for sw.example.org"),
}


@pytest.mark.parametrize(("changed", "name", "reason"), WRONG.values(), ids=WRONG)
def test_what_no_node_can_read_is_told_with_node_and_reason(
    box: Box, repository: dict[str, Any], tmp_path: Path, changed: dict[str, Any], name: str, reason: str
) -> None:
    address = repository["urls"][0].removeprefix("http://").partition(":")[0]
    changed = json.loads(json.dumps(changed).replace("{box}", address))
    if "public_key" in changed:
        (tmp_path / "file").write_text("other")
        changed["public_key"] = Path(box.publish("other.example.org", tmp_path)["public key"]).read_text()
    run = declare(box, repository | changed, cvmfs_timeout=60)
    assert run.returncode == 2
    told = " ".join(run.stdout.split())
    assert "Not every node reads every repository" in told
    assert re.search(rf"one-node-\d says: .*{name}: .*{reason}", told), told


def test_without_repositories_there_is_none(box: Box) -> None:
    assert declare(box).returncode == 0
    assert "changed=0" in declare(box).stdout
    gone = ("get", "pods", "--namespace=cvmfs", "--output=name")
    until(lambda: box.kubectl("one", *gone), lambda run: run.stdout == "")
