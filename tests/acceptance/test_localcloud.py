"""What localcloud promises beside the main job: it survives, it stands beside others, it refuses clearly."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from boxes import LOCALCLOUD_BIN, Box, left_over, traces, until


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    pair = (Box(f"a{os.getpid()}", tmp_path), Box(f"b{os.getpid()}", tmp_path))
    yield pair
    for box in pair:
        box.localcloud("destroy")


def up(box: Box) -> None:
    run = box.localcloud("up")
    assert run.returncode == 0, run.stderr


def test_a_killed_box_leaves_nothing_and_comes_back_with_its_data(boxes: tuple[Box, Box]) -> None:
    box, _ = boxes
    up(box)
    created = box.openstack("network", "create", "mine", "-f", "value", "-c", "id")
    assert created.returncode == 0, created.stderr
    network, holder = box.network, box.holder()
    assert holder
    os.kill(holder, signal.SIGKILL)
    down = box.localcloud("down")
    assert down.returncode == 0
    assert traces(box, network) == [f"file {box.home}"]
    up(box)
    assert box.network == network
    assert box.openstack("network", "show", "mine", "-f", "value", "-c", "id").stdout == created.stdout


def test_two_clouds_stand_beside_each_other_and_one_may_take_the_others_network(boxes: tuple[Box, Box]) -> None:
    first, second = boxes
    up(first)
    up(second)
    assert first.network != second.network
    for box in boxes:
        assert box.openstack("coe", "cluster", "template", "list").returncode == 0
    taken = first.network
    assert first.localcloud("down").returncode == 0
    assert second.localcloud("destroy").returncode == 0
    up(second)
    assert second.network == taken
    up(first)
    assert first.network != taken
    catalog = first.openstack("catalog", "list", "-f", "value", "-c", "Endpoints").stdout
    assert f"{taken.rsplit('.', 2)[0]}." not in catalog
    assert first.openstack("coe", "cluster", "template", "list").returncode == 0


def test_two_clouds_of_different_homes_may_start_at_once(boxes: tuple[Box, Box]) -> None:
    first, second = boxes
    second = Box(second.name, second.folder / "other")
    with ThreadPoolExecutor() as pool:
        for run in pool.map(lambda box: box.localcloud("up"), (first, second)):
            assert run.returncode == 0, run.stderr
    assert first.network != second.network
    for box in (first, second):
        assert box.localcloud("status").returncode == 0
        assert box.localcloud("destroy").returncode == 0


def test_an_interrupted_up_is_finished_by_the_next(boxes: tuple[Box, Box]) -> None:
    box, _ = boxes
    own = os.environ | {"XDG_STATE_HOME": str(box.folder / "state"), "OS_CLIENT_CONFIG_FILE": str(box.clouds)}
    command = [str(LOCALCLOUD_BIN / "localcloud"), "up", "--name", box.name]
    for moment in ("waiting for", "seeding image"):
        with subprocess.Popen(
            command, env=own | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
        ) as interrupted:
            assert interrupted.stdout
            next(line for line in interrupted.stdout if moment in line)
            interrupted.kill()
    up(box)
    assert "kubernetes" in box.openstack("coe", "cluster", "template", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("up", "--name", "Not A Name"), 1, "cannot be named 'Not A Name'"),
        (("up", "--nmae", "x"), 2, "No such option"),
        (("logs", "--name", "never"), 1, "There is no log of never"),
        (("status", "--name", "never"), 1, "never does not exist"),
        (("down", "--name", "never"), 0, "never was not up"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    box = Box("never", tmp_path)
    run = box.run(str(LOCALCLOUD_BIN / "localcloud"), *arguments)
    assert run.returncode == code
    assert message in run.stdout + run.stderr
    assert not box.home.exists()


def test_a_cloud_that_the_user_has_already_is_left_alone(boxes: tuple[Box, Box]) -> None:
    box, _ = boxes
    theirs = f"clouds:\n  {box.name}: {{auth: {{auth_url: 'https://keystone.example.org'}}}}\n"
    box.clouds.write_text(theirs)
    run = box.localcloud("up")
    assert run.returncode == 1
    assert "not this box" in run.stderr
    assert box.clouds.read_text() == theirs
    assert not box.home.exists()


def test_a_name_that_another_home_uses_is_refused(boxes: tuple[Box, Box], tmp_path: Path) -> None:
    box, _ = boxes
    up(box)
    other = Box(box.name, tmp_path / "other")
    run = other.localcloud("up")
    assert run.returncode == 1
    assert f"lc-{box.name} is taken" in run.stderr
    assert other.localcloud("destroy").returncode == 0
    assert box.localcloud("status").returncode == 0


def test_who_is_not_root_is_told(tmp_path: Path) -> None:
    program = "import os; from localcloud import box; os.setuid(65534); box.check_machine()"
    run = subprocess.run(
        [str(LOCALCLOUD_BIN / "python"), "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 1
    assert "Only root can start a box" in run.stderr


def test_the_box_of_a_killed_test_run_is_found_by_the_next(tmp_path: Path) -> None:
    # A process that has ended and is waited for stands for the run that was killed: its number is free again.
    ended = subprocess.Popen(["true"])
    ended.wait()
    box = Box(f"k{ended.pid}", tmp_path)
    up(box)
    try:
        assert [found.name for found in left_over() if found.home == box.home] == [box.name]
    finally:
        box.localcloud("destroy")


def test_the_link_that_a_killed_box_left_is_in_nobodys_way(boxes: tuple[Box, Box]) -> None:
    box, _ = boxes
    up(box)
    network, link, holder = box.network, f"lc-{box.name}", box.holder()
    assert holder
    os.kill(holder, signal.SIGKILL)
    until(lambda: box.run("ip", "link", "show", link), lambda run: run.returncode != 0)
    # The kernel may keep a link for minutes, with connections that nobody closed; this one stays until it is removed.
    for command in (f"link add {link} type veth peer name {link}p", f"link set {link} up", f"link set {link}p up",
                    f"route add {network} dev {link}"):  # fmt: skip
        subprocess.run(["ip", *command.split()], check=True)
    up(box)
    assert box.network == network
