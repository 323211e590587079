"""Publishes a folder as the next revision of a repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs import history, keys, objects
from localcloud.cvmfs.catalog import stamp
from localcloud.cvmfs.journal import Journal
from localcloud.cvmfs.letters import Manifest, seal
from localcloud.cvmfs.objects import Objects
from localcloud.cvmfs.repository import LETTERS, MANIFEST, Repository, named
from localcloud.cvmfs.tree import Root, Tree
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import KEPT, Settings
from localcloud.state import replace

TTL = 60
"""Seconds after which clients look for a newer revision, unless a publication says otherwise."""

LONGEST_TTL = 24 * 3600


@dataclass(frozen=True)
class Publication:
    """What a publication did.

    Attributes:
        fqrn: Name of the repository.
        revision: Number of the current revision.
        changed: Whether it is new; otherwise everything was as it is published.
        files: How many files it has.
        bytes: Their size.
        files_read: How many were read.
        objects_written: How many objects were new.
        bytes_written: Their size, compressed.
    """

    fqrn: str
    revision: int
    changed: bool
    files: int
    bytes: int
    files_read: int
    objects_written: int
    bytes_written: int


def publish(settings: Settings, fqrn: str, source: Path, ttl: int = TTL) -> Publication:
    """Publish a folder.

    Args:
        settings: Of the localcloud, which need not be up.
        fqrn: Name of the repository; it is made if it does not exist.
        source: The folder.
        ttl: Seconds after which clients look for a newer revision.

    Raises:
        LocalcloudError: The name, the folder or something in it cannot be published, or another publication runs.
    """
    repository = named(settings, fqrn)
    check_ttl(ttl)
    source = _checked(settings, source)

    def fill(store: Objects, revision: int, last: Journal) -> Filled:
        tree = Tree(source, store, revision, last)
        root = tree.walk()
        tree.journal.source = str(source)
        return Filled(root, tree.journal, tree.read)

    return release(repository, fill, ttl)


@dataclass(frozen=True)
class Filled:
    """What is to be published.

    Attributes:
        root: The root catalog.
        journal: What to note.
        read: How many files were read.
    """

    root: Root
    journal: Journal
    read: int = 0


def release(repository: Repository, fill: Callable[[Objects, int, Journal], Filled], ttl: int) -> Publication:
    """Make the next revision of a repository, unless nothing changed.

    The manifest is replaced when all else is on the disk: a publication that is killed leaves the revision before.

    Args:
        repository: Which one.
        fill: Fills its object store, for a revision of this number, knowing what the last publication noted.
        ttl: Seconds after which clients look for a newer revision.

    Raises:
        LocalcloudError: Another publication runs, or the repository is damaged.
    """
    with repository.locked():
        repository.web.mkdir(parents=True, exist_ok=True)
        store = Objects(repository.web)
        before = repository.manifest()
        if before is None:
            keys.make(repository.keys, repository.fqrn)
        last = Journal.read(repository.journal)
        revision = before.revision + 1 if before else 1
        with store.publication(), store.writing():
            filled = fill(store, revision, last)
            same = before is not None and filled.root.fingerprint == last.root and ttl == before.ttl
            if before is not None and same and store.has(bytes.fromhex(before.root), objects.CATALOG):
                revision = before.revision
            else:
                same = False
                _sign(repository, store, filled.root, revision, ttl, before)
        repository.renew()
        filled.journal.write(repository.journal)
        root = filled.root
        written = (store.written, store.bytes_written)
        return Publication(repository.fqrn, revision, not same, root.files, root.bytes, filled.read, *written)


def _sign(repository: Repository, store: Objects, root: Root, revision: int, ttl: int, before: Manifest | None) -> None:
    """Store what makes a root catalog a revision, then let the manifest name it."""
    mine, now = keys.read(repository.keys), int(time.time())
    # clients take the TTL from here, not from the manifest
    properties = {"revision": revision, "TTL": ttl, "last_modified": now}
    database = stamp(root.database, {**properties, "previous_revision": before.root if before else ""})
    name = store.put(database, objects.CATALOG).hex()
    tags = history.read(store.get(bytes.fromhex(before.history), objects.HISTORY)) if before else []
    tags.append(history.Tag(name, revision, now, len(database)))
    tagged = store.put(history.write(repository.fqrn, tags), objects.HISTORY).hex()
    certificate = store.put(mine.certificate, objects.CERTIFICATE).hex()
    store.commit()
    repository.renew()
    for letter in LETTERS[2:]:
        said = time.strftime("%a %d %b %H:%M:%S UTC %Y\n", time.gmtime(now)) if letter == LETTERS[2] else ""
        replace(repository.web / letter, said.encode(), 0o644)
    text = Manifest(repository.fqrn, revision, name, len(database), tagged, certificate, ttl, now).text()
    replace(repository.web / MANIFEST, seal(text, mine.sign_manifest), 0o644)


def check_ttl(ttl: int) -> None:
    """Refuse a TTL that is none.

    Raises:
        LocalcloudError: It is too short or too long.
    """
    if not 1 <= ttl <= LONGEST_TTL:
        raise LocalcloudError(f"--ttl {ttl} is not in 1..{LONGEST_TTL} seconds; the default is {TTL}")


def _checked(settings: Settings, source: Path) -> Path:
    """Return a folder's real path, if it can be published."""
    home = settings.home.resolve()
    if not (home / KEPT).exists():
        raise LocalcloudError(f"there is no localcloud in {home}; say `localcloud up` first, or give its --home")
    if not source.is_dir():
        found = "is not a folder" if source.exists() else "does not exist"
        raise LocalcloudError(f"{source} {found}; give the folder whose content is to be published")
    source = source.resolve()
    if source.is_relative_to(home) or home.is_relative_to(source):
        raise LocalcloudError(
            f"{source} and the localcloud's own folder {home} are in each other; give a folder elsewhere"
        )
    return source
