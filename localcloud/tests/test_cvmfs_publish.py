"""What is published is what lies in the folder, and is read by code that shares nothing with the publisher."""

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cvmfs_reader import Reader, tree

from localcloud.cvmfs.letters import renew_all
from localcloud.cvmfs.publisher import Publication, publish
from localcloud.cvmfs.repository import Repository
from localcloud.errors import LocalcloudError

FQRN = "sw.example.org"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MIB = 2**20

# A publisher that can be killed.
PUBLISH = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from localcloud.cvmfs.publisher import publish
from localcloud.cvmfs.repository import Repository

publish(Repository.of(Path(sys.argv[1]), sys.argv[2]), Path(sys.argv[3]), 60, datetime.now(UTC))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.of(tmp_path / "cvmfs", FQRN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with some of everything."""
    folder = tmp_path / "tree"
    for path in ("lib/python/numpy", "lib/catalogues/hip", "lib/plain", "empty"):
        (folder / path).mkdir(parents=True)
    for path in ("lib/python", "lib/python/numpy", "lib/catalogues"):
        (folder / path / ".cvmfscatalog").touch()
    (folder / "lib/python/numpy/core.py").write_text("one = 1\n")
    (folder / "lib/catalogues/hip/main.dat").write_bytes(b"star\n" * 1000)
    (folder / "lib/plain/sirius é.txt").write_text("bright\n")
    (folder / "nothing").touch()
    (folder / "link").symlink_to("lib/plain")
    (folder / "dangling ü").symlink_to("/cvmfs/other.example.org/é")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o4755)
    (folder / "empty").chmod(0o1770)
    os.utime(folder / "nothing", ns=(0, -1_500_000_001))  # before 1970
    os.utime(folder / "lib", ns=(0, 1_234_567_890_123_456_789))
    return folder


@pytest.fixture
def large(folder: Path) -> Path:
    """The same, with a file that is chunked, and one that is just not."""
    (folder / "chunked").write_bytes(os.urandom(MIB) * 17 + b"tail")
    (folder / "whole").write_bytes(b"w" * 16 * MIB)
    return folder


def reader(repository: Repository, now: datetime = NOW) -> Reader:
    return Reader(repository.root, repository.fqrn, repository.public_key.read_bytes(), now)


def make(repository: Repository, folder: Path, ttl: int = 60, now: datetime = NOW) -> Publication:
    return publish(repository, folder, ttl, now)


def served(repository: Repository) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in repository.root.rglob("*") if path.is_file()}


def test_what_is_published_is_what_lies_in_the_folder(repository: Repository, large: Path) -> None:
    done = make(repository, large)
    client = reader(repository)
    assert client.tree() == tree(large)
    assert set(client.catalogs) == {"", "/lib/python", "/lib/python/numpy", "/lib/catalogues"}
    assert (done.revision, done.changed, done.entries) == (1, True, len(tree(large)))
    assert done.size == sum(len(found.content or b"") for found in tree(large).values())
    assert done.added.objects == len(served(repository)) - 2
    assert list(repository.root.glob("data/.*")) == []


def test_clients_find_the_time_to_live_and_a_tag_of_the_revision(repository: Repository, folder: Path) -> None:
    make(repository, folder, ttl=5)
    manifest = reader(repository).manifest
    assert (manifest["D"], manifest["S"]) == ("5", "1")
    ttl = reader(repository).query(manifest["C"], "C", "SELECT value FROM properties WHERE key = 'TTL'")
    assert ttl == [("5",)]
    tags = "SELECT hash, revision, size FROM tags ORDER BY revision"
    assert reader(repository).query(manifest["H"], "H", tags) == [(manifest["C"], 1, int(manifest["B"]))]
    assert make(repository, folder, ttl=6).changed
    again = reader(repository)
    assert [row[1] for row in again.query(again.manifest["H"], "H", tags)] == [1, 2]


def test_catalogs_count_what_is_in_them_and_below(repository: Repository, large: Path) -> None:
    make(repository, large)
    client = reader(repository)
    client.tree()

    def counts(path: str) -> dict[str, int]:
        return {key: n for key, n in client.query(client.catalogs[path], "C", "SELECT * FROM statistics") if n}

    numpy = {"self_regular": 2, "self_dir": 1, "self_file_size": 8}
    assert counts("/lib/python/numpy") == numpy
    below = {key.replace("self", "subtree"): n for key, n in numpy.items()}
    assert counts("/lib/python") == {"self_regular": 1, "self_dir": 2, "self_nested": 1} | below
    root = counts("")
    assert (root["self_dir"], root["self_nested"], root["subtree_dir"]) == (6, 2, 5)
    assert (root["self_symlink"], root["self_chunked"], root["self_chunks"]) == (2, 1, 3)
    links = "SELECT name, hardlinks FROM catalog WHERE flags & 1"
    assert dict(client.query(client.catalogs[""], "C", links)) == {
        "": 4, "empty": 2, "lib": 5, "catalogues": 3, "plain": 2, "python": 3,
    }  # fmt: skip


def test_a_tree_that_is_the_same_is_no_revision(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    before = served(repository)
    done = make(repository, folder, now=NOW + timedelta(days=1))
    assert (done.revision, done.changed, done.added.objects) == (1, False, 0)
    assert served(repository) == before
    repository.index.unlink()  # it is only there to be fast
    assert not make(repository, folder).changed
    assert served(repository) == before


def test_only_what_is_new_is_stored(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    before, objects = reader(repository), served(repository)
    before.tree()
    core = folder / "lib/python/numpy/core.py"
    info = core.stat()
    core.write_text("one = 2\n")  # of the same size
    os.utime(core, ns=(info.st_atime_ns, info.st_mtime_ns))  # and of the same time
    done = make(repository, folder)
    after = reader(repository)
    assert after.tree() == tree(folder)
    same = {path for path in after.catalogs if after.catalogs[path] == before.catalogs[path]}
    assert same == {"/lib/catalogues"}
    assert (done.revision, done.changed) == (2, True)
    new = served(repository).keys() - objects.keys()
    assert len(new) == done.added.objects == 5  # the file, three catalogs, the history
    assert before.tree()["/lib/python/numpy/core.py"].content == b"one = 1\n"  # who has it mounted reads on


def test_what_goes_and_what_becomes_something_else_is_published(repository: Repository, large: Path) -> None:
    make(repository, large)
    (large / "link").unlink()
    (large / "link").mkdir()
    (large / "lib/catalogues/.cvmfscatalog").unlink()
    (large / "chunked").write_bytes(b"short")
    (large / "dangling ü").unlink()
    make(repository, large)
    client = reader(repository)
    assert client.tree() == tree(large)
    assert set(client.catalogs) == {"", "/lib/python", "/lib/python/numpy"}


def test_a_publisher_that_is_killed_leaves_the_old_revision_and_the_next_goes_on(
    repository: Repository, folder: Path
) -> None:
    make(repository, folder)
    before, old = served(repository), tree(folder)
    for number in range(6):
        (folder / f"random-{number}").write_bytes(os.urandom(8 * MIB))
    command = [sys.executable, "-c", PUBLISH, str(repository.folder), FQRN, str(folder)]
    with subprocess.Popen(command) as publisher:
        while not any(repository.root.glob("data/.new.*/[0-9a-f]*")):
            assert publisher.poll() is None
        publisher.send_signal(signal.SIGKILL)
    assert publisher.returncode == -signal.SIGKILL
    assert {path: content for path, content in served(repository).items() if ".new." not in str(path)} == before
    assert reader(repository).tree() == old
    assert make(repository, folder).revision == 2
    assert reader(repository).tree() == tree(folder)
    assert list(repository.root.glob("data/.*")) == []


def test_a_disk_that_is_full_is_told_and_leaves_the_old_revision(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    before = served(repository)
    (folder / "random").write_bytes(os.urandom(2 * MIB))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(LocalcloudError, match=r"was not published: .*File too large"):
            make(repository, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert served(repository) == before


def test_two_publishers_take_turns(repository: Repository, tmp_path: Path) -> None:
    trees = [tmp_path / name for name in ("first", "second")]
    for each in trees:
        each.mkdir()
        (each / "name").write_text(each.name)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda each: make(repository, each), trees))
    assert sorted(publication.revision for publication in done) == [1, 2]
    (last,) = (each for each, publication in zip(trees, done, strict=True) if publication.revision == 2)
    assert reader(repository).tree() == tree(last)


@pytest.mark.parametrize(
    "fqrn", ["", "sw", "Sw.example.org", "sw..org", ".org", "a/b.org", "../x.org", "a.b\n", "-a.b", "a." * 40 + "b"]
)
def test_a_name_that_no_repository_can_have_is_refused(tmp_path: Path, fqrn: str) -> None:
    with pytest.raises(LocalcloudError, match="cannot be named"):
        Repository.of(tmp_path, fqrn)


def test_what_no_repository_can_hold_is_refused_before_anything_changes(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "deep").mkdir(parents=True)
    with pytest.raises(LocalcloudError, match="none is not there"):
        make(repository, folder / "none")
    os.mkfifo(folder / "deep/pipe")
    (folder / os.fsdecode(b"\xff")).touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    with pytest.raises(LocalcloudError) as refusal:
        make(repository, folder)
    for word in ("/deep/pipe (a named pipe)", "/socket (a socket)", r"/\xff (not UTF-8)"):
        assert word in str(refusal.value)
    (tmp_path / "file").touch()
    with pytest.raises(LocalcloudError, match="file is not a folder"):
        make(repository, tmp_path / "file")
    assert not repository.folder.exists()


def test_the_whitelist_is_renewed_when_a_third_of_its_life_is_left(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    key, manifest = repository.public_key.read_bytes(), repository.manifest.read_bytes()
    assert reader(repository).expiry == NOW + timedelta(days=30)
    assert renew_all(repository.folder, NOW + timedelta(days=20)) == []
    later = NOW + timedelta(days=20, seconds=1)
    assert renew_all(repository.folder, later) == [repository]
    assert reader(repository, NOW + timedelta(days=49)).expiry == later + timedelta(days=30)
    assert not make(repository, folder, now=NOW + timedelta(days=90)).changed  # it had expired
    assert reader(repository, NOW + timedelta(days=119)).tree() == tree(folder)
    assert (repository.public_key.read_bytes(), repository.manifest.read_bytes()) == (key, manifest)


def test_keys_are_the_publishers_own(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    keys = repository.public_key.parent
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()}
    assert modes == {".masterkey": 0o600, ".key": 0o600, ".crt": 0o600, ".pub": 0o644}
    assert repository.folder / "www" not in keys.parents
    assert not any(b"PRIVATE" in content for content in served(repository).values())


def test_who_lost_the_keys_publishes_with_others(repository: Repository, folder: Path) -> None:
    make(repository, folder)
    shutil.rmtree(repository.public_key.parent)
    assert make(repository, folder).revision == 2
    assert reader(repository).tree() == tree(folder)


def test_an_object_that_got_lost_is_stored_again(repository: Repository, large: Path) -> None:
    make(repository, large)
    before = served(repository)
    (lost,) = (path for path in before if path.name.endswith("P") and len(before[path]) < 2 * MIB)
    lost.unlink()
    done = make(repository, large)
    assert (done.changed, done.added.objects) == (False, 1)
    assert served(repository) == before


@pytest.mark.parametrize("damage", [b"", b"no catalog"])
def test_damage_that_cannot_be_repaired_is_told(repository: Repository, folder: Path, damage: bytes) -> None:
    make(repository, folder)
    root = reader(repository).manifest["C"]
    (repository.root / "data" / root[:2] / f"{root[2:]}C").write_bytes(damage)
    with pytest.raises(LocalcloudError, match=f"C is {'damaged' if damage else 'missing'}"):
        make(repository, folder)
    repository.manifest.write_text("nonsense\n")
    with pytest.raises(LocalcloudError, match="is not a manifest"):
        make(repository, folder)
