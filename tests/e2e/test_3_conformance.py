"""A node does what upstream says, as a user of kubectl sees it.

The pods are in ``conformance/NAMESPACE/*.yaml``, started all at once. Upstream's own tests are run by ``make
test-conformance``; what works between pods is in ``test_3_workloads.py`` and ``test_8_network.py``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import BUSYBOX, declared, pod
from conftest import Cloud
from kube import Kubectl, Namespace, eventually
from site_yml import CLUSTER

DIARY = "var/lib/conformance"
"""Folder of the nodes that pods write to."""

CAPABILITIES = "00000000a80425fb"
"""Mask of the 14 capabilities that containerd gives a container by default."""


@pytest.fixture(scope="module")
def namespaces(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Namespace]]:
    """All namespaces; their pods are started, none is waited for."""
    kubectl = Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))
    with declared(kubectl, "conformance", "restricted") as found:
        yield found


@pytest.fixture(scope="module")
def pods(namespaces: dict[str, Namespace]) -> Namespace:
    """The namespace that most pods are in."""
    return namespaces["conformance"]


def node_file(cloud: Cloud, pods: Namespace, name: str, path: str) -> Path:
    """Return a file on the node that a pod runs on, as the machine sees it."""
    node = pods.get("pod", name)["spec"]["nodeName"]
    (root,) = cloud.home.glob(f"clusters/*/nodes/{node}/root")
    return root / path


# -- probes, limits, order and end of containers ---------------------------------------------------------


def test_a_readiness_probe_gates_a_service(pods: Namespace) -> None:
    pods("wait", "--for=condition=PodReadyToStartContainers", "pod/gated", "--timeout=60s")
    eventually("the container to run", lambda: "running" in pods.main("gated").get("state", {}))

    def endpoints() -> list[bool]:
        slices = pods.get("endpointslices", "-l", "kubernetes.io/service-name=gated")["items"]
        return [bool(e["conditions"]["ready"]) for s in slices for e in s.get("endpoints") or []]

    eventually("an endpoint that is not ready", lambda: endpoints() == [False])
    pods.sh("gated", "touch /tmp/ready")
    eventually("an endpoint that is ready", lambda: endpoints() == [True])
    pods.sh("gated", "rm /tmp/ready")
    eventually("an endpoint that is not ready any more", lambda: endpoints() == [False])
    assert pods.main("gated")["restartCount"] == 0


def test_a_liveness_probe_restarts(pods: Namespace) -> None:
    eventually("a restart", lambda: pods.main("unhealthy").get("restartCount", 0) >= 1)
    assert pods.main("unhealthy")["lastState"]["terminated"]["exitCode"] == 137
    assert pods("logs", "unhealthy", "--previous").split() == ["begun"]


def test_a_startup_probe_keeps_the_others_waiting(pods: Namespace) -> None:
    """Its liveness probe would fail at once."""
    pods.ready("slow")
    assert pods.main("slow")["started"] is True
    assert pods.main("slow")["restartCount"] == 0


def test_limits_are_those_of_the_cgroup(pods: Namespace) -> None:
    pods.ready("limited")
    script = "cd /sys/fs/cgroup; cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes"
    assert int(pods.sh("limited", script)) == 64 << 20
    script = "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
    assert pods.sh("limited", script).split() == ["25000", "100000"]
    assert pods.get("pod", "limited")["status"]["qosClass"] == "Guaranteed"


def test_beyond_its_memory_a_container_is_killed(pods: Namespace) -> None:
    ended = pods.ended("hungry")
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_too_large_stays_pending(pods: Namespace) -> None:
    def reasons() -> list[str]:
        conditions = pods.get("pod", "huge")["status"].get("conditions", [])
        return [c.get("message", "") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"]

    eventually("the scheduler's word", lambda: bool(reasons()))
    assert "Insufficient memory" in reasons()[0]
    assert pods.get("pod", "huge")["status"]["phase"] == "Pending"


def test_first_containers_and_sidecars_in_their_order(pods: Namespace) -> None:
    """What the last one has read from the sidecar is its termination message, too."""
    ended = pods.ended("ordered")
    assert ended["message"].split() == ["first", "sidecar", "second"]
    eventually("the pod to end", lambda: pods.get("pod", "ordered")["status"]["phase"] == "Succeeded")


def test_a_pod_ends_as_it_asks_for(cloud: Cloud, pods: Namespace) -> None:
    """Hooks, a signal, and time; the folder is the node's, not the machine's."""
    pods.ready("graceful", "stubborn")
    diary = node_file(cloud, pods, "graceful", f"{DIARY}/graceful")
    assert diary.read_text().split() == ["started"]
    # one waits as long as its hook takes, the other one is killed after its 2 s: less than the default of 30
    pods("delete", "pod", "graceful", "stubborn", "--timeout=20s")
    assert diary.read_text().split() == ["started", "stopping", "stopped", "terminated"]
    assert not Path("/", DIARY).exists()


# -- volumes and environment -------------------------------------------------------------------------------


def test_environment_of_a_pod(pods: Namespace) -> None:
    pods.ready("volumes")
    itself = pods.get("pod", "volumes")
    lines = pods.sh("volumes", "env").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    node = itself["spec"]["nodeName"]
    wanted = {"SET_colour": "blue", "SET_shape": "round", "PASSWORD": "hunter2", "NODE": node, "MEMORY": "64"}
    wanted |= {"ADDRESS": itself["status"]["podIP"], "HOST": itself["status"]["hostIP"], "GREETING": f"blue on {node}"}
    assert {name: found.get(name) for name in wanted} == wanted
    assert "ABSENT" not in found
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"


def test_what_volumes_hold(pods: Namespace) -> None:
    pods.ready("volumes")
    wanted = {
        "/node": pods.get("pod", "volumes")["spec"]["nodeName"],
        "/settings/colour": "blue",
        "/one/shape": "round",
        "/secret/password": "hunter2",
        "/all/a/colour": "blue",
        "/all/password": "hunter2",
        "/all/name": "volumes",
        "/about/labels": 'app="volumes"',
        "/about/cpu": "500",
    }
    said = pods.sh("volumes", f"for file in {' '.join(wanted)}; do echo $(cat $file); done").splitlines()
    assert dict(zip(wanted, said, strict=True)) == wanted


def test_modes_users_and_groups_of_volumes(pods: Namespace) -> None:
    pods.ready("volumes")
    assert pods.sh("volumes", "id -u; id -g; id -G").split("\n")[:2] == ["1000", "3000"]
    assert set(pods.sh("volumes", "id -G").split()) == {"3000", "2000", "4000"}
    # its group owns it, and what is made in it
    said = pods.sh("volumes", "touch /empty/file; stat -c %g:%a /empty; stat -c %u:%g /empty/file")
    assert said.split() == ["2000:2777", "1000:2000"]
    assert pods.sh("volumes", "stat -Lc %g:%a /secret/password").strip() == "2000:440"
    assert pods.sh("volumes", "touch /expanded/other; ls /empty/of-round").strip() == "other"
    said = pods.sh("volumes", "touch /fixed/new 2>&1; touch /secret/new 2>&1; touch /settings/new 2>&1; true")
    assert said.count("Read-only file system") == 3


def test_memory_as_a_volume_has_its_size(pods: Namespace) -> None:
    pods.ready("volumes")
    assert "tmpfs /memory tmpfs" in pods.sh("volumes", "cat /proc/mounts")
    write = "dd if=/dev/zero of=/memory/file bs=1M count=%d 2>&1 && echo whole; rm /memory/file"
    assert "whole" in pods.sh("volumes", write % 8)
    assert "No space left on device" in pods.sh("volumes", write % 9)


# -- what a pod may do -------------------------------------------------------------------------------------


def status(namespace: Namespace, name: str) -> dict[str, str]:
    """Return what the kernel tells of a process in a pod."""
    namespace.ready(name)
    lines = namespace.sh(name, "cat /proc/self/status").splitlines()
    return {field: value.strip() for field, _, value in (line.partition(":") for line in lines)}


def test_an_ordinary_pod(pods: Namespace) -> None:
    found = status(pods, "ordinary")
    assert (found["CapEff"], found["CapBnd"]) == (CAPABILITIES, CAPABILITIES)
    assert (found["Uid"].split()[0], found["NoNewPrivs"], found["Seccomp"]) == ("0", "0", "0")
    # neither the machine's processes nor its devices
    assert pods.sh("ordinary", "ls /proc | grep -c '^[0-9]'").strip() in ("3", "4", "5")
    assert pods.sh("ordinary", "ls /dev").split() == pods.sh("volumes", "ls /dev").split()
    assert "sda" not in pods.sh("ordinary", "ls /dev")
    assert "Operation not permitted" in pods.sh("ordinary", "mount -t tmpfs none /mnt 2>&1; hostname x 2>&1; true")


def test_a_confined_pod(namespaces: dict[str, Namespace]) -> None:
    confined = namespaces["restricted"]
    found = status(confined, "confined")
    assert (int(found["CapEff"], 16), int(found["CapBnd"], 16)) == (0, 0)
    assert (found["Uid"].split()[0], found["NoNewPrivs"], found["Seccomp"]) == ("1000", "1", "2")
    assert "Read-only file system" in confined.sh("confined", "touch /tmp/file 2>&1; true")
    # a call that the runtime's profile forbids and the kernel would allow
    assert "Operation not permitted" in confined.sh("confined", "unshare -Ur true 2>&1; true")


def test_root_is_refused_where_nobody_may_be_root(pods: Namespace) -> None:
    def waiting() -> dict[str, str]:
        return dict(pods.main("root").get("state", {}).get("waiting", {}))

    eventually("the refusal", lambda: waiting().get("reason") == "CreateContainerConfigError")
    assert "container has runAsNonRoot and image will run as root" in waiting()["message"]


def test_pod_security_admission_tells_why(namespaces: dict[str, Namespace]) -> None:
    said = namespaces["restricted"].refused("run", "privileged", f"--image={BUSYBOX}", "--privileged")
    assert 'violates PodSecurity "restricted:latest"' in said
    for word in ("privileged", "allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile", "capabilities"):
        assert word in said


# -- tokens of service accounts ----------------------------------------------------------------------------


def review(pods: Namespace, token: str, *audiences: str) -> dict[str, Any]:
    """Return what the API server thinks of a token."""
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": audiences},
    }
    found: dict[str, Any] = json.loads(pods("create", "-f", "-", "-o", "json", stdin=json.dumps(asked)))["status"]
    return found


def test_a_token_is_for_its_audience_and_dies_with_its_pod(pods: Namespace) -> None:
    name = "bearer"
    sources = [{"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}]
    mounts = {"volumeMounts": [{"name": "token", "mountPath": "/token"}]}
    pods.apply(pod(name, main=mounts, volumes=[{"name": "token", "projected": {"sources": sources}}]))
    pods.ready(name)
    token = pods.sh(name, "cat /token/token")
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert claims["aud"] == ["vault"]
    assert claims["exp"] - claims["iat"] == 600
    assert claims["kubernetes.io"]["pod"]["name"] == name
    found = review(pods, token, "vault")
    assert found["authenticated"] is True
    assert found["user"]["username"] == "system:serviceaccount:conformance:default"
    assert not review(pods, token, "bank").get("authenticated")
    pods("delete", "pod", name)
    eventually("the token to be worth nothing", lambda: not review(pods, token, "vault").get("authenticated"))


def test_tokens_are_mounted_unless_unwanted(pods: Namespace) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    pods.ready("limited", "ordinary")
    said = pods.sh("limited", f"cd {folder} && cat namespace && echo && ls")
    assert said.split() == ["conformance", "ca.crt", "namespace", "token"]
    assert "No such file" in pods.sh("ordinary", f"ls {folder} 2>&1; true")
