"""What is an orphan, and what is not."""

from typing import Any

import pytest
from ansible_collections.astrok8s.magnum.plugins.module_utils import orphans
from ansible_collections.astrok8s.magnum.plugins.module_utils.orphans import Orphan

UUID, OTHER = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b"
HYADES = {"uuid": UUID, "name": "hyades", "stack_id": "hyades-a1b2c3d4e5f6"}


def balancer(cluster: str) -> Orphan:
    return Orphan(kind=orphans.BALANCER, id="1", name="kube_service_x", cluster=cluster, why="its cluster is gone")


@pytest.mark.parametrize("cluster", HYADES.values())
def test_what_a_living_cluster_has_is_none(cluster: str) -> None:
    assert orphans.judge(balancer(cluster), [HYADES], {UUID}) is None


def test_only_what_a_cluster_of_ours_had_is_removed() -> None:
    assert orphans.judge(balancer(UUID), [], {UUID}) == balancer(UUID)
    for unknown in (OTHER, "hyades-a1b2c3d4e5f6"):
        found = orphans.judge(balancer(unknown), [], {UUID})
        assert found
        assert not found.removable
        assert found.why == "its cluster is gone, which may not be astrok8s's"
        assert orphans.remove(Anything(), found).startswith("The load balancer kube_service_x stays: it may not be")


@pytest.mark.parametrize("cluster", ["kubernetes", "my-cluster", f"{UUID}-backup-1"])
def test_what_no_driver_of_magnum_names_is_anothers(cluster: str) -> None:
    assert orphans.judge(balancer(cluster), [], {UUID}) is None


class Anything:
    """A connection of which nothing is asked but whose it is."""

    current_user_id = "1"


def credential(uuid: str) -> dict[str, Any]:
    return {"id": uuid[:8], "name": f"astrok8s-RegionOne-{uuid}-20260101T120000"}


def test_a_credential_is_one_when_its_cluster_is_gone() -> None:
    (found,) = orphans.spare_credentials([credential(UUID), credential(OTHER)], [HYADES])
    assert (found.id, found.cluster, found.kind) == (OTHER[:8], OTHER, "application credential")
    assert f"{found.since}" == "2026-01-01 12:00:00+00:00"


def test_keys_are_some_when_there_is_no_cluster() -> None:
    assert orphans.spare_keys(["astrok8s1"], [HYADES]) == []
    assert [found.id for found in orphans.spare_keys(["astrok8s1"], [])] == ["astrok8s1"]
