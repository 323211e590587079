"""Which cgroups a machine, or a container on it, must have."""

import pytest

from localcloud import cgroups

ALL = "cpuset cpu io memory pids"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def unified(root, controllers=ALL, *, given="", processes="", own=False):
    (root / "cgroup.controllers").write_text(f"{controllers}\n")
    (root / "cgroup.subtree_control").write_text(f"{given}\n")
    (root / "cgroup.procs").write_text(processes)
    if own:
        (root / "cgroup.type").write_text("domain\n")


def test_version_1_has_a_folder_per_controller(root):
    for name in cgroups.CONTROLLERS:
        (root / name).mkdir()
    assert cgroups.check() == "cgroup v1"


def test_version_2_has_all_in_one(root):
    unified(root, processes="1\n2\n")
    assert cgroups.check() == "cgroup v2"


def test_missing_controllers_are_named(root):
    unified(root, "cpu pids")
    with pytest.raises(RuntimeError, match="no cgroup controller cpuset, memory"):
        cgroups.check()


def test_a_containers_cgroup_with_processes_cannot_hand_controllers_on(root):
    unified(root, processes="1\n", given="cpu", own=True)
    with pytest.raises(RuntimeError, match=r"nodes get no controller cpuset, memory, pids; .*--cgroupns=host"):
        cgroups.check()


@pytest.mark.parametrize(("processes", "given"), [("", ""), ("1\n", ALL)])
def test_a_containers_cgroup_without_them_can(root, processes, given):
    unified(root, processes=processes, given=given, own=True)
    assert cgroups.check() == "cgroup v2"
