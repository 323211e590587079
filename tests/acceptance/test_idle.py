"""What the role lifecycle promises of clusters that nobody uses: they end, and no others do."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from boxes import SITE_BIN, Box, until

IDLE = timedelta(seconds=60)


def astrok8s(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.run(str(SITE_BIN / "astrok8s"), *arguments, OS_CLOUD=box.name)


def said(box: Box) -> Path:
    """What the last kernel has written for its user."""
    return box.folder / "kernel.log"


@contextmanager
def kernel(box: Box, code: str, mode: str = "connect") -> Iterator[subprocess.Popen[str]]:
    """A process that attaches, says so, and goes on with some code; it is killed at the end."""
    program = (
        f"import signal, astrok8s; spark = astrok8s.attach('one', mode={mode!r}, quiet=True); print('here', flush=True)"
    )
    command = [str(SITE_BIN / "python"), "-c", f"{program}; {code}"]
    environment = box.environment | {"OS_CLOUD": box.name}
    with (
        said(box).open("w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout
            assert process.stdout.readline() == "here\n"
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def one(box: Box) -> str:
    """A cluster that ends when nobody uses it for a minute, since it was made."""
    run = astrok8s(box, "provision", "one", "--size", "1", "--idle", "10m")
    assert run.returncode == 0, run.stderr
    return "one"


def declare(box: Box, idle: timedelta, **options: object) -> None:
    wanted = {"idle": f"{idle.seconds}s"} | options
    run = box.playbook("site.yml", "--tags=cloud,magnum_cluster,lifecycle", clusters=["one"], **wanted)
    assert run.returncode == 0, run.stdout


USE = ("get", "configmap", "use", "--namespace=astrok8s", "--output=jsonpath={.data.last}")


def last_use(box: Box) -> datetime:
    """Returns when the watcher has seen last that somebody used the cluster."""
    return datetime.fromisoformat(box.kubectl("one", *USE).stdout)


@pytest.mark.parametrize("mode", ["connect", "client"])
def test_a_kernel_that_has_a_session_uses_the_cluster(box: Box, one: str, mode: str) -> None:
    with kernel(box, "signal.pause()", mode) as process:
        begun = datetime.now(UTC)
        leases = box.kubectl(one, "get", "leases", "--all-namespaces", "--selector=astrok8s/use", "--output=name")
        assert f"-{process.pid}-" in leases.stdout
        shown = until(lambda: astrok8s(box, "show", one), lambda run: "in use, ends at" in run.stdout)
        assert shown.returncode == 0
        assert last_use(box) > begun - timedelta(minutes=1)


def test_a_session_that_is_stopped_gives_its_lease_back(box: Box, one: str) -> None:
    box.kubectl(one, "delete", "leases", "--namespace=spark", "--selector=astrok8s/use").check_returncode()
    with kernel(box, "spark.stop(); signal.pause()"):
        gone = ("get", "leases", "--all-namespaces", "--selector=astrok8s/use", "--output=name")
        until(lambda: box.kubectl(one, *gone), lambda run: run.stdout == "", timeout_s=90)


def test_a_kernel_is_warned_before_the_cluster_ends(box: Box, one: str) -> None:
    since = box.kubectl(one, "get", "configmap", "lifecycle", "--namespace=astrok8s", "--output=jsonpath={.data.since}")
    lived = datetime.now(UTC) - datetime.fromisoformat(since.stdout)
    declare(box, IDLE, ttl=f"{lived.seconds + 600}s")
    with kernel(box, "signal.pause()"):
        warning = rf"astrok8s: the cluster {one} ends at \d\d:\d\d, in \d+ min. `astrok8s extend {one} 4h` lets it"
        until(lambda: box.run("cat", str(said(box))), lambda run: bool(re.search(warning, run.stdout)), timeout_s=90)
    declare(box, IDLE, ttl="12h")


WRONG = {
    "zero": (["--idle", "0s"], "A cluster cannot end when it was idle for 0s."),
    "for ever": (["--idle", "never"], "'never' is no duration."),
    "longer than it lives": (["--ttl", "1h", "--idle", "2h"], "A cluster that lives for 1h is not idle for 2h."),
    "kept": (["-o", "lifecycle_keep=true"], "This site keeps no cluster for ever"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_refused(box: Box, one: str, arguments: list[str], message: str) -> None:
    run = astrok8s(box, "provision", one, *arguments)
    assert run.returncode in (1, 2)
    assert message in " ".join((run.stdout + run.stderr).split())


def test_nobody_is_idle_while_the_cloud_is_away(box: Box, one: str) -> None:
    declare(box, IDLE)
    box.localcloud("down").check_returncode()
    over = datetime.now(UTC) + IDLE
    until(lambda: box.run("date"), lambda _: datetime.now(UTC) > over, timeout_s=90)
    box.localcloud("up").check_returncode()
    until(lambda: box.kubectl(one, *USE), lambda run: run.stdout > over.isoformat(), timeout_s=120)
    declare(box, timedelta(minutes=10))  # in time: it would have ended at the first look


def test_a_cluster_in_use_stays_and_ends_when_its_kernel_was_killed(box: Box, one: str) -> None:
    with kernel(box, "print(spark.conf.get('spark.app.id'), flush=True); signal.pause()") as process:
        assert process.stdout
        application = process.stdout.readline().strip()
        declare(box, IDLE)
        begun = datetime.now(UTC)
        # Longer than it may be idle.
        until(lambda: astrok8s(box, "show", one), lambda _: last_use(box) > begun + 2 * IDLE, timeout_s=300)
    until(
        lambda: astrok8s(box, "show", one),
        lambda run: bool(re.search(r"idle for \d+ min, ends at", run.stdout)) or run.returncode == 1,
        timeout_s=300,
    )
    gone = ("coe", "cluster", "show", one)
    until(lambda: box.openstack(*gone), lambda run: run.returncode != 0, timeout_s=300)
    # The server of Spark Connect, whose session was killed, has closed its event log.
    logs = box.openstack("object", "list", "spark-events", "--format=value", "--column=Name").stdout.split()
    assert [log.partition("/appstatus_")[2] for log in logs if f"/appstatus_{application}" in log] == [application]
