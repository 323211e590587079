"""Catalogs: SQLite databases that say what is in the folders of a repository, schema 2.5 of CernVM-FS.

A catalog describes a folder and all below it, up to folders that have catalogs of their own (nested ones). Paths
are stored as MD5 hashes. The counters of a catalog are for itself (``self_``) and for all below it (``subtree_``).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

FOLDER, MOUNT_POINT, FILE, LINK, ROOT, CHUNKED = 1, 2, 4, 8, 32, 64
"""Flags of an entry; a nested catalog's folder is MOUNT_POINT in the catalog above and ROOT in its own."""

FOLDER_SIZE = 4096
"""What every folder is said to be long."""

COUNTERS = (
    "regular",
    "symlink",
    "special",
    "dir",
    "nested",
    "chunked",
    "chunks",
    "file_size",
    "chunked_size",
    "xattr",
    "external",
    "external_file_size",
)

SCHEMA = {"schema": "2.5", "schema_revision": "7"}

_TABLES = """
PRAGMA page_size = 4096;
CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key));
CREATE TABLE catalog (
    md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hardlinks INTEGER, hash BLOB,
    size INTEGER, mode INTEGER, mtime INTEGER, mtimens INTEGER, flags INTEGER, name TEXT, symlink TEXT,
    uid INTEGER, gid INTEGER, xattr BLOB,
    CONSTRAINT pk_catalog PRIMARY KEY (md5path_1, md5path_2));
CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2);
CREATE TABLE chunks (
    md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB,
    CONSTRAINT pk_chunks PRIMARY KEY (md5path_1, md5path_2, offset, size),
    FOREIGN KEY (md5path_1, md5path_2) REFERENCES catalog (md5path_1, md5path_2));
CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER, CONSTRAINT pk_nested_catalogs PRIMARY KEY (path));
CREATE TABLE bind_mountpoints (path TEXT, sha1 TEXT, size INTEGER, CONSTRAINT pk_bind_mountpoints PRIMARY KEY (path));
CREATE TABLE statistics (counter TEXT, value INTEGER, CONSTRAINT pk_statistics PRIMARY KEY (counter));
"""


def path_hash(path: str) -> tuple[int, int]:
    """Return the MD5 of a path as two signed numbers, little end first.

    Args:
        path: From the repository's root, as ``/a/b``; empty for the root itself.
    """
    first, second = struct.unpack("<qq", hashlib.md5(path.encode(), usedforsecurity=False).digest())
    return first, second


@dataclass(frozen=True)
class Chunk:
    """A part of a large file; ``digest`` names its object."""

    offset: int
    size: int
    digest: bytes


@dataclass(frozen=True)
class Nested:
    """A catalog below another one.

    Attributes:
        path: Its folder.
        digest: Names its object.
        size: Bytes of its database.
    """

    path: str
    digest: bytes
    size: int


@dataclass
class Catalog:
    """A catalog that is being filled.

    Attributes:
        path: Its folder; empty for the root.
        entries: Rows of its entries.
        chunks: Rows of the chunks of its files.
        nested: Catalogs right below it.
        own: Counters of itself.
        below: Counters of all catalogs below it.
        groups: How many groups of hard links it has.
    """

    path: str
    entries: list[tuple[object, ...]] = field(default_factory=list)
    chunks: list[tuple[object, ...]] = field(default_factory=list)
    nested: list[Nested] = field(default_factory=list)
    own: Counter[str] = field(default_factory=Counter)
    below: Counter[str] = field(default_factory=Counter)
    groups: int = 0

    @property
    def total(self) -> Counter[str]:
        """Counters of itself and of all below it."""
        return self.own + self.below

    def add_folder(self, path: str, status: os.stat_result, flags: int, folders: int) -> None:
        """Add a folder.

        Args:
            path: From the repository's root.
            status: Of the source.
            flags: Beside FOLDER.
            folders: How many folders are right in it.
        """
        self._add(path, status, FOLDER | flags, 2 + folders, size=FOLDER_SIZE)
        self.own["dir"] += 1

    def add_link(self, path: str, status: os.stat_result, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, status, FILE | LINK, 1, size=len(target.encode()), target=target)
        self.own["symlink"] += 1

    def add_file(self, path: str, status: os.stat_result, content: list[Chunk], links: int) -> None:
        """Add a file.

        Args:
            path: From the repository's root.
            status: Of the source.
            content: One part; or several, which are objects of the kind for chunks.
            links: Number of hard links, and above 32 bits a number that those of one file share.
        """
        whole = content[0].digest if len(content) == 1 else None
        self._add(path, status, FILE if whole else FILE | CHUNKED, links, size=status.st_size, digest=whole)
        self.own.update(regular=1, file_size=status.st_size)
        if not whole:
            self.chunks += [(*path_hash(path), chunk.offset, chunk.size, chunk.digest) for chunk in content]
            self.own.update(chunked=1, chunks=len(content), chunked_size=status.st_size)

    def add_nested(self, nested: Nested, total: Counter[str]) -> None:
        """Note a catalog below, whose counters are ``total``; its folder is an entry of its own."""
        self.nested.append(nested)
        self.own["nested"] += 1
        self.below += total

    def new_group(self) -> int:
        """Return the number of a new group of hard links."""
        self.groups += 1
        return self.groups

    def _add(
        self,
        path: str,
        status: os.stat_result,
        flags: int,
        links: int,
        *,
        size: int,
        digest: bytes | None = None,
        target: str = "",
    ) -> None:
        above, _, name = path.rpartition("/")
        parent = path_hash(above) if path else (0, 0)
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        owner = (status.st_uid, status.st_gid, None)
        times = (status.st_mode, seconds, nanoseconds)
        self.entries.append((*path_hash(path), *parent, links, digest, size, *times, flags, name, target, *owner))

    def fingerprint(self) -> str:
        """Return a hash of all that it says, which is the same as long as nothing below its folder changes."""
        nested = [(catalog.path, catalog.digest, catalog.size) for catalog in self.nested]
        said = repr((SCHEMA, self.entries, self.chunks, nested))
        return hashlib.sha256(said.encode()).hexdigest()

    def database(self) -> bytes:
        """Return it as a database, which `stamp` completes."""
        statistics = [(f"self_{name}", self.own[name]) for name in COUNTERS]
        statistics += [(f"subtree_{name}", self.own[name] + self.below[name]) for name in COUNTERS]
        nested = [(catalog.path, catalog.digest.hex(), catalog.size) for catalog in self.nested]
        properties = {**SCHEMA, **({"root_prefix": self.path} if self.path else {})}
        rows: dict[str, Sequence[tuple[object, ...]]] = {
            "properties": list(properties.items()),
            "catalog": self.entries,
            "chunks": self.chunks,
            "nested_catalogs": nested,
            "statistics": statistics,
        }
        return database(_TABLES, rows)


def stamp(content: bytes, properties: Mapping[str, object]) -> bytes:
    """Return a catalog's database with more properties: ``revision`` and ``TTL``, say."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        rows = [(name, str(value)) for name, value in properties.items()]
        connection.executemany("INSERT OR REPLACE INTO properties VALUES (?, ?)", rows)
        connection.commit()
        return connection.serialize()


def database(tables: str, rows: Mapping[str, Sequence[tuple[object, ...]]]) -> bytes:
    """Return an SQLite database.

    Args:
        tables: SQL that makes its tables.
        rows: Of each table by name.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(tables)
        for table, lines in rows.items():
            if lines:
                places = ", ".join("?" * len(lines[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", lines)  # noqa: S608
        connection.commit()
        connection.execute("VACUUM")
        return connection.serialize()


@dataclass(frozen=True)
class Contents:
    """What a catalog needs of the object store.

    Attributes:
        files: Objects of whole files.
        chunks: Objects of chunks.
        nested: Objects of the catalogs right below it.
    """

    files: set[bytes]
    chunks: set[bytes]
    nested: set[bytes]


def contents(content: bytes) -> Contents:
    """Return what a catalog's database names."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        files = {row[0] for row in connection.execute("SELECT hash FROM catalog WHERE hash IS NOT NULL")}
        chunks = {row[0] for row in connection.execute("SELECT hash FROM chunks")}
        nested = {bytes.fromhex(row[0]) for row in connection.execute("SELECT sha1 FROM nested_catalogs")}
    return Contents(files, chunks, nested)
