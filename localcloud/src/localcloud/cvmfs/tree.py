"""Walks a folder: its files become objects, its folders catalogs."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs import catalog, objects
from localcloud.cvmfs.catalog import Catalog, Chunk, Nested, stamp
from localcloud.cvmfs.journal import Journal, Known, Written
from localcloud.cvmfs.objects import Objects
from localcloud.prerequisites import LocalcloudError

OTHERS = stat.S_IROTH | stat.S_IXOTH
"""What everybody needs to list a folder."""

MARKER = ".cvmfscatalog"
"""A file of this name gives its folder a catalog of its own, as CernVM-FS has it."""

CHUNK = 8 << 20
"""Bytes of a chunk."""

LARGE = 16 << 20
"""Bytes above which a file is kept in chunks; no less than a chunk, so that there are two or more."""


@dataclass(frozen=True)
class Root:
    """The root catalog of a folder, which belongs to no revision yet.

    Attributes:
        database: What `catalog.stamp` completes.
        fingerprint: Of all that the folder holds.
        files: How many files there are.
        bytes: Their size.
    """

    database: bytes
    fingerprint: str
    files: int
    bytes: int


class Tree:
    """One walk through a folder.

    Args:
        source: The folder.
        store: Takes the objects.
        revision: Number that new nested catalogs get.
        last: What the last publication noted; files that are as they were then are not read again.

    Attributes:
        journal: What this publication notes.
        read: How many files were read.
    """

    def __init__(self, source: Path, store: Objects, revision: int, last: Journal) -> None:
        self._source, self._store, self._revision, self._last = str(source), store, revision, last
        self.journal = Journal()
        self.read = 0

    def walk(self) -> Root:
        """Store everything, and return the root catalog.

        Raises:
            LocalcloudError: Something cannot be published; names it.
        """
        root = Catalog("")
        try:
            self._folder(root, "", self._top(), 0)
        except OSError as error:
            raise LocalcloudError(
                f"{error.filename or self._source} cannot be read ({error.strerror}), so nothing was published; "
                "make it readable, or leave it out, and publish again"
            ) from None
        self.journal.root = root.fingerprint()
        return Root(root.database(), self.journal.root, root.total["regular"], root.total["file_size"])

    def _top(self) -> os.stat_result:
        status = os.lstat(self._source)
        if status.st_mode & OTHERS != OTHERS:
            raise LocalcloudError(
                f"{self._source} is closed to others (mode {stat.S_IMODE(status.st_mode):04o}), and so would be all of "
                f"the repository, so nothing was published; `chmod o+rx {self._source}`, and publish again"
            )
        return status

    def _folder(self, into: Catalog, path: str, status: os.stat_result, flags: int) -> int:
        """Add a folder and all below it to a catalog; return how many folders are right in it."""
        with os.scandir(self._source + path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        folders = sum(entry.is_dir(follow_symlinks=False) for entry in entries)
        into.add_folder(path, status, flags, folders)
        statuses = {_utf8(entry.name, entry.path): entry.stat(follow_symlinks=False) for entry in entries}
        links = _hard_links(statuses, into)
        for name, found in statuses.items():
            self._entry(into, f"{path}/{name}", found, links.get(name, 1))
        return folders

    def _entry(self, into: Catalog, path: str, status: os.stat_result, links: int) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._subfolder(into, path, status)
        elif stat.S_ISLNK(status.st_mode):
            place = self._source + path
            into.add_link(path, status, _utf8(str(Path(place).readlink()), place))
        elif stat.S_ISREG(status.st_mode):
            into.add_file(path, status, self._content(path, status), links)
        else:
            raise LocalcloudError(
                f"{self._source}{path} is {_kind(status.st_mode)}, which a CVMFS repository cannot hold, so nothing "
                "was published; remove it or leave it out, and publish again"
            )

    def _subfolder(self, into: Catalog, path: str, status: os.stat_result) -> None:
        if not _regular(f"{self._source}{path}/{MARKER}"):
            self._folder(into, path, status, 0)
            return
        own = Catalog(path)
        folders = self._folder(own, path, status, catalog.ROOT)
        into.add_folder(path, status, catalog.MOUNT_POINT, folders)
        into.add_nested(self._nested(own), own.total)

    def _nested(self, own: Catalog) -> Nested:
        """Store a nested catalog, unless the last publication's says the same."""
        fingerprint = own.fingerprint()
        last = self._last.catalogs.get(own.path)
        if last is None or last.fingerprint != fingerprint or not self._store.has(last.digest, objects.CATALOG):
            database = stamp(own.database(), {"revision": self._revision})
            last = Written(fingerprint, self._store.put(database, objects.CATALOG), len(database))
        self.journal.catalogs[own.path] = last
        return Nested(own.path, last.digest, last.size)

    def _content(self, path: str, status: os.stat_result) -> list[Chunk]:
        """Return the parts of a file; it is read if it was not known."""
        state = Known.state_of(status)
        last = self._last.files.get(path)
        if last is None or last.state != state or not self._has(last.digests):
            last = Known(state, self._take(path, status))
            self.read += 1
        self.journal.files[path] = last
        if len(last.digests) == 1:
            return [Chunk(0, status.st_size, last.digests[0])]
        sizes = [min(CHUNK, status.st_size - offset) for offset in range(0, status.st_size, CHUNK)]
        return [Chunk(i * CHUNK, *part) for i, part in enumerate(zip(sizes, last.digests, strict=True))]

    def _has(self, digests: list[bytes]) -> bool:
        kind = objects.FILE if len(digests) == 1 else objects.CHUNK
        return all(self._store.has(digest, kind) for digest in digests)

    def _take(self, path: str, status: os.stat_result) -> list[bytes]:
        """Store a file that must not change meanwhile; return the hashes of its parts."""
        with open(self._source + path, "rb") as file:
            if status.st_size <= LARGE:
                digests = [self._store.put(file.read())]
            else:
                parts = iter(lambda: file.read(CHUNK), b"")
                digests = [self._store.put(part, objects.CHUNK) for part in parts]
            if Known.state_of(os.fstat(file.fileno())) != Known.state_of(status):
                raise LocalcloudError(
                    f"{self._source}{path} was changed while it was read, so nothing was published; "
                    "publish again when nobody writes there"
                )
        return digests


def _hard_links(statuses: dict[str, os.stat_result], into: Catalog) -> dict[str, int]:
    """Return the field ``hardlinks`` of the names in one folder that are the same file as others there.

    It is how many they are and, above 32 bits, a number that no other such group of the catalog has. Names in
    other folders are files of their own, as with CernVM-FS's own tools.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for name, status in statuses.items():
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            names.setdefault((status.st_dev, status.st_ino), []).append(name)
    groups = [same for same in names.values() if len(same) > 1]
    fields = [(same, (into.new_group() << 32) | len(same)) for same in groups]
    return {name: field for same, field in fields for name in same}


def _utf8(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LocalcloudError(
            f"the name or target {os.fsencode(text)!r} at {os.fsencode(path)!r} is not UTF-8, so nothing was "
            "published; rename it, and publish again"
        ) from None
    return text


def _regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
