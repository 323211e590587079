"""Addresses, names and slots of nodes; files between driver and controller; certificates."""

from __future__ import annotations

import ipaddress
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from localcloud.build import Artifacts
from localcloud.cluster import addons, config, pki
from localcloud.cluster.node import MAX_NODES, NodeBook, cluster_pods, load_balancers, node_name
from localcloud.cluster.spec import NodeGroup, NodeStatus, Spec, Status
from localcloud.settings import MAX_NUMBER, SERVICE_RANGE, Settings

UUID = "0123456789abcdef"
IMAGES = ("pause", "busybox", "coredns", "local-path-provisioner", "metallb-controller", "metallb-speaker")


def spec(workers: int, **more: object) -> Spec:
    groups = (NodeGroup("default-master", "master", 1), NodeGroup("default-worker", "worker", workers))
    return Spec(UUID, "Hyades_1.x", 1, groups, **more)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "clusters" / UUID).mkdir(parents=True)
    return Settings(tmp_path)


def test_names_are_dns_labels() -> None:
    assert node_name(spec(1), "default-worker", 3) == "hyades-1-x-01234567-node-3"
    long = Spec(UUID, "H" * 200, 1, ())
    assert len(node_name(long, "a-rather-long-node-group-of-somebody", 63)) <= 63


def test_ranges_of_localclouds_do_not_overlap() -> None:
    clouds = [Settings(Path("/nowhere"), number) for number in range(MAX_NUMBER + 1)]
    ranges = [network for cloud in clouds for network in (cloud.node_range, cloud.pod_range)] + [SERVICE_RANGE]
    assert not any(a.overlaps(b) for a, b in combinations(ranges, 2))


def test_addresses_are_unique_and_in_range(settings: Settings) -> None:
    book = NodeBook(settings, UUID)
    book.add_missing(spec(MAX_NODES - 1), network=15)
    pods = [node.pod_range(settings) for node in book.nodes]
    assert len({node.address(settings) for node in book.nodes}) == MAX_NODES
    assert len(set(pods)) == MAX_NODES
    assert all(p.subnet_of(cluster_pods(settings, 15)) and p.subnet_of(settings.pod_range) for p in pods)
    with pytest.raises(ValueError, match="at most 64"):
        book.add_missing(spec(MAX_NODES), network=15)


def test_load_balancers_have_addresses_beside_their_nodes(settings: Settings) -> None:
    book = NodeBook(settings, UUID)
    book.add_missing(spec(MAX_NODES - 1), network=15)
    first, last = load_balancers(settings, 15)
    cluster = ipaddress.IPv4Network(f"{first}/24", strict=False)
    assert first < last
    assert last in cluster
    assert cluster.subnet_of(settings.node_range)
    addresses = [node.address(settings) for node in book.nodes]
    assert all(address in cluster and not first <= address <= last for address in addresses)
    assert load_balancers(settings, 14)[1] not in cluster


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    images = {name: f"{name}:1" for name in IMAGES}
    return Artifacts(tmp_path / "bin", tmp_path / "golden", {}, images, tmp_path / "squid", tmp_path / "demo")


def objects(text: str) -> list[dict[str, Any]]:
    return [entry for entry in yaml.safe_load_all(text) if entry]


def test_the_add_ons_are_filled_in(settings: Settings, artifacts: Artifacts) -> None:
    balancer = addons.load_balancer(artifacts, load_balancers(settings, 0))
    texts = [addons.manifests(artifacts), addons.definitions(), balancer]
    assert all(len(entry["metadata"]["name"]) > 0 for text in texts for entry in objects(text))
    images = {
        container["image"]
        for text in texts
        for entry in objects(text)
        if entry["kind"] in ("Deployment", "DaemonSet")
        for container in entry["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"{name}:1" for name in IMAGES if name not in ("pause", "busybox")}
    (pool,) = [entry for entry in objects(balancer) if entry["kind"] == "IPAddressPool"]
    assert pool["spec"]["addresses"] == ["10.200.1.200-10.200.1.250"]


def test_kinds_of_objects_are_defined_before_objects_of_them(settings: Settings, artifacts: Artifacts) -> None:
    defined = {
        (f"{entry['spec']['group']}/{version['name']}", entry["spec"]["names"]["kind"])
        for entry in objects(addons.definitions())
        for version in entry["spec"]["versions"]
    }
    later = objects(addons.load_balancer(artifacts, load_balancers(settings, 0)))
    used = {(entry["apiVersion"], entry["kind"]) for entry in later if entry["apiVersion"].startswith("metallb")}
    assert used
    assert used <= defined
    assert not any("metallb" in entry["apiVersion"] for entry in objects(addons.manifests(artifacts)))


def test_the_front_proxy_is_trusted_for_itself_alone(tmp_path: Path) -> None:
    """Nothing else signs a certificate that API servers behind the API server take names of users from."""
    pki.front_proxy(tmp_path)
    first = (tmp_path / "front-proxy.crt").read_bytes()
    certificate = x509.load_pem_x509_certificate(first)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == f"CN={pki.FRONT_PROXY}"
    (usage,) = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert usage == ExtendedKeyUsageOID.CLIENT_AUTH
    pki.front_proxy(tmp_path)
    assert (tmp_path / "front-proxy.crt").read_bytes() == first


def test_every_node_has_a_policy_engine_that_pods_wait_for(settings: Settings) -> None:
    book = NodeBook(settings, UUID)
    book.add_missing(spec(1), 0)
    for node in book.nodes:
        (engine,) = [program for program in config.programs(settings, node) if program.name == "network-policy"]
        assert f"--node={node.name}" in engine.command
        assert config._cni(str(node.pod_range(settings)))["plugins"][-1] == {"type": "policy-gate"}


def test_the_policy_engine_may_only_read(artifacts: Artifacts) -> None:
    roles = [entry for entry in objects(addons.manifests(artifacts)) if entry["kind"] == "ClusterRole"]
    (role,) = [entry for entry in roles if entry["metadata"]["name"] == "localcloud:network-policy"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_a_node_keeps_its_slot(settings: Settings) -> None:
    book = NodeBook(settings, UUID)
    book.add_missing(spec(3), 0)
    (gone,) = [node for node in book.nodes if node.index == 1 and not node.is_master]
    book.strike(gone)
    kept = {node.name: node.slot for node in NodeBook(settings, UUID).nodes}
    (added,) = book.add_missing(spec(3), 0)
    assert added.name == gone.name
    assert added.slot == gone.slot
    assert {node.name: node.slot for node in book.nodes if node is not added} == kept


def test_shrinking_takes_named_nodes_then_the_youngest(settings: Settings) -> None:
    book = NodeBook(settings, UUID)
    book.add_missing(spec(4), 0)
    assert [node.index for node in book.plan(spec(2))] == [3, 2]
    named = node_name(spec(4), "default-worker", 0)
    assert [node.index for node in book.plan(spec(2, remove=(named,)))] == [0, 3]
    assert book.plan(spec(4)) == []


def test_spec_and_status_survive_the_disk(tmp_path: Path) -> None:
    assert Spec.read(tmp_path) is None
    assert Status.read(tmp_path) is None
    wanted = spec(2, remove=("a",))
    wanted.write(tmp_path)
    assert Spec.read(tmp_path) == wanted
    reached = Status(1, "ready", versions={"kubernetes": "v1"}, nodes=(NodeStatus("a", "g", "10.0.0.1", True),))
    reached.write(tmp_path)
    assert Status.read(tmp_path) == reached


def test_another_number_in_the_same_home_is_refused(tmp_path: Path) -> None:
    Settings(tmp_path, 3).save()
    assert Settings.load(tmp_path).number == 3
    with pytest.raises(ValueError, match="number 3, not 4"):
        Settings.load(tmp_path, 4)
    with pytest.raises(ValueError, match=r"0\.\.7"):
        Settings(tmp_path, 8)


def test_the_folders_made_for_the_home_are_remembered(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "share/data/localcloud")
    settings.save()
    Settings(settings.home).save()
    assert settings.made_folders() == [tmp_path / "share/data", tmp_path / "share"]


@pytest.mark.parametrize("script", ["power-on.sh", "boot.sh", "enter.sh"])
def test_scripts_parse(script: str) -> None:
    import localcloud

    path = Path(localcloud.__file__).parent / "machine" / script
    subprocess.run(["sh", "-n", str(path)], check=True)
