"""What the role cvmfs promises with the driver csi.

cvmfs-csi cannot be had here. The cluster has what an installation of it leaves in the API, its CSIDriver and the
ConfigMaps of its clients, and at first no more than that. Then csi_stand_in.py mounts on the nodes, which keeps to what
cvmfs-csi documents: whether cvmfs-csi itself does is not tested.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from boxes import FQRN, Box, read_on_executors, until

from astrok8s import load_options

DRIVER = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "CSIDriver",
    "metadata": {"name": "cvmfs.csi.cern.ch"},
    "spec": {"attachRequired": False, "podInfoOnMount": False},
}
SITE = {"site.example.org.conf": 'CVMFS_SERVER_URL="http://site/cvmfs/@fqrn@"', "site.example.org.pub": "the site's"}
MAPS = {
    "cvmfs-csi-default-local": {"default.local": 'CVMFS_HTTP_PROXY="http://site:3128"\n'},
    "cvmfs-csi-config-d": SITE,
}
NAMESPACE = "storage"
# Of the client beside the stand-in: it has no other keys, and no automount.
CLIENT = {"CVMFS_REPOSITORIES": FQRN, "CVMFS_KEYS_DIR": "/etc/cvmfs/config.d"}
OURS = ("get", "persistentvolumes,persistentvolumeclaims,daemonsets", "--all-namespaces", "--output=name")


def declare(
    box: Box, *repositories: dict[str, Any], check: bool = False, **options: object
) -> subprocess.CompletedProcess[str]:
    variables = {"size": 2, "cvmfs_repositories": repositories, "cvmfs_driver": "csi", "cvmfs_timeout": 20} | options
    return box.playbook("site.yml", *(["--check"] if check else []), clusters=["one"], **variables)


def create(box: Box, *objects: dict[str, Any]) -> None:
    run = box.kubectl(
        "one", "create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    )
    assert run.returncode == 0, run.stderr


def stand_in() -> list[dict[str, Any]]:
    """Returns the stand-in for cvmfs-csi's node plugin, as objects of Kubernetes."""
    meta = {"name": "stand-in", "namespace": NAMESPACE}
    program = (Path(__file__).parent / "csi_stand_in.py").read_text()
    paths = {"repositories": "/var/cvmfs", "kubelet": "/var/lib/kubelet", "cache": "/var/lib/cvmfs"}
    maps = {"program": "stand-in", "config": "cvmfs-csi-config-d", "default": "cvmfs-csi-default-local"}
    client = {
        "name": "client",
        "image": load_options()["cvmfs_image"].default,
        "env": [{"name": name, "value": value} for name, value in CLIENT.items()],
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "repositories", "mountPath": "/cvmfs", "mountPropagation": "Bidirectional"},
            {"name": "cache", "mountPath": "/var/lib/cvmfs"},
            {"name": "config", "mountPath": "/etc/cvmfs/config.d"},
            {"name": "default", "mountPath": "/etc/cvmfs/default.local", "subPath": "default.local"},
        ],
    }
    plugin = {
        "name": "plugin",
        "image": f"docker.io/astrok8s/spark:{load_options()['spark_base_version'].default}",
        "command": ["python3", "/program/csi_stand_in.py"],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "volumeMounts": [
            {"name": "repositories", "mountPath": "/var/cvmfs", "mountPropagation": "HostToContainer"},
            {"name": "kubelet", "mountPath": "/var/lib/kubelet", "mountPropagation": "Bidirectional"},
            {"name": "program", "mountPath": "/program"},
        ],
    }
    volumes: list[dict[str, Any]] = [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}} for name, path in paths.items()
    ]
    volumes += [{"name": name, "configMap": {"name": value}} for name, value in maps.items()]
    pod = {"metadata": {"labels": {"app": "stand-in"}}, "spec": {"containers": [client, plugin], "volumes": volumes}}
    spec = {"selector": {"matchLabels": {"app": "stand-in"}}, "template": pod}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"csi_stand_in.py": program}},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": spec},
    ]


def get(box: Box, *what: str) -> dict[str, Any]:
    run = box.kubectl("one", "get", *what, "--output=json", "--show-managed-fields")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def config(box: Box, name: str = "cvmfs-csi-config-d") -> dict[str, str]:
    data: dict[str, str] = get(box, "configmap", name, f"--namespace={NAMESPACE}")["data"]
    return data


def cvmfs(box: Box) -> list[str]:
    return [name for name in box.kubectl("one", *OURS).stdout.split() if "cvmfs" in name]


def told(run: subprocess.CompletedProcess[str]) -> str:
    return " ".join(run.stdout.split())


def test_a_cluster_without_the_csi_driver_is_refused_before_anything_is_made(
    box: Box, repository: dict[str, Any]
) -> None:
    run = declare(box, repository)
    assert run.returncode == 2
    assert (
        "The cluster one has no CSIDriver cvmfs.csi.cern.ch, and a ConfigMap cvmfs-csi-config-d in no namespace."
        in told(run)
    )
    create(box, DRIVER)
    run = declare(box, repository)
    assert run.returncode == 2
    assert "has a CSIDriver cvmfs.csi.cern.ch, and a ConfigMap cvmfs-csi-config-d in no namespace." in told(run)
    assert cvmfs(box) == []


def test_nodes_that_cannot_mount_it_are_told_with_the_reason(box: Box, repository: dict[str, Any]) -> None:
    create(box, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    maps = {"apiVersion": "v1", "kind": "ConfigMap"}
    create(
        box, *(maps | {"metadata": {"name": name, "namespace": NAMESPACE}, "data": data} for name, data in MAPS.items())
    )
    run = declare(box, repository)
    assert run.returncode == 2
    assert "Not every node reads every repository (sw.example.org) after 20 s." in told(run)
    reason = r"FailedMount: .*driver name cvmfs\.csi\.cern\.ch not found in the list of registered CSI drivers"
    for node in ("one-node-1", "one-node-2"):
        assert re.search(rf"{node}: {reason}", told(run)), told(run)


def test_the_csi_driver_knows_the_repository_beside_the_sites_own(box: Box, repository: dict[str, Any]) -> None:
    found = config(box)
    assert found.items() >= SITE.items()
    assert found.keys() - SITE.keys() == {f"{FQRN}.conf", f"{FQRN}.pub"}
    assert f'CVMFS_SERVER_URL="{repository["urls"][0]}"' in found[f"{FQRN}.conf"].splitlines()
    assert found[f"{FQRN}.pub"] == repository["public_key"]
    assert config(box, "cvmfs-csi-default-local") == MAPS["cvmfs-csi-default-local"]


def test_executors_mount_a_claim_that_is_bound(box: Box) -> None:
    template = get(box, "configmap", "cvmfs", "--namespace=spark")["data"]["executor.json"]
    (volume,) = json.loads(template)["spec"]["volumes"]
    claim = get(box, "persistentvolumeclaim", volume["persistentVolumeClaim"]["claimName"], "--namespace=spark")
    assert (claim["status"]["phase"], claim["status"]["accessModes"]) == ("Bound", ["ReadOnlyMany"])
    assert get(box, "persistentvolume", claim["spec"]["volumeName"])["spec"]["csi"]["driver"] == "cvmfs.csi.cern.ch"


def test_another_run_changes_nothing(box: Box, repository: dict[str, Any]) -> None:
    run = declare(box, repository, cvmfs_timeout=2)
    assert run.returncode == 2
    assert "changed=0" in run.stdout


def test_what_the_site_says_of_a_repository_is_not_changed(box: Box, repository: dict[str, Any]) -> None:
    before = config(box)
    run = declare(box, repository, repository | {"fqrn": "site.example.org"})
    assert run.returncode == 2
    assert "has another configuration of site.example.org.conf, site.example.org.pub, which is not ours." in told(run)
    assert config(box) == before


def test_a_repository_that_is_declared_no_more_is_forgotten(box: Box, repository: dict[str, Any]) -> None:
    assert declare(box, repository | {"fqrn": "new.example.org"}, cvmfs_timeout=2).returncode == 2
    assert config(box).keys() - SITE.keys() == {"new.example.org.conf", "new.example.org.pub"}


def test_clients_of_ours_take_its_place(box: Box, repository: dict[str, Any]) -> None:
    run = declare(box, repository, cvmfs_driver="daemonset", cvmfs_timeout=120)
    assert run.returncode == 0, run.stdout
    client = get(box, "pods", "--namespace=cvmfs")["items"][0]["metadata"]["name"]
    read = box.kubectl("one", "exec", "--namespace=cvmfs", client, "--", "cat", f"/cvmfs/{FQRN}/hip/main.csv")
    assert read.stdout == "ra,dec", read.stderr
    assert config(box) == SITE
    until(lambda: box.kubectl("one", *OURS), lambda _: cvmfs(box) == ["daemonset.apps/cvmfs"])
    assert "changed=0" in declare(box, repository, cvmfs_driver="daemonset").stdout


def test_the_csi_driver_takes_their_place_and_every_node_reads_by_it(box: Box, repository: dict[str, Any]) -> None:
    create(box, *stand_in())
    before = cvmfs(box)
    run = declare(box, repository, check=True)
    assert run.returncode == 0, run.stdout
    assert not re.search(r"changed=0\b", run.stdout)
    assert (config(box), cvmfs(box)) == (SITE, before)
    run = declare(box, repository, cvmfs_timeout=180)
    assert run.returncode == 0, run.stdout
    assert cvmfs(box) == ["persistentvolume/spark-cvmfs", "persistentvolumeclaim/cvmfs", "daemonset.apps/cvmfs"]
    assert get(box, "daemonsets", "--namespace=cvmfs")["items"] == []
    readers = get(box, "pods", "--namespace=spark", "--selector=app.kubernetes.io/name=cvmfs")["items"]
    assert len(readers) == 2
    for reader in readers:
        name = reader["metadata"]["name"]
        read = box.kubectl("one", "exec", "--namespace=spark", name, "--", "cat", f"/cvmfs/{FQRN}/hip/main.csv")
        assert read.stdout == "ra,dec", read.stderr
    assert "changed=0" in declare(box, repository).stdout


@pytest.mark.parametrize("mode", ["connect", "client"])
def test_executors_of_both_workers_read_by_it(box: Box, mode: str) -> None:
    run = read_on_executors(box, mode)
    assert run.stdout == "2 {'ra,dec'}\n", run.stderr
    server = get(box, "deployment", "spark-connect", "--namespace=spark")["spec"]["template"]["spec"]
    assert {"name": "repositories", "persistentVolumeClaim": {"claimName": "cvmfs"}} in server["volumes"]


def test_without_it_all_of_ours_is_gone_and_nothing_else(box: Box, repository: dict[str, Any]) -> None:
    run = declare(box, repository, cvmfs_state="absent")
    assert run.returncode == 0, run.stdout
    assert config(box) == SITE
    managed = get(box, "configmap", "cvmfs-csi-config-d", f"--namespace={NAMESPACE}")["metadata"]["managedFields"]
    assert [each["manager"] for each in managed if "astrok8s" in each["manager"]] == []
    # The claim goes with the last executor of the server that was.
    pods = ("get", "pods", "--all-namespaces", "--output=wide")
    until(lambda: box.kubectl("one", *pods), lambda _: cvmfs(box) == [], timeout_s=180)
    assert get(box, "csidriver", "cvmfs.csi.cern.ch")
    assert "changed=0" in declare(box, repository, cvmfs_state="absent").stdout
