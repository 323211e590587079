from pathlib import Path

import pytest

from localcloud.clusters import cgroups
from localcloud.errors import LocalcloudError

NEEDED = "cpu cpuset memory pids"


def machine(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """A machine's cgroups as a tree of folders and files, and what one of its processes is told of its own."""
    root = folder / "cgroup"
    root.mkdir()
    for controllers in ("cpu", "memory"):
        if f":{controllers}:" in own:
            (root / controllers).mkdir()
    for name, content in files.items():
        (root / f"cgroup.{name}").write_text(content)
    (folder / "own").write_text(own)
    return root, folder / "own"


VERSION_1 = "3:cpu:/\n2:memory:/session\n1:name=systemd:/\n"
VERSION_2 = "0::/session\n"


def test_memory_cgroups_of_version_1_are_used_also_beside_version_2(tmp_path: Path) -> None:
    root, own = machine(tmp_path, VERSION_1 + VERSION_2)
    (root / "unified").mkdir()
    (root / "unified" / "cgroup.controllers").write_text("hugetlb\n")
    assert cgroups.version(root, own) == 1
    cgroups.check(root, own)


def test_version_2_is_used_where_it_is_mounted(tmp_path: Path) -> None:
    root, own = machine(tmp_path, VERSION_2, controllers=f"{NEEDED} io rdma\n")
    assert cgroups.version(root, own) == 2
    cgroups.check(root, own)


@pytest.mark.parametrize(
    ("own", "files", "message"),
    [
        ("3:cpu:/\n", {}, "no memory cgroups in .*, of version 1 or 2"),
        (VERSION_2, {"controllers": "cpu io memory\n"}, "no controllers cpuset, pids"),
        (
            VERSION_2,
            {"controllers": NEEDED, "type": "domain\n", "procs": "1\n7\n", "subtree_control": "cpu memory\n"},
            "the cgroup of a container, whose processes are in it",
        ),
    ],
    ids=["no memory", "controllers missing", "processes in the root of a container"],
)
def test_a_machine_is_refused_whose_cgroups_cannot_limit_pods(
    tmp_path: Path, own: str, files: dict[str, str], message: str
) -> None:
    with pytest.raises(LocalcloudError, match=message):
        cgroups.check(*machine(tmp_path, own, **files))


@pytest.mark.parametrize("moved", [{"procs": ""}, {"procs": "1\n", "subtree_control": f"io {NEEDED}\n"}])
def test_a_container_is_not_refused_whose_root_gives_controllers(tmp_path: Path, moved: dict[str, str]) -> None:
    files = {"controllers": NEEDED, "type": "domain\n", "subtree_control": "\n"} | moved
    cgroups.check(*machine(tmp_path, VERSION_2, **files))


def test_every_folder_above_a_node_gives_it_what_its_pods_are_limited_with(tmp_path: Path) -> None:
    root, _ = machine(tmp_path, VERSION_2, controllers=f"misc rdma hugetlb {NEEDED}\n")
    box = root / "lc-lab"
    box.mkdir()
    (box / "cgroup.controllers").write_text("memory cpu cpuset pids\n")  # the kernel writes it
    assert cgroups.make_unified("lc-lab/c1n1", root) == box / "c1n1"
    assert (root / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids +hugetlb"
    assert (box / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids"
    # Its own programs must go into a folder of theirs first.
    assert (box / "c1n1").is_dir()
    assert not (box / "c1n1" / "cgroup.subtree_control").exists()
