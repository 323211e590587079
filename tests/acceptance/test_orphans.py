"""Nothing is left over, wherever a run is killed."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from accesses import BENS, astrok8s, grant
from accounts import as_admin, new_user
from boxes import ROOT, SITE_BIN, Box, until

Predicate = Callable[[Box], bool]

ATTACH = "import astrok8s; spark = astrok8s.attach('one', mode={mode!r}); spark.range(10).count(); print('attached')"
# As cloud-provider-openstack describes the address of a Service.
DESCRIBED = "Floating IP for Kubernetes external service default/web from cluster {}"
STRANGE = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"


def kill(run: "subprocess.Popen[str]") -> None:
    """Kills a run with all that it has started, of which ansible-runner's is in a group of its own."""
    process = psutil.Process(run.pid)
    process.send_signal(signal.SIGSTOP)  # it starts nothing meanwhile
    below = process.children(recursive=True)
    for each in [*below, process]:
        each.kill()
    psutil.wait_procs(below, timeout=30)
    run.communicate(timeout=30)


def start(box: Box, *command: str) -> "subprocess.Popen[str]":
    environment = box.environment | {"OS_CLOUD": box.name}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def killed_at_task(box: Box, playbook: str, task: str, **variables: object) -> None:
    """Starts a playbook, and kills it when it begins with a task."""
    run = start(box, *box.playbook_command(playbook, clusters=["one"], **variables))
    assert run.stdout
    seen = []
    for line in run.stdout:
        seen.append(line)
        if line.startswith(f"TASK [{task}"):
            return kill(run)
    raise AssertionError(f"it ended without {task}: {''.join(seen)}")


def killed_when(box: Box, there: Predicate, *command: str) -> None:
    """Starts a command, and kills it when something is so."""
    run = start(box, *command)

    def ended_or_there() -> bool:
        assert run.poll() is None, f"it ended before: {run.communicate()[0]}"
        return there(box)

    until(lambda: subprocess.CompletedProcess([], not ended_or_there()), lambda asked: not asked.returncode, 200)
    kill(run)


def has_status(status: str) -> Predicate:
    return lambda box: box.cluster_status("one").stdout.startswith(status)


def has(*what: str) -> Predicate:
    """Returns whether the cluster has some object."""
    return lambda box: bool(box.kubectl("one", "get", *what, "--output=name").stdout)


def doctor(box: Box, *options: str) -> subprocess.CompletedProcess[str]:
    return astrok8s(box, "doctor", "--orphans", *options)


def credentials(box: Box) -> set[str]:
    run = box.openstack("application", "credential", "list", "--format=json")
    return {entry["Name"] for entry in json.loads(run.stdout)}


def keys(box: Box) -> set[str]:
    return {entry["Access"] for entry in json.loads(box.openstack("ec2", "credentials", "list", "-f", "json").stdout)}


def addresses(box: Box) -> set[str]:
    run = box.openstack("floating", "ip", "list", "--format=json")
    return {entry["Floating IP Address"] for entry in json.loads(run.stdout)}


def new_address(box: Box, description: str) -> str:
    run = box.openstack("floating", "ip", "create", "public", "--description", description, "--format=json")
    assert run.returncode == 0, run.stderr
    return str(json.loads(run.stdout)["floating_ip_address"])


def uuid_of(box: Box, cluster: str) -> str:
    return box.openstack("coe", "cluster", "show", cluster, "-f", "value", "-c", "uuid").stdout.strip()


def expect_none(box: Box) -> None:
    run = doctor(box)
    assert (run.returncode, run.stdout.strip()) == (0, "There are no orphans."), run.stdout + run.stderr


SITE = [
    "lifecycle : When it ends, and its credential",
    "lifecycle : Watcher",
    "spark_base : The key, for Spark's servers",
]
SITE += ["spark_history : History server", "spark_connect : Server of Spark Connect"]


def test_a_run_that_is_killed_while_magnum_creates_is_gone_on_with(box: Box) -> None:
    expect_none(box)
    command = str(SITE_BIN / "astrok8s"), "provision", "one", "--size", "1"
    killed_when(box, has_status("CREATE_IN_PROGRESS"), *command)
    expect_none(box)


@pytest.mark.parametrize("task", SITE)
def test_a_declaration_that_is_killed_leaves_no_orphans(box: Box, task: str) -> None:
    killed_at_task(box, "site.yml", task, size=1)
    expect_none(box)


def test_the_next_declaration_converges(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["one"], size=1)
    assert run.returncode == 0, run.stdout
    assert "changed=0" in box.playbook("site.yml", clusters=["one"], size=1).stdout
    (key,) = keys(box)
    assert key.startswith("astrok8s")


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("client", ("pods", "--namespace=spark", "--selector=spark-role=executor")),
        ("connect", ("leases", "-n", "spark")),
    ],
)
def test_a_notebook_that_is_killed_while_it_attaches_is_attached_again(box: Box, mode: str, what: tuple[str]) -> None:
    command = sys.executable, "-c", ATTACH.format(mode=mode)
    killed_when(box, has(*what), *command)
    run = box.run(*command, OS_CLOUD=box.name)
    assert "attached" in run.stdout, run.stdout + run.stderr
    expect_none(box)


def test_a_grant_that_is_killed_is_given_by_the_next(box: Box) -> None:
    file = str(box.folder / "ben.kubeconfig")
    killed_when(box, has("namespace", BENS), str(SITE_BIN / "astrok8s"), "grant", "one", "ben", "--output", file)
    variables = {"user_access_user": "ben", "user_access_file": file}
    killed_at_task(box, "playbooks/access.yml", "user_access : Write the file of the access", **variables)
    assert not Path(file).exists()
    assert grant(box, "ben").exists()
    expect_none(box)


def test_a_destroy_that_is_killed_leaves_what_is_found(box: Box) -> None:
    uuid = uuid_of(box, "one")
    killed_at_task(box, "playbooks/destroy.yml", "spark_connect : No server of Spark Connect")
    expect_none(box)
    killed_when(box, has_status("DELETE_IN_PROGRESS"), str(SITE_BIN / "astrok8s"), "destroy", "one", "--yes")
    until(lambda: box.openstack("coe", "cluster", "show", "one"), lambda run: run.returncode != 0, timeout_s=300)
    left = credentials(box) | keys(box) | {new_address(box, DESCRIBED.format(uuid))}
    assert len(credentials(box)) >= 1
    assert len(keys(box)) == 1
    run = doctor(box)
    assert run.returncode == 1
    shown = {line.split("│")[2].strip() for line in run.stdout.splitlines() if line.startswith("│")}
    assert shown == left, run.stdout


def test_orphans_are_removed_once_somebody_has_agreed(box: Box) -> None:
    before = credentials(box), keys(box), addresses(box)
    asked = doctor(box, "--clean")
    assert asked.returncode == 2
    assert "There is nobody here who answers. Give --yes (-y)." in asked.stderr
    assert (credentials(box), keys(box), addresses(box)) == before
    run = doctor(box, "--clean", "--yes")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (credentials(box), keys(box), addresses(box)) == (set(), set(), set())
    expect_none(box)
    assert "changed=0" in box.playbook("playbooks/destroy.yml", clusters=["one"]).stdout


def test_what_is_anothers_is_left_alone(box: Box) -> None:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    mine = {"astrok8s-mine", f"astrok8s-Elsewhere-{STRANGE}-{stamp}"}
    for name in mine:
        assert box.openstack("application", "credential", "create", name).returncode == 0
    assert box.openstack("ec2", "credentials", "create").returncode == 0
    plain = new_address(box, "mine")
    as_admin(box, "project create others")
    other = new_user(box, "stranger", "others", "member")
    name = f"astrok8s-RegionOne-{STRANGE}-{stamp}"
    assert box.openstack(*other, "application", "credential", "create", name).returncode == 0
    theirs = box.openstack(*other, "ec2", "credentials", "create", "-f", "json")
    assert theirs.returncode == 0, theirs.stderr
    expect_none(box)
    # One whose cluster nobody here has had is shown, and stays.
    strange = new_address(box, DESCRIBED.format(STRANGE))
    run = doctor(box, "--clean", "--yes")
    assert run.returncode == 1
    assert re.search(rf"floating IP .* {re.escape(strange)} .* which may not be", run.stdout), run.stdout
    assert f"The floating IP {strange} stays: it may not be astrok8s's." in " ".join(run.stderr.split())
    assert addresses(box) == {plain, strange}
    assert credentials(box) == mine
    assert len(keys(box)) == 1
    listed = box.openstack(*other, "application", "credential", "list")
    assert name in listed.stdout
    assert box.openstack("floating", "ip", "delete", strange).returncode == 0


def test_a_cluster_that_was_deleted_behind_our_back_and_a_destroy_leave_nothing(box: Box) -> None:
    tags = "--tags=cloud,magnum_cluster,lifecycle"
    assert box.playbook("site.yml", tags, clusters=["one"], size=1).returncode == 0
    before, uuid = addresses(box), uuid_of(box, "one")
    new_address(box, DESCRIBED.format(uuid))
    expect_none(box)
    box.delete_cluster("one")
    run = doctor(box)
    assert run.returncode == 1
    assert run.stdout.count("its cluster is gone") == 2, run.stdout
    killed_at_task(box, "playbooks/destroy.yml", "lifecycle : The end of the cluster")
    assert box.playbook("playbooks/destroy.yml", clusters=["one"]).returncode == 0
    assert addresses(box) == before
    expect_none(box)
