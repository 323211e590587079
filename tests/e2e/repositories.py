"""Repositories of the tests' stratum, and pods that read them as Spark's do."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Cloud, run
from kube import Kubectl, Namespace, eventually
from probe import IMAGE
from site_yml import playbook

DEMO = "sw.astro.example"
"""The repository that localcloud itself publishes, with a Python site."""

SITE = f"/cvmfs/{DEMO}/python"

TTL = 5
"""Seconds until clients look for a new revision of what is published here."""

PLACE = "cvmfs-readers"
"""Namespace of the pods that read."""


def publish(fqrn: str, folder: Path) -> None:
    """Publish a folder as the next revision of a repository."""
    folder.chmod(0o755)  # pytest closes its folders to others
    run("localcloud", "cvmfs", "publish", fqrn, str(folder), "--ttl", str(TTL))


def remove(*fqrns: str) -> None:
    """Take repositories away, those that are not there any more left out."""
    for fqrn in fqrns:
        run("localcloud", "cvmfs", "remove", fqrn, check=False)


def told() -> dict[str, Any]:
    """Return what localcloud tells of CVMFS."""
    found: dict[str, Any] = json.loads(run("localcloud", "status", "--json").stdout)["cvmfs"]
    return found


def options(**values: Any) -> tuple[str, ...]:
    """Return options of roles as words of a command line, which keep their types."""
    return ("-e", json.dumps(values))


def flat(text: str) -> str:
    """Return what Ansible has printed of a message, without its line ends and quotes."""
    return " ".join(re.sub(r"[\n'\"]+", " ", text).split())


@contextmanager
def stopped(cloud: Cloud, *programs: str) -> Iterator[None]:
    """Stop programs of the cloud for a while."""
    supervisorctl = str(REPOSITORY / "localcloud/.venv/bin/supervisorctl")
    control = (supervisorctl, "-c", f"{cloud.home}/etc/supervisord.conf")
    run(*control, "stop", *programs)
    try:
        yield
    finally:
        run(*control, "start", *programs)


@contextmanager
def on_nodes(*fqrns: str, **values: Any) -> Iterator[None]:
    """Have published repositories on the nodes, by options of the role, and take them away at the end."""
    try:
        assert "failed=0" in playbook(*options(**values), part="cvmfs").text
        yield
    finally:
        remove(*fqrns)
        assert "failed=0" in playbook(part="cvmfs").text


SCAN = """
import hashlib, json, os, stat, sys
def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
def scan(top):
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            kind = stat.S_IFMT(state.st_mode)
            if stat.S_ISLNK(state.st_mode):
                more = os.readlink(path)
            else:
                more = digest(path) if stat.S_ISREG(state.st_mode) else ""
            yield os.path.relpath(path, top), [kind, stat.S_IMODE(state.st_mode), int(state.st_mtime), more]
found = dict(scan(sys.argv[1]))
print(len(found), hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest())
"""
"""Prints the number of entries below a folder, and a digest of all that is known of them."""


def digest(folder: Path) -> str:
    """Return the digest of `SCAN` for a folder here."""
    return run("python", "-c", SCAN, str(folder)).stdout.strip()


READ = """
import hashlib, sys
for path in sys.argv[1:]:
    try:
        with open(path, "rb") as file:
            print(hashlib.sha256(file.read()).hexdigest())
    except OSError as error:
        print(error.strerror)
"""
"""Prints for each file the digest of its content, or why it cannot be read."""


def sha256(content: bytes) -> str:
    """Return the digest that `READ` prints."""
    return hashlib.sha256(content).hexdigest()


class Readers:
    """A pod on each worker that sees /cvmfs as Spark's pods do, by its node.

    Args:
        kubectl: Of the cluster.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self.space = Namespace(kubectl, PLACE)
        kubectl("create", "namespace", PLACE)
        self.space.apply(_daemon_set())
        self.space("rollout", "status", "daemonset/readers", "--timeout=120s")

    @property
    def pods(self) -> dict[str, str]:
        """The names of the pods, by node; those of nodes that are gone stay in Kubernetes' books for a while."""
        nodes = self.space.kubectl.ready_nodes()
        found = self.space.get("pods", "-l", "app=readers")["items"]
        names = {pod["spec"].get("nodeName"): pod["metadata"]["name"] for pod in found}
        return {node: name for node, name in names.items() if node in nodes}

    def python(self, pod: str, script: str, *arguments: str, check: bool = True) -> str:
        """Return what a Python script prints in a pod."""
        return self.space("exec", pod, "-c", "main", "--", "python3", "-c", script, *arguments, check=check).strip()

    def read(self, *paths: str) -> list[list[str]]:
        """Return what each pod reads: digests, or why there is none."""
        return [self.python(pod, READ, *paths).splitlines() for pod in self.pods.values()]

    def eventually_read(self, what: str, path: str, digest: str, seconds: float = 30) -> None:
        """Wait until each pod reads a file with this digest."""
        eventually(what, lambda: all(said == [digest] for said in self.read(path)), seconds)

    def restarts(self) -> int:
        """Return how often containers of the pods were started anew."""
        pods = self.space.get("pods", "-l", "app=readers")["items"]
        return sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"])


def _daemon_set() -> dict[str, Any]:
    mount = {"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": True, "mountPropagation": "HostToContainer"}
    main = {
        "name": "main",
        "image": IMAGE,
        "args": ["sleep", "infinity"],
        "securityContext": {"runAsUser": 185, "runAsNonRoot": True},
        "volumeMounts": [mount],
    }
    volume = {"name": "cvmfs", "hostPath": {"path": "/cvmfs", "type": "DirectoryOrCreate"}}
    labels = {"app": "readers"}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [main], "volumes": [volume]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "readers"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


CLIENTS = ("-n", "kube-system", "-l", "app.kubernetes.io/name=astrok8s-cvmfs")
"""Where kubectl finds the clients' pods."""


def client_log(kubectl: Kubectl) -> str:
    """Return what all clients have said."""
    return kubectl("logs", *CLIENTS, "-c", "client", "--tail=-1", "--prefix")


def object_of(cloud: Cloud, fqrn: str, content: bytes) -> Path:
    """Return the file of the stratum that holds a file's content, which is one object."""
    for path in (cloud.home / "state/cvmfs/www").glob(f"**/{fqrn}/data/*/*"):
        if stat.S_ISREG(path.stat().st_mode) and zlib.decompress(path.read_bytes()) == content:
            return path
    pytest.fail(f"the stratum has no object of {fqrn} with this content", pytrace=False)
