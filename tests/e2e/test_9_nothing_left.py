"""The end: destroy the cluster, destroy the cloud, and compare the machine with what it was before."""

from __future__ import annotations

import time

from conftest import Cloud, run
from machine import snapshot
from site_yml import clusters, playbook


def test_destroy_predicts_and_converges(cloud: Cloud) -> None:
    book = "playbooks/destroy.yml"
    misspelt = playbook("-e", "magnum_cluster_nam=another", book=book, check=False)
    assert misspelt.code == 2
    assert "magnum_cluster_name" in misspelt.text
    assert playbook("--check", book=book).count("changed") == 2  # the cluster, and its key to object storage
    assert clusters() == ["astrok8s"]
    assert playbook(book=book).count("changed") == 2
    assert clusters() == []
    assert playbook(book=book).count("changed") == 0


def test_nothing_is_left(cloud: Cloud) -> None:
    run("localcloud", "destroy")
    assert cloud.strays.watches
    assert not cloud.strays.seen, "packets of ours were on the machine's own interfaces"
    assert not cloud.home.exists()

    def left() -> dict[str, set[str]]:
        after = snapshot(cloud.home)
        return {kind: after[kind] ^ cloud.before[kind] for kind in after if after[kind] != cloud.before[kind]}

    deadline = time.monotonic() + 10  # the kernel takes a moment to end the last namespaces
    while left() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left() == {}
