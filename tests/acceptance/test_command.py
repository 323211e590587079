"""What the command promises beside what it does: JSON, logs, and words for what was done behind its back."""

import json
from typing import Any

import pytest
from accesses import MARIA, astrok8s, grant
from boxes import LOCALCLOUD_BIN, SITE_BIN, Box


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    run = astrok8s(box, "up", "one", "--size", "1")
    assert run.returncode == 0, run.stderr
    return box


def told(box: Box, *arguments: str) -> Any:
    run = astrok8s(box, *arguments, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_programs_read_what_people_do(box: Box) -> None:
    grant(box, MARIA)
    (listed,) = told(box, "list")
    shown = told(box, "show", "one")
    assert (listed["name"], listed["size"], listed["cloud"]) == ("one", 1, box.name)
    assert listed.items() <= shown.items()
    assert shown["life"]["idle"] == 3600
    assert shown["life"]["end"] > listed["created"]
    assert [entry["user"] for entry in told(box, "access", "list", "one")] == [MARIA]
    assert [entry["name"] for entry in told(box, "history", "one")] == ["astrok8s connect"]
    assert told(box, "list", "--ended") == []


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("connect", "astrok8s: "),
        ("history", "HistoryServer"),
        ("shuffle", "ExternalShuffleService"),
        ("lifecycle", "astrok8s: "),
    ],
)
def test_services_have_logs(box: Box, service: str, words: str) -> None:
    run = astrok8s(box, "logs", "one", service)
    assert run.returncode == 0, run.stderr
    assert words in run.stdout


def test_a_service_that_is_not_there_has_none(box: Box) -> None:
    run = astrok8s(box, "logs", "one", "cvmfs")
    assert run.returncode == 1
    assert "No pod of cvmfs is in the namespace cvmfs of cluster one." in run.stderr


CONTEXT = """
import astrok8s
with astrok8s.provision({name!r}, size=1, quiet=True) as cluster:
    assert cluster == astrok8s.get_cluster({name!r})
print(*(cluster.name for cluster in astrok8s.list_clusters()))
"""


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_context_takes_away_what_it_has_made_and_no_other(box: Box, name: str) -> None:
    run = box.run(str(SITE_BIN / "python"), "-c", CONTEXT.format(name=name), OS_CLOUD=box.name)
    assert run.stdout == "one\n", run.stderr


# Each is asked of a cluster that is gone, by an object that was made while it was there.
BEHIND = """
import astrok8s
one = astrok8s.get_cluster("one")
{delete}
for ask in (one.life, one.history, one.grants, one.logs, one.attach, lambda: one.extend("1h"), lambda: one.resize(2)):
    try:
        ask()
    except astrok8s.CloudError as error:
        print(type(error).__name__, error)
"""
DELETE = """
import subprocess, time
subprocess.run([{openstack!r}, "coe", "cluster", "delete", "one"], stdout=subprocess.DEVNULL, check=True)
while astrok8s.list_clusters():
    time.sleep(0.5)
"""


def test_a_cluster_that_was_deleted_behind_our_back_is_told(box: Box) -> None:
    delete = DELETE.format(openstack=str(LOCALCLOUD_BIN / "openstack"))
    run = box.run(str(SITE_BIN / "python"), "-c", BEHIND.format(delete=delete), OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 7, run.stdout
    for line in lines[:-1]:
        assert line.startswith("ClusterNotReadyError The cluster one has no Kubernetes API: it is gone."), line
        assert line.endswith("Provision it: astrok8s.provision('one')."), line
    assert lines[-1].startswith(f"ClusterNotFoundError The cloud {box.name} has no cluster one; it has: none."), lines
    run = astrok8s(box, "show", "one")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr


def test_to_destroy_a_cluster_that_is_gone_is_no_failure(box: Box) -> None:
    run = astrok8s(box, "destroy", "one")  # there is nothing to agree to
    assert run.returncode == 0, run.stderr
    assert "has no cluster one; it has: none. There was nothing to destroy." in run.stdout
    assert told(box, "doctor", "--orphans") == []  # what it has left went, too
