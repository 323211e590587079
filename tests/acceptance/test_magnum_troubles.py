"""Magnum refuses, loses answers, or holds a cluster for ever: that is told, and nothing is lost."""

import subprocess
from collections.abc import Iterator

import pytest
from boxes import Box
from magnum_troubles import CLOUD, Asked, Way, way_to_magnum

UUID_HYPHENS = 4
TAGS = "--tags=cloud,magnum_cluster"


@pytest.fixture(scope="module")
def only_way(box: Box) -> Iterator[Way]:
    with way_to_magnum(box) as way:
        yield way


@pytest.fixture
def way(only_way: Way) -> Iterator[Way]:
    yield only_way
    only_way.clear()


def declare(box: Box, cloud: str = CLOUD, **variables: object) -> subprocess.CompletedProcess[str]:
    site = {"size": 1, "magnum_cluster_timeout": 200} | variables
    return box.playbook("site.yml", TAGS, clusters=["one"], cloud_name=cloud, cloud_localcloud=False, **site)


def destroy(box: Box, cloud: str = CLOUD, **variables: object) -> subprocess.CompletedProcess[str]:
    return box.playbook(
        "playbooks/destroy.yml", TAGS, clusters=["one"], cloud_name=cloud, cloud_localcloud=False, **variables
    )


def is_look(asked: Asked) -> bool:
    """Returns whether somebody looks at one cluster."""
    return asked.method == "GET" and asked.path.count("-") == UUID_HYPHENS


def clusters(box: Box) -> list[str]:
    """Returns what Magnum itself has."""
    columns = ("--column=name", "--column=node_count", "--column=status")
    return box.openstack("coe", "cluster", "list", "--format=value", *columns).stdout.splitlines()


def expect_failure(run: subprocess.CompletedProcess[str], message: str) -> None:
    assert run.returncode == 2, run.stdout
    assert message in " ".join(run.stdout.split()), run.stdout
    assert "Traceback" not in run.stdout


REFUSED = {
    404: "Magnum refused creating cluster one (HTTP 404): Something is wrong. Correct what it names",
    409: "Magnum refused creating cluster one (HTTP 409): Something is wrong. Correct what it names",
    500: "Magnum refused creating cluster one (HTTP 500): Something is wrong. See that it is up, and run it again",
}


@pytest.mark.parametrize(("status", "message"), REFUSED.items())
def test_a_create_that_is_refused_leaves_nothing(box: Box, way: Way, status: int, message: str) -> None:
    way.refuse = lambda asked: status if asked == Asked("POST", "/clusters") else None
    expect_failure(declare(box), message)
    assert clusters(box) == []


def test_a_create_that_hangs_ends(box: Box, way: Way) -> None:
    way.refuse = lambda asked: 0 if asked == Asked("POST", "/clusters") else None
    expect_failure(declare(box), "Magnum does not answer")
    assert clusters(box) == []


def test_a_cluster_whose_answer_was_lost_is_the_one_that_the_next_run_makes(box: Box, way: Way) -> None:
    way.lose = lambda asked: 500 if asked == Asked("POST", "/clusters") else None
    expect_failure(declare(box), REFUSED[500])
    assert len(clusters(box)) == 1
    way.clear()
    run = declare(box)
    assert run.returncode == 0, run.stdout
    assert clusters(box) == ["one 1 CREATE_COMPLETE"]


def test_answers_that_are_lost_meanwhile_are_asked_for_again(box: Box, way: Way) -> None:
    broken = iter([500, 503, 500, 504, 502])
    way.refuse = lambda asked: next(broken, None) if is_look(asked) else None
    run = declare(box, size=2)
    assert run.returncode == 0, run.stdout
    assert next(broken, None) is None
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]


def test_a_resize_that_is_refused_changes_nothing(box: Box, way: Way) -> None:
    way.refuse = lambda asked: 409 if asked.path.endswith("/actions/resize") else None
    expect_failure(declare(box, size=1), "to 1 workers (HTTP 409): Something is wrong. Correct what it names")
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]


def test_a_cluster_that_magnum_holds_though_healthy_is_told(box: Box, way: Way) -> None:
    way.rewrite = lambda cluster: cluster.update(status="CREATE_IN_PROGRESS", health_status="HEALTHY")
    message = "Waited 3 s for cluster one to be complete: its status is CREATE_IN_PROGRESS (though it is healthy)."
    expect_failure(declare(box, size=2, magnum_cluster_timeout=3), message)
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]
    way.clear()
    assert "changed=0" in declare(box, size=2).stdout


def test_a_cluster_that_seems_gone_while_it_is_waited_for_is_found_again(box: Box, way: Way) -> None:
    way.refuse = lambda asked: 404 if is_look(asked) else None
    run = declare(box, size=2)
    assert run.returncode == 2
    assert "Traceback" not in run.stdout
    way.clear()
    assert "changed=0" in declare(box, size=2).stdout
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]


@pytest.mark.parametrize("status", [409, 500])
def test_a_destroy_that_is_refused_is_told(box: Box, way: Way, status: int) -> None:
    way.refuse = lambda asked: status if asked.method == "DELETE" else None
    expect_failure(destroy(box), f"(HTTP {status}): Something is wrong.")
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]


def test_a_cluster_that_never_goes_is_told_and_goes_with_the_next_run(box: Box, way: Way) -> None:
    way.refuse = lambda asked: 204 if asked.method == "DELETE" else None
    way.rewrite = lambda cluster: cluster.update(status="DELETE_IN_PROGRESS", health_status="HEALTHY")
    message = "Waited 3 s for cluster one to be gone: its status is DELETE_IN_PROGRESS (though it is healthy)."
    expect_failure(destroy(box, magnum_cluster_timeout=3), message)
    assert clusters(box) == ["one 2 UPDATE_COMPLETE"]
    way.clear()
    assert destroy(box).returncode == 0
    assert clusters(box) == []
