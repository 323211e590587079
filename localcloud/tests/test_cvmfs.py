"""What is published, as a reader sees it that checks everything; and what must be refused, seen or survived."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import FileWrapper

import pytest
from cryptography.exceptions import InvalidSignature
from cvmfs_reader import Reader, folder, source
from localcloud.build import demo_repository
from localcloud.cvmfs import catalog, demo, history, keys, letters, objects, repository, squid, tree
from localcloud.cvmfs.collect import collect
from localcloud.cvmfs.prebuilt import Prebuilt
from localcloud.cvmfs.publish import Publication, publish
from localcloud.cvmfs.report import check, describe, facts, prepare
from localcloud.cvmfs.web import Stratum, renew
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import Settings

FQRN = "t.astro.example"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(keys, "_BITS", 1024)  # made in a fifth of the time
    settings = Settings(tmp_path / "home", 7)
    settings.save()
    return settings


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with two packages, each with a catalog of its own, and what else a folder may hold."""
    site = tmp_path / "site"
    for package in ("a", "b"):
        (site / package / "deep").mkdir(parents=True)
        (site / package / ".cvmfscatalog").touch()
        (site / package / "deep/code.py").write_text(f"name = '{package}'\n")
    (site / "b/deep/.cvmfscatalog").touch()
    (site / "empty").touch()
    (site / "script").write_text("#!/bin/sh\n")
    (site / "script").chmod(0o4751)
    (site / "ünï ö").mkdir(mode=0o700)
    (site / "ünï ö/link").symlink_to("../a/nowhere é")
    (site / "ünï ö/up").symlink_to("/etc/passwd")
    os.utime(site / "script", ns=(0, 1_234_567_890_123_456_789))
    if os.geteuid() == 0:
        os.chown(site / "empty", 185, 186)
    return site


def opened(settings: Settings, fqrn: str = FQRN) -> Reader:
    found = repository.find(settings, fqrn)
    return Reader(folder(found.web), fqrn, keys.public(found.keys))


def stored(settings: Settings) -> set[Path]:
    return {path for path in (settings.repositories / FQRN / "data").rglob("*") if path.is_file()}


# -- what is published -------------------------------------------------------
def test_a_repository_is_its_source(settings, site):
    done = publish(settings, FQRN, site)
    reader = opened(settings)
    assert reader.read() == source(site)
    assert set(reader.catalogs) == {"", "/a", "/b", "/b/deep"}
    assert (done.revision, done.changed, done.files) == (1, True, 7)
    assert done.files_read == 7


def test_a_path_is_known_by_the_md5_of_its_name():
    """The MD5 of nothing is in RFC 1321, and has two halves that are negative as signed numbers."""
    first, second = catalog.path_hash("")
    assert (first.to_bytes(8, "little", signed=True) + second.to_bytes(8, "little", signed=True)).hex() == (
        "d41d8cd98f00b204e9800998ecf8427e"
    )


def test_large_files_are_in_chunks(settings, site, monkeypatch):
    monkeypatch.setattr(tree, "CHUNK", 1000)
    monkeypatch.setattr(tree, "LARGE", 2000)
    for size in (2000, 2001, 3000, 4999):
        (site / f"large{size}").write_bytes(os.urandom(size))
    publish(settings, FQRN, site)
    assert opened(settings).read() == source(site)
    assert len([path for path in stored(settings) if path.name.endswith("P")]) == 3 + 3 + 5
    content = bytearray((site / "large4999").read_bytes())
    content[1500] ^= 1
    (site / "large4999").write_bytes(content)
    before = stored(settings)
    publish(settings, FQRN, site)
    assert opened(settings).read() == source(site)
    assert len([path for path in stored(settings) - before if path.name.endswith("P")]) == 1


def test_hard_links_in_a_folder_are_a_group(settings, site):
    for name in ("one", "two"):
        (site / f"a/{name}").write_text(name)
        (site / f"a/{name}-again").hardlink_to(site / f"a/{name}")
    (site / "elsewhere").hardlink_to(site / "a/one")
    publish(settings, FQRN, site)
    reader = opened(settings)
    assert reader.read() == source(site)
    groups = [reader.hardlinks[f"/a/{name}"] for name in ("one", "one-again", "two", "two-again")]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert {group & 0xFFFFFFFF for group in groups} == {2}
    assert all(group >> 32 for group in groups)
    assert reader.hardlinks["/elsewhere"] == 1


def test_clients_are_told_the_ttl(settings, site):
    publish(settings, FQRN, site, ttl=7)
    reader = opened(settings)
    reader.read()  # holds the catalog's TTL against the manifest's
    assert reader.manifest["D"] == "7"
    assert not publish(settings, FQRN, site, ttl=7).changed
    assert publish(settings, FQRN, site, ttl=8).changed


def test_the_last_revisions_have_tags(settings, site):
    for number in range(1, history.KEEP + 3):
        (site / "number").write_text(str(number))
        assert publish(settings, FQRN, site).revision == number
    found = repository.find(settings, FQRN)
    store, manifest = objects.Objects(found.web), found.manifest()
    tags = history.read(store.get(bytes.fromhex(manifest.history), objects.HISTORY))
    assert [tag.revision for tag in tags] == list(range(3, history.KEEP + 3))
    assert tags[-1].root == manifest.root


# -- the next revision -------------------------------------------------------
def test_nothing_is_read_or_written_when_nothing_changed(settings, site):
    publish(settings, FQRN, site)
    before = {path: path.stat().st_mtime_ns for path in (settings.repositories / FQRN).rglob("*")}
    done = publish(settings, FQRN, site)
    assert done == Publication(FQRN, 1, False, 7, done.bytes, 0, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in (settings.repositories / FQRN).rglob("*")} == before


def test_only_what_changed_is_written(settings, site):
    publish(settings, FQRN, site)
    reader = opened(settings)
    reader.read()
    before, catalogs = stored(settings), reader.catalogs.copy()
    (site / "a/deep/code.py").write_text("name = 'other'\n")
    done = publish(settings, FQRN, site)
    assert (done.revision, done.files_read) == (2, 1)
    assert opened(settings).read() == source(site)
    reader.read()
    assert {path for path, digest in reader.catalogs.items() if catalogs[path] != digest} == {"", "/a"}
    # the file, two catalogs and the history
    assert sorted(path.name[38:] for path in stored(settings) - before) == ["", "C", "C", "H"]


@pytest.mark.parametrize(
    "change",
    [
        lambda site: (site / "a/deep/code.py").unlink(),
        lambda site: (site / "a/deep/code.py").chmod(0o600),
        lambda site: (site / "a/.cvmfscatalog").unlink(),
        lambda site: (site / "empty").rename(site / "renamed"),
        lambda site: ((site / "empty").unlink(), (site / "empty").mkdir()),
        lambda site: os.utime(site / "b/deep/code.py", ns=(5, 5)),
    ],
    ids=["deleted", "mode", "marker", "renamed", "type", "time"],
)
def test_every_change_is_seen(settings, site, change):
    publish(settings, FQRN, site)
    change(site)
    assert publish(settings, FQRN, site).revision == 2
    assert opened(settings).read() == source(site)


def test_a_file_changed_in_place_under_its_old_time_is_seen(settings, site):
    publish(settings, FQRN, site)
    path = site / "a/deep/code.py"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text("name = 'z'\n")
    os.utime(path, ns=times)
    publish(settings, FQRN, site)
    assert opened(settings).read() == source(site)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"source": "", "root": "", "files": {"/a": 1}}'])
def test_a_journal_only_saves_work(settings, site, content):
    publish(settings, FQRN, site)
    journal = repository.find(settings, FQRN).journal
    journal.unlink() if content is None else journal.write_bytes(content)
    (site / "empty").write_text("not any more")
    done = publish(settings, FQRN, site)
    assert (done.revision, done.files_read) == (2, 7)
    assert opened(settings).read() == source(site)


def test_an_object_that_is_lost_is_stored_again(settings, site):
    publish(settings, FQRN, site)
    for path in stored(settings):
        if not path.name.endswith("H"):
            path.unlink()
    publish(settings, FQRN, site)
    assert opened(settings).read() == source(site)


# -- trust -------------------------------------------------------------------
def test_a_changed_byte_is_seen(settings, site):
    publish(settings, FQRN, site)
    reader = opened(settings)
    files = [settings.repositories / FQRN / name for name in (repository.MANIFEST, repository.WHITELIST)]
    for path in [*files, *stored(settings)]:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises((AssertionError, InvalidSignature, ValueError)):
            reader.read()
        path.write_bytes(content)
    reader.read()


def test_letters_of_another_repository_are_refused(settings, site):
    publish(settings, FQRN, site)
    publish(settings, "other.astro.example", site)
    stranger = keys.public(repository.find(settings, "other.astro.example").keys)
    with pytest.raises((AssertionError, InvalidSignature, ValueError)):
        Reader(folder(settings.repositories / FQRN), FQRN, stranger).read()


@pytest.mark.parametrize("sealed", [b"", b"Sa\n", b"S1\n--\n", b"S1\n--\n" + b"0" * 40 + b"\nx"])
def test_half_a_letter_is_told(sealed):
    with pytest.raises(letters.LetterError):
        letters.Manifest.read(sealed)


def test_keys_are_nobody_elses(settings, site):
    publish(settings, FQRN, site)
    private = repository.find(settings, FQRN).private
    assert not private.is_relative_to(settings.repositories)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (private / "keys").iterdir()} == {0o600}
    assert stat.S_IMODE((private / "keys").stat().st_mode) == stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_lost_key_is_told(settings, site):
    publish(settings, FQRN, site)
    (repository.find(settings, FQRN).keys / keys.SIGNING).unlink()
    (site / "new").touch()
    with pytest.raises(LocalcloudError, match=r"a key of repository t\.astro\.example .* is missing .*cvmfs remove"):
        publish(settings, FQRN, site)
    opened(settings).read()
    with pytest.raises(LocalcloudError, match="is missing"):
        check(settings)


def test_whitelists_are_renewed_well_before_they_expire(settings, site):
    publish(settings, FQRN, site)
    found, reader = repository.find(settings, FQRN), opened(settings)
    now = datetime.now(UTC)
    assert not found.renew(now + timedelta(hours=23))
    reader.now = now + timedelta(days=31)
    with pytest.raises(AssertionError, match="expired"):
        reader.read()
    assert found.renew(now + timedelta(days=2))
    reader.read()
    assert found.valid_until() > now + timedelta(days=31)


def test_a_fingerprint_is_not_taken_for_a_time():
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    sealed = letters.seal(letters.whitelist(FQRN, bytes.fromhex("e1" * 20), now), lambda digest: digest)
    assert (letters.written(sealed), letters.expiry(sealed)) == (now, now + letters.VALID)


@pytest.mark.parametrize("content", [None, b"", b"2026\n--\n"])
def test_a_whitelist_that_is_lost_is_made_again(settings, site, content):
    publish(settings, FQRN, site)
    path = settings.repositories / FQRN / repository.WHITELIST
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(LocalcloudError, match="is missing or damaged, so no client mounts it"):
        check(settings)
    assert repository.find(settings, FQRN).renew()
    opened(settings).read()
    assert check(settings) == f"{FQRN} (revision 1)"


# -- what goes wrong ---------------------------------------------------------
def listen_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import FileWrapper
from localcloud.cvmfs import objects, publish
from localcloud.settings import Settings
where, home, site = sys.argv[1:]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "sync":
    objects.sync = die
module = sys.modules["localcloud.cvmfs.publish"]
whole = module.replace
module.replace = lambda path, *rest: die() if path.name == where else whole(path, *rest)
publish(Settings.load(Path(home)), "t.astro.example", Path(site))
"""


@pytest.mark.parametrize("where", ["sync", ".cvmfs_last_snapshot", ".cvmfspublished"])
def test_a_killed_publication_leaves_the_revision_before(settings, site, where):
    publish(settings, FQRN, site)
    before = source(site)
    (site / "a/new").write_text("new")
    command = [sys.executable, "-c", KILLED, where, settings.home, site]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert opened(settings).read() == before
    done = publish(settings, FQRN, site)
    assert (done.revision, done.changed) == (2, True)
    assert opened(settings).read() == source(site)
    assert not (settings.repositories / FQRN / ".new").exists()


def test_a_first_publication_that_is_killed_is_none(settings, site):
    command = [sys.executable, "-c", KILLED, ".cvmfspublished", settings.home, site]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert repository.repositories(settings) == []
    assert publish(settings, FQRN, site).revision == 1
    assert opened(settings).read() == source(site)


def test_a_second_publication_at_once_is_told(settings, site):
    publish(settings, FQRN, site)
    with repository.find(settings, FQRN).locked():
        with pytest.raises(LocalcloudError, match="another process publishes or removes"):
            publish(settings, FQRN, site)
        with pytest.raises(LocalcloudError, match="another process publishes or removes"):
            repository.find(settings, FQRN).remove()
    assert not publish(settings, FQRN, site).changed


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "is a named pipe, which a CVMFS repository cannot hold"),
        (listen_at, "is a socket, which"),
        (lambda path: open(os.fsencode(path) + b"\xff", "w").close(), "is not UTF-8"),
        (lambda path: path.symlink_to(os.fsdecode(b"\xff")), "is not UTF-8"),
    ],
    ids=["pipe", "socket", "name", "target"],
)
def test_what_cannot_be_published_is_named(settings, site, monkeypatch, make, says):
    publish(settings, FQRN, site)
    monkeypatch.chdir(site / "a")
    make(Path("deep/thing"))
    with pytest.raises(LocalcloudError, match=rf"{re.escape(str(site))}/a/deep/thing.*{says}"):
        publish(settings, FQRN, site)
    assert repository.find(settings, FQRN).manifest().revision == 1


def test_a_folder_that_is_closed_to_others_is_refused(settings, site):
    site.chmod(0o750)
    with pytest.raises(LocalcloudError, match=r"closed to others \(mode 0750\).*chmod o\+rx"):
        publish(settings, FQRN, site)
    assert repository.repositories(settings) == []


def test_a_file_that_cannot_be_read_is_named(settings, site, monkeypatch):
    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error", str(site / "a/deep/code.py"))

    monkeypatch.setattr(tree.Tree, "_take", fails)
    with pytest.raises(LocalcloudError, match=r"a/deep/code\.py cannot be read \(Input/output error\)"):
        publish(settings, FQRN, site)
    assert repository.repositories(settings) == []


def test_a_full_disk_is_told(settings, site, monkeypatch):
    publish(settings, FQRN, site)
    before = source(site)
    (site / "new").write_text("new")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for where, name in ((Path, "write_bytes"), (objects, "sync")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, full)
            with pytest.raises(
                LocalcloudError, match=r"t\.astro\.example cannot be written \(No space left on device\)"
            ):
                publish(settings, FQRN, site)
        assert opened(settings).read() == before


def test_a_file_that_changes_meanwhile_is_told(settings, site, monkeypatch):
    whole = objects.Objects.put

    def put(self: objects.Objects, content: bytes, kind: str = "") -> bytes:
        with (site / "a/deep/code.py").open("a") as file:
            file.write("more\n")
        return whole(self, content, kind)

    monkeypatch.setattr(objects.Objects, "put", put)
    with pytest.raises(LocalcloudError, match=r"code\.py was changed while it was read"):
        publish(settings, FQRN, site)


@pytest.mark.parametrize(
    "fqrn", ["", "a", "A.b", "a..b", ".a.b", "a.b.", "-a.b", "a_b.c", "../a.b", "a.b/c", f"{'a' * 60}.b", "a.b\n"]
)
def test_names_that_cannot_be_are_refused(settings, site, fqrn):
    with pytest.raises(LocalcloudError, match="is no name of a CVMFS repository"):
        publish(settings, fqrn, site)


def test_folders_that_cannot_be_are_refused(settings, site):
    for path, says in (
        (site / "nowhere", "does not exist"),
        (site / "empty", "is not a folder"),
        (settings.home, "are in each other"),
        (settings.repositories / FQRN, "does not exist"),
        (settings.home.parent, "are in each other"),
    ):
        with pytest.raises(LocalcloudError, match=says):
            publish(settings, FQRN, path)
    with pytest.raises(LocalcloudError, match=r"there is no localcloud in .*say `localcloud up` first"):
        publish(Settings(site / "home"), FQRN, site)


@pytest.mark.parametrize("ttl", [0, -1, 86401])
def test_a_ttl_that_cannot_be_is_refused(settings, site, ttl):
    with pytest.raises(LocalcloudError, match=f"--ttl {ttl} is not in"):
        publish(settings, FQRN, site, ttl)


def test_a_damaged_manifest_is_told_and_not_written_over(settings, site):
    publish(settings, FQRN, site)
    (settings.repositories / FQRN / repository.MANIFEST).write_bytes(b"half")
    for what in (lambda: publish(settings, FQRN, site), lambda: check(settings)):
        with pytest.raises(LocalcloudError, match=r"cvmfspublished is damaged .*cvmfs remove"):
            what()


def test_a_removed_repository_is_gone(settings, site):
    publish(settings, FQRN, site)
    key = facts(settings)["repositories"][0]["public_key"]
    repository.find(settings, FQRN).remove()
    assert facts(settings)["repositories"] == []
    assert not (settings.repositories / FQRN).exists()
    assert not (settings.repository_keys / FQRN).exists()
    with pytest.raises(LocalcloudError, match=r"has no CVMFS repository t\.astro\.example; it has none"):
        repository.find(settings, FQRN)
    assert publish(settings, FQRN, site).revision == 1
    assert facts(settings)["repositories"][0]["public_key"] != key


def test_what_no_revision_needs_is_freed(settings, site, monkeypatch):
    monkeypatch.setattr(history, "KEEP", 2)
    monkeypatch.setattr(tree, "CHUNK", 150)
    monkeypatch.setattr(tree, "LARGE", 150)
    for number in range(4):
        (site / "a/number").write_text(str(number))
        (site / "large").write_text(str(number) * 200)
        publish(settings, FQRN, site)
    before, found = stored(settings), repository.find(settings, FQRN)
    (site / "a/number").write_text("4")
    publish(settings, FQRN, site)
    last = opened(settings).fetch(repository.MANIFEST)
    (site / "a/number").write_text("5")
    publish(settings, FQRN, site)
    # of revisions 1 to 4 a file, two chunks (the last one's are in use) and two catalogs
    assert collect(found)[0] == 4 + 3 * 2 + 4 * 2
    assert collect(found) == (0, 0)
    assert opened(settings).read() == source(site)
    assert before - stored(settings)
    (found.web / repository.MANIFEST).write_bytes(last)
    assert opened(settings).read().keys() == source(site).keys(), "the revision before is whole, too"


def test_nothing_is_freed_while_a_catalog_is_missing(settings, site):
    publish(settings, FQRN, site)
    (site / "empty").unlink()
    publish(settings, FQRN, site)
    found = repository.find(settings, FQRN)
    path = next(path for path in stored(settings) if path.name.endswith("C"))
    path.unlink()
    before = stored(settings)
    with pytest.raises(LocalcloudError, match="is missing or damaged"):
        collect(found)
    assert stored(settings) == before


# -- what is told ------------------------------------------------------------
def test_clients_are_told_what_they_need(settings, site):
    publish(settings, FQRN, site)
    told = facts(settings)
    assert told["proxies"] == ["http://10.207.0.1:3828"]
    (said,) = told["repositories"]
    assert (said["fqrn"], said["server_urls"]) == (FQRN, ["http://10.207.0.1:8700/cvmfs/@fqrn@"])
    Reader(folder(settings.repositories / FQRN), FQRN, said["public_key"]).read()
    described = describe(repository.find(settings, FQRN))
    assert (described["revision"], described["source"], described["ttl"]) == (1, str(site), 60)


class Asked(NamedTuple):
    """What the stratum answered."""

    status: str
    headers: dict[str, str]
    body: bytes


def ask(settings: Settings, path: str, **environ: str) -> Asked:
    said: list[Any] = []
    given = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.file_wrapper": FileWrapper, **environ}
    body = Stratum(settings.repositories)(given, lambda status, headers: said.extend((status, dict(headers))))
    content = b"".join(body)
    if isinstance(body, FileWrapper):
        body.close()
    return Asked(said[0], said[1], content)


def test_the_stratum_serves_repositories_and_nothing_else(settings, site):
    publish(settings, FQRN, site)

    def fetch(name: str) -> bytes:
        answer = ask(settings, f"/cvmfs/{FQRN}/{name}")
        assert answer.status == "200 OK"
        return answer.body

    assert Reader(fetch, FQRN, opened(settings).public_key).read() == source(site)
    (settings.repositories / "secret").write_text("x")
    for path in (
        "/cvmfs",
        "/cvmfs/",
        f"/cvmfs/{FQRN}",
        f"/cvmfs/{FQRN}/",
        f"/cvmfs/{FQRN}/data",
        f"/cvmfs/{FQRN}/data/00/",
        f"/cvmfs/{FQRN}/data/00/{'0' * 38}",
        "/cvmfs/secret",
        f"/cvmfs/../private/{FQRN}/keys/master.key",
        f"/cvmfs/{FQRN}/../../private/{FQRN}/journal.json",
        f"/cvmfs/..%2fprivate%2f{FQRN}/.cvmfspublished",
        "/cvmfs/nobody.astro.example/.cvmfspublished",
    ):
        answer = ask(settings, path)
        assert (answer.status, answer.headers["Cache-Control"]) == ("404 Not Found", "no-store"), path
    assert ask(settings, f"/cvmfs/{FQRN}/.cvmfspublished", REQUEST_METHOD="POST").status == "405 Method Not Allowed"


def test_objects_are_kept_for_long_and_letters_are_not(settings, site):
    publish(settings, FQRN, site)
    name = next(path for path in stored(settings) if path.name.endswith("C")).relative_to(settings.repositories)
    answer = ask(settings, f"/cvmfs/{name}", REQUEST_METHOD="HEAD")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (int(answer.headers["Content-Length"]), answer.body) == ((settings.repositories / name).stat().st_size, b"")
    letter = f"/cvmfs/{FQRN}/.cvmfspublished"
    answer = ask(settings, letter)
    assert answer.headers["Cache-Control"] == "public, max-age=5"
    again = {"HTTP_IF_NONE_MATCH": answer.headers["ETag"]}
    same = ask(settings, letter, **again)
    assert (same.status, same.body, same.headers["ETag"]) == ("304 Not Modified", b"", answer.headers["ETag"])
    (site / "new").touch()
    publish(settings, FQRN, site)  # most likely in the same second
    assert ask(settings, letter, **again).status == "200 OK"


def test_the_stratum_keeps_whitelists_valid(settings, site, capsys):
    publish(settings, FQRN, site)
    publish(settings, "other.astro.example", site)
    repository.find(settings, FQRN).renew(datetime.now(UTC) - timedelta(days=29))
    (settings.repositories / "other.astro.example" / repository.WHITELIST).unlink()
    (settings.repository_keys / "other.astro.example/keys" / keys.MASTER).unlink()
    renew(settings)
    assert repository.find(settings, FQRN).valid_until() > datetime.now(UTC) + timedelta(days=29)
    said = capsys.readouterr().out.splitlines()
    assert "the whitelist of other.astro.example was not renewed: a key of repository" in said[0]
    assert said[1] == f"renewed the whitelist of {FQRN}"


def test_squid_asks_the_stratum_alone(settings):
    lines = squid.configuration(settings).splitlines()
    assert "http_port 10.207.0.1:3828" in lines
    assert [line for line in lines if line.startswith("http_access")] == [
        "http_access deny !users",
        "http_access deny CONNECT",
        "http_access allow stratum port",
        "http_access deny all",
    ]
    assert {"acl stratum dstdomain -n 10.207.0.1", "acl port port 8700"} <= set(lines)
    assert "acl users src 10.207.0.0/16 10.236.0.0/14" in lines


# -- the demo repository -----------------------------------------------------
@pytest.fixture
def prebuilt(tmp_path: Path, site: Path) -> Path:
    (tmp_path / "built").mkdir()
    Prebuilt.make(tmp_path / "built", site)
    return tmp_path / "built"


def test_the_demo_is_signed_by_each_cloud(settings, tmp_path, prebuilt, site):
    other = Settings(tmp_path / "other", 6)
    for cloud in (settings, other):
        cloud.save()
        assert demo.publish_demo(cloud, prebuilt) == 1
        assert demo.publish_demo(cloud, prebuilt) is None
        assert opened(cloud, demo.FQRN).read() == source(site)
    texts = {facts(cloud)["repositories"][0]["public_key"] for cloud in (settings, other)}
    assert len(texts) == 2
    built = {path.stat().st_ino for path in (prebuilt / "data").rglob("*")}
    kept = {path.stat().st_ino for path in (settings.repositories / demo.FQRN / "data").rglob("??/*") if path.is_file()}
    assert len(kept - built) == 3, "not linked: more than the root catalog, the history and the certificate"


def test_a_damaged_repository_keeps_no_other_from_the_cloud(settings, prebuilt, site):
    publish(settings, FQRN, site)
    found = repository.find(settings, FQRN)
    (found.web / repository.WHITELIST).unlink()
    (found.keys / keys.MASTER).write_text("half")
    told: list[str] = []
    prepare(settings, prebuilt, told.append)
    assert "a key of repository t.astro.example" in told[0]
    assert told[1:] == ["published the CVMFS repository sw.astro.example, revision 1"]
    assert opened(settings, demo.FQRN).read() == source(site)


def test_a_newer_demo_is_the_next_revision(settings, tmp_path, prebuilt, site):
    demo.publish_demo(settings, prebuilt)
    (site / "newer").touch()
    (tmp_path / "again").mkdir()
    Prebuilt.make(tmp_path / "again", site)
    assert demo.publish_demo(settings, tmp_path / "again") == 2
    assert opened(settings, demo.FQRN).read() == source(site)


def test_a_users_own_demo_stays(settings, prebuilt, site):
    (site / "mine").touch()
    publish(settings, demo.FQRN, site)
    assert demo.publish_demo(settings, prebuilt) is None
    assert opened(settings, demo.FQRN).read() == source(site)


def test_a_copy_serves_where_there_are_no_hard_links(settings, prebuilt, site, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    demo.publish_demo(settings, prebuilt)
    assert opened(settings, demo.FQRN).read() == source(site)


def test_the_demo_has_the_numpy_of_the_images():
    spark = (Path(__file__).parents[2] / "images/spark/requirements.txt").read_text()
    (version,) = re.findall(r"^numpy==(\S+)", spark, re.MULTILINE)
    text = demo_repository.REQUIREMENTS.read_text()
    assert re.search(rf"^numpy=={re.escape(version)} \\$", text, re.MULTILINE)
    assert {"astropy", "healpy"} <= set(re.findall(r"^([a-z-]+)==", text, re.MULTILINE))
