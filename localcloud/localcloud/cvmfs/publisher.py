"""Publishes a tree as the next revision of a repository.

The repository is the only record of what was published: each revision starts from the catalogs of the one before.
Objects are stored first, and the manifest that names them is replaced last, so that clients see one whole revision or
the other.
"""

import datetime
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs import catalog, files, letters
from localcloud.cvmfs.catalog import Catalog, Reference
from localcloud.cvmfs.contents import Content, Contents
from localcloud.cvmfs.keys import Keys
from localcloud.cvmfs.letters import Manifest
from localcloud.cvmfs.repository import Repository
from localcloud.cvmfs.store import CATALOG, CERTIFICATE, HISTORY, Added, Store
from localcloud.cvmfs.tree import Entry, scan
from localcloud.errors import LocalcloudError
from localcloud.home import lock


@dataclass(frozen=True)
class Publication:
    """What a publication came to.

    Attributes:
        revision: The revision that is served now.
        changed: Whether it is a new one.
        entries: How many files, folders and symbolic links it has.
        size: The bytes of its files.
        added: What was added to the store.
    """

    revision: int
    changed: bool
    entries: int
    size: int
    added: Added


def publish(repository: Repository, folder: Path, ttl: int, now: datetime.datetime) -> Publication:
    """Publishes a tree; where it is what is served, nothing but the whitelist may change.

    Args:
        repository: The repository; who else publishes it meanwhile waits.
        folder: Where the tree lies.
        ttl: For how many seconds clients need not ask for a newer revision.
        now: The time.

    Raises:
        LocalcloudError: The tree cannot be published.
    """
    try:
        return _publish(repository, folder, ttl, now)
    except OSError as error:  # a disk is full, or a file went meanwhile
        raise LocalcloudError(
            f"{repository.fqrn} was not published: {error}.",
            remedy="Mend that, and publish again; until then, clients see the revision before.",
        ) from error


def _publish(repository: Repository, folder: Path, ttl: int, now: datetime.datetime) -> Publication:
    root = scan(folder)
    repository.root.mkdir(parents=True, exist_ok=True)
    with lock(repository.root), closing(Store(repository.root)) as store:
        keys = Keys.of(repository)
        before = Manifest.read(repository)
        contents = Contents(store, repository.index, folder)
        revision = _Revision(store, before, contents.put(entry for entry in root.walk() if entry.is_file), now)
        made, counts = revision.publish(root, ttl)
        certificate = store.put(keys.certificate, CERTIFICATE)
        manifest = before
        if manifest is None or (manifest.catalog, manifest.certificate) != (made.hash, certificate):
            manifest = revision.manifest(repository.fqrn, made, ttl, certificate)
        added = store.commit()
        contents.remember()
        letters.renew(repository, keys, now)
        if manifest is not before:
            files.write(repository.manifest, manifest.signed(keys))
    entries = counts["regular"] + counts["symlink"] + counts["dir"] - counts["nested"]  # which are in two catalogs
    return Publication(manifest.revision, manifest is not before, entries, counts["file_size"], added)


class _Revision:
    """The revision that follows another."""

    def __init__(
        self, store: Store, before: Manifest | None, contents: dict[str, Content], now: datetime.datetime
    ) -> None:
        self._store, self._before, self._contents, self._now = store, before, contents, int(now.timestamp())
        self._old: dict[str, tuple[Reference, catalog.Tables]] = {}
        self._number = 1
        if before is not None:
            self._number = before.revision + 1
            self._read(Reference("", before.catalog, before.catalog_size))

    def _read(self, reference: Reference) -> None:
        """Reads a catalog of the revision before, and those nested in it."""
        tables = catalog.read(self._store.get(reference.hash, CATALOG))
        self._old[reference.path] = reference, tables
        for nested in tables.nested:
            self._read(nested)

    def publish(self, root: Entry, ttl: int | None = None) -> tuple[Reference, Counter[str]]:
        """Stores the catalog of a folder, and those nested in it; a catalog that says the same as before stays.

        Args:
            root: The folder.
            ttl: What the root catalog says beside.

        Returns:
            Where the catalog is found, and what it counts.
        """
        made = Catalog(root, ttl)
        self._fill(made, root)
        old, tables = self._old.get(root.path, (None, None))
        if old is not None and tables == made.tables():
            return old, made.counts
        image = made.image(self._number, old.hash if old else "", self._now)
        return Reference(root.path, self._store.put(image, CATALOG), len(image)), made.counts

    def _fill(self, made: Catalog, folder: Entry) -> None:
        for entry in folder.children.values():
            if entry.is_nested:
                made.add_nested(entry, *self.publish(entry))
            elif entry.is_folder:
                made.add_folder(entry)
                self._fill(made, entry)
            elif entry.is_file:
                made.add_file(entry, self._contents[entry.path])
            else:
                made.add_link(entry)

    def manifest(self, fqrn: str, root: Reference, ttl: int, certificate: str) -> Manifest:
        """Stores the history with this revision; returns its manifest."""
        before = self._store.get(self._before.history, HISTORY) if self._before else None
        history = catalog.history(before, fqrn, self._number, root, self._now)
        return Manifest(
            fqrn=fqrn,
            revision=self._number,
            ttl=ttl,
            catalog=root.hash,
            catalog_size=root.size,
            certificate=certificate,
            history=self._store.put(history, HISTORY),
            published=self._now,
        )
