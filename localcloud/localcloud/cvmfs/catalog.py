"""Catalogs: what lies in a repository, as SQLite databases that clients read. And the history of revisions."""

import hashlib
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

from localcloud.cvmfs.contents import Content
from localcloud.cvmfs.tree import Entry

_FOLDER, _MOUNTPOINT, _FILE, _LINK, _ROOT_OF_NESTED, _CHUNKED = 1, 2, 4, 8, 32, 64
_FOLDER_BYTES = 4096
# Whoever reads a repository sees root as the owner of everything.
_OWNER = (0, 0)
# What clients count, in a catalog itself and in all that are nested in it.
_COUNTERS = (
    "regular", "symlink", "special", "dir", "nested", "chunked", "chunks", "file_size", "chunked_size", "xattr",
    "external", "external_file_size",
)  # fmt: skip

_CATALOG = """
PRAGMA page_size = 4096;
CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key));
CREATE TABLE catalog (
  md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hardlinks INTEGER, hash BLOB, size INTEGER,
  mode INTEGER, mtime INTEGER, mtimens INTEGER, flags INTEGER, name TEXT, symlink TEXT, uid INTEGER, gid INTEGER,
  xattr BLOB, CONSTRAINT pk_catalog PRIMARY KEY (md5path_1, md5path_2));
CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2);
CREATE TABLE chunks (
  md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB,
  CONSTRAINT pk_chunks PRIMARY KEY (md5path_1, md5path_2, offset, size),
  FOREIGN KEY (md5path_1, md5path_2) REFERENCES catalog (md5path_1, md5path_2));
CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER, CONSTRAINT pk_nested_catalogs PRIMARY KEY (path));
CREATE TABLE bind_mountpoints (path TEXT, sha1 TEXT, size INTEGER, CONSTRAINT pk_bind_mountpoints PRIMARY KEY (path));
CREATE TABLE statistics (counter TEXT, value INTEGER, CONSTRAINT pk_statistics PRIMARY KEY (counter));
"""
_HISTORY = """
PRAGMA page_size = 4096;
CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key));
CREATE TABLE branches (
  branch TEXT, parent TEXT, initial_revision INTEGER, CONSTRAINT pk_branch PRIMARY KEY (branch),
  FOREIGN KEY (parent) REFERENCES branches (branch),
  CHECK ((branch <> '') OR (parent IS NULL)), CHECK ((branch = '') OR (parent IS NOT NULL)));
INSERT INTO branches (branch, parent, initial_revision) VALUES ('', NULL, 0);
CREATE TABLE tags (
  name TEXT, hash TEXT, revision INTEGER, timestamp INTEGER, channel INTEGER, description TEXT, size INTEGER,
  branch TEXT, CONSTRAINT pk_tags PRIMARY KEY (name), FOREIGN KEY (branch) REFERENCES branches (branch));
CREATE TABLE recycle_bin (hash TEXT, flags INTEGER, CONSTRAINT pk_hash PRIMARY KEY (hash));
"""
_TAGS_KEPT = 50


class Reference(NamedTuple):
    """Where a catalog is found.

    Attributes:
        path: The folder whose catalog it is.
        hash: Its hash.
        size: Its size.
    """

    path: str
    hash: str
    size: int


class Tables(NamedTuple):
    """What a catalog says of a tree, whichever revision it belongs to: equal where nothing has changed."""

    entries: list[tuple[Any, ...]]
    chunks: list[tuple[Any, ...]]
    nested: list[Reference]
    ttl: str | None


class Catalog:
    """The catalog of a folder, and of all below it that has none of its own.

    Args:
        root: The folder.
        ttl: For how many seconds clients need not ask again; the root catalog says so.
    """

    def __init__(self, root: Entry, ttl: int | None = None) -> None:
        self.path = root.path
        self._ttl = None if ttl is None else str(ttl)
        self._entries: list[tuple[Any, ...]] = []
        self._chunks: list[tuple[Any, ...]] = []
        self._nested: list[Reference] = []
        self._own: Counter[str] = Counter()
        self._below: Counter[str] = Counter()
        self._add(root, _FOLDER | (_ROOT_OF_NESTED if root.path else 0))
        self._own["dir"] += 1

    @property
    def counts(self) -> Counter[str]:
        """What is in it, and in all catalogs that are nested in it."""
        return self._own + self._below

    def add_folder(self, entry: Entry) -> None:
        """Adds a folder."""
        self._add(entry, _FOLDER)
        self._own["dir"] += 1

    def add_nested(self, entry: Entry, reference: Reference, counts: Counter[str]) -> None:
        """Adds a folder that has a catalog of its own."""
        self._add(entry, _FOLDER | _MOUNTPOINT)
        self._nested.append(reference)
        self._own.update(dir=1, nested=1)
        self._below.update(counts)

    def add_link(self, entry: Entry) -> None:
        """Adds a symbolic link."""
        self._add(entry, _FILE | _LINK)
        self._own["symlink"] += 1

    def add_file(self, entry: Entry, content: Content) -> None:
        """Adds a file."""
        size, spans = entry.info.st_size, content.spans(entry.info.st_size)
        self._add(entry, _FILE | (_CHUNKED if spans else 0), content.hash and bytes.fromhex(content.hash))
        self._chunks += [(*_key(entry.path), *span, bytes.fromhex(hash_)) for *span, hash_ in spans]
        self._own.update(regular=1, file_size=size)
        if spans:
            self._own.update(chunked=1, chunks=len(spans), chunked_size=size)

    def _add(self, entry: Entry, flags: int, hash_: bytes | str | None = None) -> None:
        info = entry.info
        parent = _key(entry.path.rpartition("/")[0]) if entry.path else (0, 0)
        links, size = 1, info.st_size
        if entry.is_folder:
            links, size = 2 + sum(child.is_folder for child in entry.children.values()), _FOLDER_BYTES
        seconds, nanoseconds = divmod(info.st_mtime_ns, 10**9)
        name = entry.path.rpartition("/")[2]
        row = (*_key(entry.path), *parent, links, hash_, size, info.st_mode, seconds, nanoseconds, flags, name)
        self._entries.append((*row, entry.target, *_OWNER, None))

    def tables(self) -> Tables:
        """Returns what it says."""
        return Tables(sorted(self._entries, key=_first_two), sorted(self._chunks), sorted(self._nested), self._ttl)

    def image(self, revision: int, previous: str, now: int) -> bytes:
        """Returns it as a database.

        Args:
            revision: The first revision that it belongs to.
            previous: The hash of the catalog that it follows, empty where there is none.
            now: The time, in seconds since 1970.
        """
        properties = {"revision": revision, "schema": "2.5", "schema_revision": 7}
        properties |= {"last_modified": now, "previous_revision": previous}
        properties |= {"root_prefix": self.path} if self.path else {}
        properties |= {"TTL": self._ttl} if self._ttl is not None else {}
        tables = self.tables()
        with closing(sqlite3.connect(":memory:")) as database:
            database.executescript(_CATALOG)
            _insert(database, "properties", [(key, str(value)) for key, value in properties.items()])
            _insert(database, "catalog", tables.entries)
            _insert(database, "chunks", tables.chunks)
            _insert(database, "nested_catalogs", tables.nested)
            for prefix, counts in (("self", self._own), ("subtree", self._below)):
                _insert(database, "statistics", [(f"{prefix}_{name}", counts[name]) for name in _COUNTERS])
            database.commit()
            return database.serialize()


def read(image: bytes) -> Tables:
    """Returns what a catalog says."""
    with closing(_open(image)) as database:
        entries = database.execute("SELECT * FROM catalog").fetchall()
        chunks = database.execute("SELECT * FROM chunks").fetchall()
        nested = [Reference(*row) for row in database.execute("SELECT * FROM nested_catalogs")]
        ttl = database.execute("SELECT value FROM properties WHERE key = 'TTL'").fetchone()
    return Tables(sorted(entries, key=_first_two), sorted(chunks), sorted(nested), ttl and ttl[0])


def history(before: bytes | None, fqrn: str, revision: int, catalog: Reference, now: int) -> bytes:
    """Returns the history of a repository, with a tag of the current revision; clients ask for one.

    Args:
        before: The history so far.
        fqrn: The name of the repository.
        revision: The current revision.
        catalog: Its root catalog.
        now: The time, in seconds since 1970.
    """
    tags: list[tuple[Any, ...]] = []
    if before is not None:
        with closing(_open(before)) as database:
            tags = database.execute("SELECT * FROM tags ORDER BY revision").fetchall()
    tags.append((f"revision-{revision}", catalog.hash, revision, now, 0, "", catalog.size, ""))
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_HISTORY)
        _insert(database, "properties", [("schema", "1.0"), ("schema_revision", "3"), ("fqrn", fqrn)])
        _insert(database, "tags", tags[-_TAGS_KEPT:])
        database.commit()
        return database.serialize()


def _open(image: bytes) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.deserialize(image)
    return database


def _insert(database: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)  # noqa: S608  names are ours


def _key(path: str) -> tuple[int, int]:
    """Returns the two halves by which a path is found."""
    first, second = struct.unpack("<qq", hashlib.md5(path.encode(), usedforsecurity=False).digest())
    return first, second


def _first_two(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:2]
