"""What a localcloud remembers, the ranges that one may give it, and files that are damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from localcloud.cluster.controller import Networks, fail, gone
from localcloud.cluster.node import NodeBook
from localcloud.cluster.spec import NodeGroup, Spec, Status
from localcloud.settings import Ranges, Settings
from localcloud.state import DamagedStateError, write_json

from localcloud import lifecycle

NODES, PODS = "172.30.0.0/16", "172.24.0.0/14"


def test_the_first_start_decides_and_is_remembered(tmp_path: Path) -> None:
    Settings.load(tmp_path / "a/home", 3, NODES, PODS).save()
    later = Settings.load(tmp_path / "a/home")
    assert (later.number, str(later.node_range), str(later.pod_range)) == (3, NODES, PODS)
    assert str(later.gateway) == "172.30.0.1"
    assert later.made_folders() == [tmp_path / "a"]


@pytest.mark.parametrize("asked", [{"number": 2}, {"node_range": "10.9.0.0/16"}, {"pod_range": "10.12.0.0/14"}])
def test_another_number_or_range_is_refused_later(tmp_path: Path, asked: dict[str, object]) -> None:
    Settings.load(tmp_path / "home", 3, NODES).save()
    with pytest.raises(ValueError, match=r"leave --[a-z-]+ out, or destroy"):
        Settings.load(tmp_path / "home", **asked)  # type: ignore[arg-type]


def test_the_environment_gives_ranges_to_a_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALCLOUD_NODE_RANGE", NODES)
    settings = Settings.load(tmp_path / "home", 1)
    assert str(settings.node_range) == NODES
    assert settings.pod_range == Settings(tmp_path, 1).pod_range


@pytest.mark.parametrize(
    ("nodes", "pods", "says"),
    [
        ("10.1.0.0/33", None, "--node-range 10.1.0.0/33 is not a range"),
        ("10.1.0.1/16", None, "has host bits set"),
        ("10.1.0.0/24", None, "--node-range 10.1.0.0/24 has no room for a cluster; give a /23"),
        (None, "10.1.0.0/20", "--pod-range 10.1.0.0/20 has no room for a cluster; give a /18"),
        ("10.1.0.0/16", "10.0.0.0/8", "--node-range 10.1.0.0/16 overlaps 10.0.0.0/8"),
        (None, "10.96.0.0/16", "overlaps 10.96.0.0/16"),
        ("127.0.0.0/16", None, "overlaps 127.0.0.0/8"),
    ],
)
def test_ranges_that_cannot_be_are_refused(tmp_path: Path, nodes: str | None, pods: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Settings.load(tmp_path / "home", 0, nodes, pods)
    assert not (tmp_path / "home").exists()


def test_the_smaller_range_limits_the_clusters() -> None:
    assert Ranges.numbered(0).clusters == 16
    assert Ranges.parse("10.1.0.0/22", None, 0).clusters == 3
    assert Ranges.parse(None, "10.128.0.0/17", 0).clusters == 2


# -- damage ------------------------------------------------------------------
@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two clusters, `well` and `ill`, with all their files."""
    settings = Settings(tmp_path)
    for uuid in ("well", "ill"):
        folder = settings.clusters / uuid
        folder.mkdir(parents=True)
        spec = Spec(uuid, uuid, 1, (NodeGroup("default-master", "master", 1),))
        spec.write(folder)
        Status(1, "ready").write(folder)
        book = NodeBook(settings, uuid)
        book.add_missing(spec, Networks(settings).number(uuid))
        book.save()
        write_json(folder / "rotation.json", 0)
    return settings


@pytest.mark.parametrize("name", ["spec.json", "status.json", "nodes.json", "network.json", "rotation.json"])
@pytest.mark.parametrize("content", ["", "{", "[]x", '{"uuid": 1}'])
def test_a_damaged_file_is_told_and_disturbs_no_other_cluster(settings: Settings, name: str, content: str) -> None:
    assert lifecycle.damages(settings) == []
    (settings.clusters / "ill" / name).write_text(content)
    (damage,) = lifecycle.damages(settings)
    assert f"ill/{name} is damaged" in str(damage)
    assert "restore it from a backup" in str(damage)
    assert "well" in {spec.name for spec in lifecycle.clusters(settings)}
    with pytest.raises(DamagedStateError):
        lifecycle.check_state(settings)
    assert (settings.clusters / "ill" / name).read_text() == content


def test_no_number_is_given_away_while_one_is_unreadable(settings: Settings) -> None:
    (settings.clusters / "ill/network.json").write_text("")
    (settings.clusters / "new").mkdir()
    with pytest.raises(DamagedStateError):
        Networks(settings).number("new")


def test_magnum_is_told_of_damage(settings: Settings) -> None:
    folder = settings.clusters / "ill"
    (folder / "status.json").write_text("half")
    assert not gone(folder)
    fail(folder, None, DamagedStateError(folder / "spec.json", "empty"))
    status = Status.read(folder)
    assert status is not None
    assert status.phase == "failed"
    assert "spec.json is damaged" in status.waiting_for
