from ipaddress import IPv4Network
from pathlib import Path

import pytest

from localcloud.clusters.addressing import MAX_CLUSTERS, MAX_WORKERS, Ranges
from localcloud.clusters.node import Node
from localcloud.clusters.node_init import ADDRESSES, Machine, free_addresses


def node(cluster: str = "first", number: int = 1, index: int = 1) -> Node:
    return Node(cluster=cluster, box="lab", number=number, ranges=Ranges(IPv4Network("10.70.0.0/16"), index))


@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        ("first", "first-node-1"),
        ("My_Cluster.2", "my-cluster-2-node-1"),
        ("a" * 60 + "-", "a" * 40 + "-node-1"),
        ("a" * 39 + ".b", "a" * 39 + "-node-1"),
    ],
)
def test_a_node_has_a_name_that_kubernetes_allows(cluster: str, name: str) -> None:
    assert node(cluster).name == name


def test_links_are_short_enough_and_differ_in_a_full_box() -> None:
    links = {
        node(number=number, index=index).link
        for index in range(1, MAX_CLUSTERS + 1)
        for number in range(MAX_WORKERS + 1)
    }
    assert len(links) == MAX_CLUSTERS * (MAX_WORKERS + 1)
    assert max(map(len, links)) <= 15


def test_a_machine_is_read_as_it_was_written(tmp_path: Path) -> None:
    machine = Machine(
        name="first-node-1",
        link="c1n1",
        cgroup="lc-lab/c1n1",
        gateway="10.70.0.2",
        address="10.70.28.11",
        routes=["10.70.16.64/26"],
        pods="10.70.16.64/26",
        dns="10.70.24.10",
        binaries="/opt",
        network_policy="/policy",
        layers="/layers",
        programs={"kubelet": ["kubelet"]},
        conditions={"kubelet": ["true"]},
    )
    machine.write(tmp_path)
    assert Machine.read(tmp_path) == machine


def test_addresses_are_free_after_a_power_cut_and_the_last_one_is_known(tmp_path: Path) -> None:
    folder = tmp_path / ADDRESSES.lstrip("/") / "pods"
    folder.mkdir(parents=True)
    for name in ("10.70.16.66", "10.70.16.67", "last_reserved_ip.0", "lock"):
        (folder / name).touch()
    free_addresses(tmp_path)
    assert {path.name for path in folder.iterdir()} == {"last_reserved_ip.0", "lock"}
    free_addresses(tmp_path / "of a new node")
