"""What Magnum offers beyond a cluster: flavors, node groups, labels, rotation, and projects that are apart."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from conftest import Cloud, run
from kube import Kubectl, eventually
from machine import NUMBER
from site_yml import CLUSTER

NAME = "small"
"""A cluster of one worker with one vCPU and 2 GiB, for this file."""

BIG = """
apiVersion: v1
kind: Pod
metadata: {name: big}
spec:
  containers:
    - name: big
      image: docker.io/library/busybox:1.36
      command: [sleep, "3600"]
      resources: {requests: {memory: 3Gi}}
"""


def coe(*words: str, check: bool = True, **environment: str) -> str:
    """Run ``openstack coe …``."""
    return run("openstack", "coe", *words, check=check, **environment).stdout.strip()


def shown(name: str, column: str) -> str:
    return coe("cluster", "show", name, "-f", "value", "-c", column, check=False)


def complete(name: str) -> None:
    eventually(f"cluster {name} to be complete", lambda: shown(name, "status").endswith("_COMPLETE"), seconds=120)


@pytest.fixture(scope="module")
def small(cloud: Cloud) -> Iterator[str]:
    flavors = ("--flavor", "m1.small", "--master-flavor", "m1.small")
    coe("cluster", "create", NAME, "--cluster-template", "kubernetes-v1.34", "--node-count", "1", *flavors)
    complete(NAME)
    yield NAME
    coe("cluster", "delete", NAME)
    eventually("the cluster to be gone", lambda: not shown(NAME, "status"))


def test_a_flavor_is_the_size_of_a_node(small: str, tmp_path: Path) -> None:
    kubectl = Kubectl(small, tmp_path)
    node = next(n for n in kubectl.get("nodes")["items"] if "-node-" in n["metadata"]["name"])
    assert node["status"]["allocatable"]["cpu"] == "1"
    # 2 GiB, less the 100 MiB at which the kubelet evicts
    assert node["status"]["allocatable"]["memory"] == f"{2048 - 100}Mi"
    kubectl("apply", "-f", "-", stdin=BIG)

    def why() -> str:
        conditions = kubectl.get("pod", "big")["status"].get("conditions", [])
        return next((c.get("message", "") for c in conditions if c["type"] == "PodScheduled"), "")

    eventually("the pod to be too large", lambda: "Insufficient memory" in why())


def test_a_node_group_has_a_flavor_of_its_own(small: str, tmp_path: Path) -> None:
    kubectl = Kubectl(small, tmp_path)
    coe("nodegroup", "create", small, "large", "--flavor", "m1.large", "--node-count", "1", "--role", "big")
    eventually(
        "the large pod to run on the large node", lambda: kubectl.get("pod", "big")["status"]["phase"] == "Running"
    )
    complete(small)
    coe("cluster", "resize", small, "--nodegroup", "large", "2")
    eventually("a second large node", lambda: sum("large" in name for name in kubectl.ready_nodes()) == 2)
    complete(small)
    coe("nodegroup", "delete", small, "large")
    eventually("the large nodes to be gone", lambda: not any("large" in name for name in kubectl.ready_nodes()))
    eventually("the group to be gone", lambda: "large" not in coe("nodegroup", "list", small, "-f", "value"))
    complete(small)


def test_another_kubernetes_version_is_refused_with_the_reason(cloud: Cloud) -> None:
    label = ("--labels", "kube_tag=v1.99.0", "--merge-labels")
    coe("cluster", "create", "future", "--cluster-template", "kubernetes-v1.34", "--node-count", "1", *label)
    eventually("the creation to fail", lambda: shown("future", "status") == "CREATE_FAILED")
    assert "v1.99.0" in shown("future", "status_reason")
    coe("cluster", "delete", "future")
    eventually("the cluster to be gone", lambda: not shown("future", "status"))


@pytest.mark.parametrize("what", ["ca", "credential"])
def test_rotation_makes_keys_anew(small: str, tmp_path: Path, what: str) -> None:
    before = Kubectl(small, tmp_path / "before")
    before("get", "nodes")
    address = urlsplit(shown(small, "api_address"))

    def certificate() -> str:
        with contextlib.suppress(OSError):  # the API server is being restarted
            return ssl.get_server_certificate((str(address.hostname), address.port or 443), timeout=5)
        return former

    former = ""
    former = certificate()
    coe(what, "rotate", small)
    eventually("the API to show another certificate", lambda: certificate() != former)
    complete(small)
    after = Kubectl(small, tmp_path / "after")
    eventually("both nodes to be Ready", lambda: len(after.ready_nodes()) == 2)
    eventually("health to be told", lambda: shown(small, "health_status") == "HEALTHY")
    if what == "ca":
        assert before("get", "nodes", check=False) == "", "the former authority is still trusted"
    after("rollout", "status", "--namespace", "kube-system", "deployment/coredns", "--timeout=60s")
    after("run", f"after-{what}", "--image=docker.io/library/busybox:1.36", "--restart=Never", "--", "nslookup", LOOKUP)
    eventually("DNS to answer", lambda: after.get("pod", f"after-{what}")["status"]["phase"] == "Succeeded")


LOOKUP = "kubernetes.default.svc.cluster.local"


@pytest.fixture(scope="module")
def visitor(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user of another project."""
    admin = {"OS_CLOUD": f"local{NUMBER}-admin"}
    run("openstack", "project", "create", "visitors", **admin)
    run("openstack", "user", "create", "visitor", "--project", "visitors", "--password", "stars", **admin)
    run("openstack", "role", "add", "member", "--user", "visitor", "--project", "visitors", **admin)
    clouds = yaml.safe_load((cloud.home.parent / "clouds.yaml").read_text())
    entry = clouds["clouds"][f"local{NUMBER}"]
    entry["auth"] |= {"username": "visitor", "password": "stars", "project_name": "visitors"}
    path = tmp_path_factory.mktemp("visitor") / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": {"visitor": entry}}))
    return {"OS_CLOUD": "visitor", "OS_CLIENT_CONFIG_FILE": str(path)}


def test_projects_do_not_see_each_others_clusters(cloud: Cloud, visitor: dict[str, str], tmp_path: Path) -> None:
    uuid = shown(CLUSTER, "uuid")
    assert coe("cluster", "list", "-f", "value", **visitor) == ""
    for words in (
        ("cluster", "show", uuid),
        ("cluster", "delete", uuid),
        ("cluster", "resize", uuid, "1"),
        ("ca", "show", uuid),
        ("ca", "rotate", uuid),
        ("nodegroup", "list", uuid),
        ("cluster", "config", uuid, "--dir", str(tmp_path)),
    ):
        done = run("openstack", "coe", *words, check=False, **visitor)
        assert done.returncode != 0, words
        assert "404" in done.stderr or "could not be found" in done.stderr, done.stderr
    assert shown(CLUSTER, "status").endswith("_COMPLETE")


def test_projects_have_clusters_of_one_name_side_by_side(cloud: Cloud, visitor: dict[str, str], tmp_path: Path) -> None:
    """A public template is everybody's, a private one its project's; certificates of one cluster open no other."""
    private = ("private", "--coe", "kubernetes", "--image", "k8s-node", "--external-network", "public")
    coe("cluster", "template", "create", *private)
    assert "private" not in coe("cluster", "template", "list", "-f", "value", **visitor)
    coe("cluster", "template", "delete", "private")
    done = run(
        *("ansible-playbook", "site.yml", "-e", "cloud_name=visitor", "-e", "size=1"),
        **visitor,
    )
    assert "failed=0" in done.stdout
    theirs = json.loads(coe("cluster", "show", CLUSTER, "-f", "json", **visitor))
    assert theirs["uuid"] != shown(CLUSTER, "uuid")
    ours = Kubectl(CLUSTER, tmp_path)
    refused = ours("--server", theirs["api_address"], "--insecure-skip-tls-verify", "get", "nodes", check=False)
    assert refused == "", "a certificate of one cluster opens another"
    run("ansible-playbook", "playbooks/destroy.yml", "-e", "cloud_name=visitor", **visitor)
    assert coe("cluster", "list", "-f", "value", **visitor) == ""
