"""A reader of CVMFS repositories that believes nothing: it checks every signature, hash, counter and path.

It knows the format by its definition and shares no code with the publisher.
"""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Fetch = Callable[[str], bytes]


def folder(path: Path) -> Fetch:
    """Return what fetches from a repository's folder."""
    return lambda name: (path / name).read_bytes()


@dataclass(frozen=True)
class Entry:
    """What a path is: the same for a repository and for its source."""

    mode: int
    size: int | None
    mtime: tuple[int, int]
    owner: tuple[int, int]
    target: str = ""
    content: str = ""


def source(root: Path) -> dict[str, Entry]:
    """Return the entries of a folder."""
    found = {"": _described(root)}
    for path in root.rglob("*"):
        found[f"/{path.relative_to(root)}"] = _described(path)
    return found


def _described(path: Path) -> Entry:
    status = path.lstat()
    link, regular = stat.S_ISLNK(status.st_mode), stat.S_ISREG(status.st_mode)
    return Entry(
        status.st_mode,
        None if stat.S_ISDIR(status.st_mode) else status.st_size,
        divmod(status.st_mtime_ns, 10**9),
        (status.st_uid, status.st_gid),
        str(path.readlink()) if link else "",
        hashlib.sha256(path.read_bytes()).hexdigest() if regular else "",
    )


@dataclass
class Reader:
    """Reads one repository.

    Attributes:
        fetch: Returns a file by its name below the repository's URL.
        fqrn: Its name.
        public_key: In PEM.
        now: The time, for the whitelist.
        catalogs: Hashes of the catalogs that were read, by path.
        hardlinks: The field of that name, by path.
    """

    fetch: Fetch
    fqrn: str
    public_key: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    catalogs: dict[str, str] = field(default_factory=dict)
    hardlinks: dict[str, int] = field(default_factory=dict)
    manifest: dict[str, str] = field(default_factory=dict)

    def read(self) -> dict[str, Entry]:
        """Return all entries."""
        self.manifest = self._manifest(self._allowed())
        assert self.manifest["N"] == self.fqrn
        found: dict[str, Entry] = {}
        self._catalog("", self.manifest["C"], int(self.manifest["B"]), found)
        self._history()
        return found

    def object(self, digest: str, kind: str = "") -> bytes:
        """Return an object."""
        packed = self.fetch(f"data/{digest[:2]}/{digest[2:]}{kind}")
        assert hashlib.sha1(packed).hexdigest() == digest, f"object {digest}{kind}"
        return zlib.decompress(packed)

    def _allowed(self) -> str:
        """Return the fingerprint of the whitelist."""
        text, digest, signature = _opened(self.fetch(".cvmfswhitelist"))
        key = serialization.load_pem_public_key(self.public_key.encode())
        assert isinstance(key, rsa.RSAPublicKey)
        # the block as RSA_public_decrypt gives it: no name of a hash in it
        assert key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == digest, "whitelist"
        lines = text.decode().splitlines()
        expires = datetime.strptime(lines[1], "E%Y%m%d%H%M%S").replace(tzinfo=UTC)
        assert self.now < expires, "whitelist has expired"
        assert lines[2] == f"N{self.fqrn}"
        return lines[3]

    def _manifest(self, allowed: str) -> dict[str, str]:
        text, digest, signature = _opened(self.fetch(".cvmfspublished"))
        fields = {line[0]: line[1:] for line in text.decode().splitlines()}
        certificate = x509.load_pem_x509_certificate(self.object(fields["X"], "X"))
        assert certificate.fingerprint(hashes.SHA1()).hex(":").upper() == allowed, "certificate"
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, digest, padding.PKCS1v15(), hashes.SHA1())
        return fields

    def _history(self) -> None:
        connection = _opened_database(self.object(self.manifest["H"], "H"))
        (tag,) = connection.execute("SELECT hash, size FROM tags WHERE revision = ?", [self.manifest["S"]])
        assert tuple(tag) == (self.manifest["C"], int(self.manifest["B"]))

    def _catalog(self, path: str, digest: str, size: int, found: dict[str, Entry]) -> Counter[str]:
        """Read a catalog and those below; return the counters of all."""
        self.catalogs[path] = digest
        database = self.object(digest, "C")
        assert len(database) == size
        connection = _opened_database(database)
        properties = dict(connection.execute("SELECT key, value FROM properties"))
        assert properties["schema"] == "2.5"
        assert properties.get("root_prefix", "") == path
        if not path:
            assert properties["revision"] == self.manifest["S"]
            assert properties["TTL"] == self.manifest["D"]
        nested = {row["path"]: row for row in connection.execute("SELECT * FROM nested_catalogs")}
        rows = {_key(row["md5path_1"], row["md5path_2"]): row for row in connection.execute("SELECT * FROM catalog")}
        own = self._entries(path, rows, nested, connection, found)
        total = Counter(own)
        for below, row in nested.items():
            total += self._catalog(below, row["sha1"], row["size"], found)
        statistics = dict(connection.execute("SELECT counter, value FROM statistics"))
        for name in ("regular", "symlink", "dir", "nested", "chunked", "chunks", "file_size", "chunked_size"):
            assert statistics[f"self_{name}"] == own[name], (path, name)
            assert statistics[f"subtree_{name}"] == total[name], (path, name)
        return total

    def _entries(
        self,
        root: str,
        rows: dict[bytes, Any],
        nested: dict[str, Any],
        connection: sqlite3.Connection,
        found: dict[str, Entry],
    ) -> Counter[str]:
        own: Counter[str] = Counter(nested=len(nested))
        children: dict[bytes, list[Any]] = {}
        for row in rows.values():
            children.setdefault(_key(row["parent_1"], row["parent_2"]), []).append(row)
        waiting = [root]
        seen = 0
        while waiting:
            path = waiting.pop()
            row = rows[_hash(path)]
            seen += 1
            assert row["name"] == path.rpartition("/")[2]
            below = children.get(_hash(path), [])
            folder, link = row["flags"] & 1, row["flags"] & 8
            assert bool(row["flags"] & 32) == (path == root != ""), "root of a nested catalog"
            assert bool(row["flags"] & 2) == (path in nested), "mount point of a nested catalog"
            self.hardlinks[path] = row["hardlinks"]
            if folder:
                own["dir"] += 1
                if path not in nested:
                    waiting += [f"{path}/{other['name']}" for other in below]
                    assert row["hardlinks"] == 2 + sum(other["flags"] & 1 for other in below), path
            elif link:
                own["symlink"] += 1
            else:
                own.update(regular=1, file_size=row["size"])
            content = "" if folder or link else self._content(row, connection, own)
            owner, times = (row["uid"], row["gid"]), (row["mtime"], row["mtimens"])
            size = None if folder else row["size"]
            found[path] = Entry(row["mode"], size, times, owner, row["symlink"], content)
        assert seen == len(rows), "entries that no path leads to"
        return own

    def _content(self, row: Any, connection: sqlite3.Connection, own: Counter[str]) -> str:
        if not row["flags"] & 64:
            whole = self.object(row["hash"].hex())
            assert len(whole) == row["size"]
            return hashlib.sha256(whole).hexdigest()
        question = "SELECT * FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset"
        digest, end = hashlib.sha256(), 0
        for chunk in connection.execute(question, [row["md5path_1"], row["md5path_2"]]):
            part = self.object(chunk["hash"].hex(), "P")
            assert (chunk["offset"], chunk["size"]) == (end, len(part))
            digest.update(part)
            end += len(part)
            own["chunks"] += 1
        assert end == row["size"]
        own.update(chunked=1, chunked_size=end)
        return digest.hexdigest()


def _opened(letter: bytes) -> tuple[bytes, bytes, bytes]:
    end = letter.index(b"--\n")
    text, digest, signature = letter[:end], letter[end + 3 : end + 43], letter[end + 44 :]
    assert hashlib.sha1(text).hexdigest().encode() == digest, "letter"
    return text, digest, signature


def _opened_database(content: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.row_factory = sqlite3.Row
    return connection


def _hash(path: str) -> bytes:
    return hashlib.md5(path.encode()).digest()


def _key(first: int, second: int) -> bytes:
    return first.to_bytes(8, "little", signed=True) + second.to_bytes(8, "little", signed=True)
