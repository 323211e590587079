"""CVMFS trusts nobody on the way: whatever is changed there is refused, told, and never read."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Cloud, run
from kube import Kubectl, throughout
from repositories import (
    DEMO,
    PLACE,
    TTL,
    Readers,
    client_log,
    flat,
    object_of,
    on_nodes,
    options,
    publish,
    remove,
    sha256,
    told,
)
from site_yml import CLUSTER, playbook

CHANGED = "changed.astro.example"
EIO = "Input/output error"

EXPIRED = """
import sys
from datetime import UTC, datetime, timedelta
from localcloud.cvmfs import keys
from localcloud.cvmfs.letters import VALID, seal, whitelist
from localcloud.cvmfs.repository import WHITELIST, find
from localcloud.settings import Settings
repository = find(Settings.load(), sys.argv[1])
its = keys.read(repository.keys)
text = whitelist(repository.fqrn, its.fingerprint, datetime.now(UTC) - VALID - timedelta(hours=2))
(repository.web / WHITELIST).write_bytes(seal(text, its.sign_whitelist))
"""
"""Signs, as the publisher would, a whitelist that ended two hours ago."""


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def readers(kubectl: Kubectl) -> Iterator[Readers]:
    assert "failed=0" in playbook(part="cvmfs").text
    yield Readers(kubectl)
    kubectl("delete", "namespace", PLACE)


def web(cloud: Cloud, fqrn: str) -> Path:
    """Return the folder of a repository that the stratum serves."""
    (found,) = (cloud.home / "state/cvmfs/www").glob(f"**/{fqrn}")
    return found


def replace(path: Path, content: bytes) -> None:
    """Put another content in a file's place, as somebody would who holds the server."""
    path.unlink()
    path.write_bytes(content)


def test_letters_that_cannot_be_trusted_are_refused(
    cloud: Cloud, readers: Readers, kubectl: Kubectl, tmp_path: Path
) -> None:
    """An edited manifest, an expired whitelist, another one's key: none is mounted, and the role says which and why."""
    (tmp_path / "file").write_text("not to be seen\n")
    edited, expired, foreign = names = [f"{name}.astro.example" for name in ("edited", "expired", "foreign")]
    try:
        for fqrn in names:
            publish(fqrn, tmp_path)
        manifest = web(cloud, edited) / ".cvmfspublished"
        replace(manifest, manifest.read_bytes().replace(b"\nS1\n", b"\nS2\n", 1))
        run(str(REPOSITORY / "localcloud/.venv/bin/python"), "-c", EXPIRED, expired)
        declared = {repository["fqrn"]: repository for repository in told()["repositories"]}
        declared[foreign]["public_key"] = declared[DEMO]["public_key"]
        asked = options(cvmfs_repositories=[declared[name] for name in (DEMO, *names)], cvmfs_timeout=40)
        result = playbook(*asked, part="cvmfs", check=False)
        said, log = flat(result.text), client_log(kubectl)
        assert result.code == 2
        for fqrn in names:
            assert f"repository {fqrn} on node {CLUSTER}-" in said
            assert fqrn in log
        assert f"repository {DEMO} on node" not in said
        paths = [f"/cvmfs/{fqrn}/file" for fqrn in names]
        assert all(sha256(b"not to be seen\n") not in read for read in readers.read(*paths))
    finally:
        remove(*names)
        assert "failed=0" in playbook(part="cvmfs").text


def test_objects_that_were_changed_are_refused(
    cloud: Cloud, readers: Readers, kubectl: Kubectl, tmp_path: Path
) -> None:
    """Replaced, truncated, a catalog replaced: an error for who reads it, a line in the log, and the rest is right."""
    chance = random.Random(3)
    contents = {name: chance.randbytes(50_000) for name in ("good", "replaced", "truncated", "hidden/file")}
    (tmp_path / "deep/hidden").mkdir(parents=True)
    (tmp_path / "first").write_text("read by the role\n")
    for name, content in contents.items():
        (tmp_path / "deep" / name).write_bytes(content)
    (tmp_path / "deep/hidden/.cvmfscatalog").touch()
    publish(CHANGED, tmp_path)
    evil = b"evil " * 10_000
    replace(object_of(cloud, CHANGED, contents["replaced"]), zlib.compress(evil))
    cut = object_of(cloud, CHANGED, contents["truncated"])
    replace(cut, cut.read_bytes()[:1000])
    manifest = (web(cloud, CHANGED) / ".cvmfspublished").read_text(errors="replace")
    catalogs = web(cloud, CHANGED).glob("data/*/*C")
    nested, root = sorted(catalogs, key=lambda path: path.parent.name + path.name.removesuffix("C") in manifest)
    replace(nested, root.read_bytes())
    with on_nodes(CHANGED):
        paths = [f"/cvmfs/{CHANGED}/deep/{name}" for name in contents]
        for read in readers.read(*paths):
            assert read == [sha256(contents["good"]), EIO, EIO, EIO]
        log = client_log(kubectl)
        for name in ("deep/replaced", "deep/truncated", "deep/hidden"):
            assert any(CHANGED in line and name in line for line in log.splitlines()), log


def test_a_revision_that_cannot_be_trusted_changes_nothing(
    cloud: Cloud, readers: Readers, kubectl: Kubectl, tmp_path: Path
) -> None:
    """A manifest that is edited while pods read: they go on with the revision before, and a good one is taken."""
    fqrn = "later.astro.example"
    (tmp_path / "file").write_text("one\n")
    publish(fqrn, tmp_path)
    path = f"/cvmfs/{fqrn}/file"
    with on_nodes(fqrn):
        readers.eventually_read("the first revision", path, sha256(b"one\n"))
        (tmp_path / "file").write_text("two\n")
        publish(fqrn, tmp_path)
        manifest = web(cloud, fqrn) / ".cvmfspublished"
        good = manifest.read_bytes()
        replace(manifest, good.replace(b"\nS2\n", b"\nS9\n", 1))
        (tmp_path / "file").write_text("three\n")
        signed = [[sha256(b"one\n")], [sha256(b"two\n")]]
        throughout(
            "pods to read what was signed", lambda: all(read in signed for read in readers.read(path)), 4.0 * TTL
        )
        replace(manifest, good)
        publish(fqrn, tmp_path)
        readers.eventually_read("a good revision", path, sha256(b"three\n"), seconds=TTL + 75)
        assert any(fqrn in line and "manifest is refused" in line for line in client_log(kubectl).splitlines())
