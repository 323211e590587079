"""The history of a repository: a database of tags, one for each of its last revisions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from localcloud.cvmfs.catalog import database

KEEP = 10
"""How many revisions have a tag, the last ones."""

_TABLES = """
PRAGMA page_size = 4096;
CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key));
CREATE TABLE branches (
    branch TEXT, parent TEXT, initial_revision INTEGER,
    CONSTRAINT pk_branch PRIMARY KEY (branch),
    FOREIGN KEY (parent) REFERENCES branches (branch),
    CHECK ((branch <> '') OR (parent IS NULL)),
    CHECK ((branch = '') OR (parent IS NOT NULL)));
CREATE TABLE tags (
    name TEXT, hash TEXT, revision INTEGER, timestamp INTEGER, channel INTEGER, description TEXT, size INTEGER,
    branch TEXT,
    CONSTRAINT pk_tags PRIMARY KEY (name),
    FOREIGN KEY (branch) REFERENCES branches (branch));
CREATE TABLE recycle_bin (hash TEXT, flags INTEGER, CONSTRAINT pk_hash PRIMARY KEY (hash));
"""


@dataclass(frozen=True)
class Tag:
    """A revision that can be named.

    Attributes:
        root: Hash of its root catalog, in hexadecimal.
        revision: Its number.
        published: When, in seconds since 1970.
        size: Bytes of the root catalog's database.
    """

    root: str
    revision: int
    published: int
    size: int


def write(fqrn: str, tags: list[Tag]) -> bytes:
    """Return the database of a repository's tags."""
    properties: list[tuple[object, ...]] = [("schema", "1.0"), ("schema_revision", "3"), ("fqrn", fqrn)]
    rows: list[tuple[object, ...]] = [
        (f"revision-{tag.revision}", tag.root, tag.revision, tag.published, 0, "", tag.size, "") for tag in tags[-KEEP:]
    ]
    return database(_TABLES, {"properties": properties, "branches": [("", None, 0)], "tags": rows})


def read(content: bytes) -> list[Tag]:
    """Return the tags of a database, the oldest first."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        rows = connection.execute("SELECT hash, revision, timestamp, size FROM tags ORDER BY revision")
        return [Tag(*row) for row in rows]
