"""The cache of finished builds."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from localcloud.build import store
from localcloud.settings import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def make(entry: store.Entry, *, age: int = 0) -> store.Entry:
    with entry.being_made() as work:
        (work / "result").write_text(entry.name)
    then = time.time() - age
    os.utime(entry.path, (then, then))
    return entry


def test_key_tells_parts_apart():
    assert store.key("a", "bc") != store.key("ab", "c")
    assert store.key("a") == store.key(b"a")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "file").write_text("other"),
        lambda folder: (folder / "file").rename(folder / "renamed"),
        lambda folder: (folder / "file").chmod(0o755),
        lambda folder: (folder / "new").touch(),
    ],
    ids=["content", "name", "executable", "new file"],
)
def test_folder_key_follows_its_files(tmp_path, change):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("text")
    (folder / "file").chmod(0o644)
    before = store.folder_key(folder)
    assert store.folder_key(folder) == before
    change(folder)
    assert store.folder_key(folder) != before


@pytest.mark.parametrize("name", ["__pycache__", "target"])
def test_folder_key_does_not_see_what_tools_leave(tmp_path, name):
    folder = tmp_path / "target"
    (folder / "sub").mkdir(parents=True)
    before = store.folder_key(folder)
    (folder / "sub" / name).mkdir()
    (folder / "sub" / name / "x").touch()
    assert store.folder_key(folder) == before
    (folder / "x").touch()
    assert store.folder_key(folder) != before


def test_a_failed_build_leaves_nothing():
    entry = store.Entry("images", "x.tar")
    with pytest.raises(RuntimeError, match="half way"), entry.being_made() as work:
        (work / "result").write_text("half")
        raise RuntimeError("half way")
    assert not entry.finished
    assert list(entry.path.parent.iterdir()) == []


def test_a_finished_build_is_all_that_stays():
    entry = make(store.Entry("images", "x.tar"))
    assert entry.finished
    assert list(entry.path.parent.iterdir()) == [entry.path]


def test_the_lock_clears_what_a_killed_build_left():
    entry = make(store.Entry("images", "x.tar"))
    left = entry.path.with_name(".partial-left")
    left.mkdir()
    with store.locked(lambda line: None):
        assert not left.exists()
        assert entry.finished


def test_a_second_build_waits_and_says_so():
    lines, order = [], []

    def second():
        with store.locked(lines.append):
            order.append("second")

    with store.locked(lines.append):
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while not lines and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert lines == ["another build is running: waiting for it"]


def test_prune_keeps_the_two_last_used_of_each_family():
    def entries(family):
        return [make(store.Entry("images", f"{family}{age}.tar", family), age=age) for age in (40, 30, 20, 10)]

    spark, pause = entries("spark-"), entries("pause-")
    store.prune([spark[0]])
    assert [entry.finished for entry in spark] == [True, False, False, True]  # the used one, though oldest
    assert all(entry.finished for entry in pause)


def test_prune_leaves_programs_that_run(tmp_path):
    entries = [store.Entry("bin", name) for name in ("running", "old", "new", "used")]
    for age, entry in zip((40, 30, 20, 10), entries, strict=True):
        with entry.being_made() as work:
            (work / "result").mkdir()
            program = work / "result/python" if entry.name == "running" else work / "result/other"
            if entry.name == "running":
                program.hardlink_to(_copy_of_our_program(tmp_path))
            else:
                program.touch()
        os.utime(entry.path, (time.time() - age,) * 2)
    with subprocess.Popen([entries[0].path / "python", "60"]) as process:
        try:
            store.prune([entries[3]])
            assert [entry.finished for entry in entries] == [True, False, True, True]
        finally:
            process.kill()


def _copy_of_our_program(folder: Path) -> Path:
    copy = folder / "sleep"
    copy.write_bytes(Path("/bin/sleep").read_bytes())
    copy.chmod(0o755)
    return copy


def test_trim_removes_the_oldest_files_only(tmp_path):
    for age, name in ((30, "oldest"), (20, "older"), (10, "new")):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    store.trim(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"older", "new"}


def test_the_cache_is_the_users():
    assert cache().name == "astrok8s"
