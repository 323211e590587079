from pathlib import Path

import pytest

from localcloud.clusters import golden, programs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "astrok8s"


def file(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_what_the_set_up_built_is_known_by_its_path_and_not_read(cache: Path) -> None:
    first, other = cache / "images/spark-1/spark.tar", cache / "images/spark-2/spark.tar"
    assert golden.key([first]) == golden.key([first])
    assert golden.key([first]) != golden.key([other])


def test_another_program_of_the_machine_is_another_golden_root(tmp_path: Path) -> None:
    busybox = file(tmp_path / "bin/busybox", "one")
    before = golden.key([busybox])
    assert golden.key([file(busybox, "two")]) != before
    assert golden.key([file(busybox, "one")]) == before


def test_layers_lie_apart_and_are_found_where_nodes_see_them(tmp_path: Path) -> None:
    file(tmp_path / "snapshots/7/fs/etc/passwd", "root")
    golden._set_layers_apart(tmp_path / "snapshots", tmp_path / "layers")
    assert (tmp_path / "layers/7/fs/etc/passwd").read_text() == "root"
    assert (tmp_path / "snapshots/7").readlink() == Path("/opt/layers/7")


def test_archives_are_found_under_the_links_of_the_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = file(tmp_path / "cache/spark-1/spark.tar", "")
    (tmp_path / "builds/images").mkdir(parents=True)
    (tmp_path / "builds/images/spark").symlink_to(archive.parent)
    monkeypatch.setattr(programs, "_BUILDS", tmp_path / "builds")
    assert programs.image_archives() == [archive]
