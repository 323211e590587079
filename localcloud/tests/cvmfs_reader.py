"""Reads a repository as a client does, from what is served and the public master key: no code of ours."""

import hashlib
import sqlite3
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


@dataclass(frozen=True)
class Found:
    """What a tree has at a path."""

    mode: int
    mtime_ns: int
    content: bytes | None  # that of a file
    target: str | None  # that of a symbolic link


def tree(folder: Path) -> dict[str, Found]:
    """Returns a tree of the disk, by path."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        info = path.lstat()
        found["" if path == folder else f"/{path.relative_to(folder)}"] = Found(
            info.st_mode,
            info.st_mtime_ns,
            path.read_bytes() if stat.S_ISREG(info.st_mode) else None,
            str(path.readlink()) if stat.S_ISLNK(info.st_mode) else None,
        )
    return found


class Reader:
    """A client of a repository, which trusts a master key."""

    def __init__(self, root: Path, fqrn: str, public_key: bytes, now: datetime) -> None:
        self.root = root
        master = serialization.load_pem_public_key(public_key)
        assert isinstance(master, rsa.RSAPublicKey)
        lines = self._whitelist(master).splitlines()
        assert lines[1].startswith("E")
        self.expiry = datetime.strptime(lines[1][1:], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        assert self.expiry > now
        assert lines[2] == f"N{fqrn}"
        body, digest, signature = self._letter(".cvmfspublished")
        self.manifest = {line[0]: line[1:] for line in body.splitlines()}
        assert self.manifest["N"] == fqrn
        certificate = x509.load_pem_x509_certificate(self.object(self.manifest["X"], "X"))
        assert certificate.fingerprint(hashes.SHA1()).hex(":").upper() in lines[3:]  # noqa: S303
        signer = certificate.public_key()
        assert isinstance(signer, rsa.RSAPublicKey)
        signer.verify(signature, digest, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        self.catalogs: dict[str, str] = {}

    def _letter(self, name: str) -> tuple[str, bytes, bytes]:
        body, _, rest = (self.root / name).read_bytes().partition(b"--\n")
        digest, signature = rest[:40], rest[41:]
        assert hashlib.sha1(body).hexdigest().encode() == digest  # noqa: S324
        return body.decode(), digest, signature

    def _whitelist(self, master: rsa.RSAPublicKey) -> str:
        body, digest, signature = self._letter(".cvmfswhitelist")
        numbers = master.public_numbers()
        block = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(256, "big")
        assert block == b"\x00\x01" + b"\xff" * (256 - 43) + b"\x00" + digest
        return body

    def object(self, name: str, kind: str = "") -> bytes:
        """Returns what an object holds, and checks that it is the one of that name."""
        stored = (self.root / "data" / name[:2] / f"{name[2:]}{kind}").read_bytes()
        assert hashlib.sha1(stored).hexdigest() == name  # noqa: S324
        return zlib.decompress(stored)

    def query(self, name: str, kind: str, sql: str) -> list[Any]:
        """Asks a catalog, or the history."""
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(self.object(name, kind))
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return database.execute(sql).fetchall()

    def tree(self) -> dict[str, Found]:
        """Returns the repository's tree, by path, as a client walks it: from the root, by parents' hashes."""
        return dict(self._catalog("", self.manifest["C"]))

    def _catalog(self, root: str, name: str) -> Iterator[tuple[str, Found]]:
        self.catalogs[root] = name
        nested = {path: hash_ for path, hash_, _ in self.query(name, "C", "SELECT * FROM nested_catalogs")}
        chunks: dict[tuple[int, int], list[Any]] = {}
        for first, second, *chunk in self.query(name, "C", "SELECT * FROM chunks ORDER BY offset"):
            chunks.setdefault((first, second), []).append(chunk)
        rows: dict[tuple[int, int], list[Any]] = {}
        for row in self.query(name, "C", "SELECT * FROM catalog"):
            rows.setdefault((row[2], row[3]), []).append(row)

        def below(path: str) -> Iterator[tuple[str, Found]]:
            for row in rows.get(_md5(path), []):
                child = f"{path}/{row[11]}"
                assert row[:2] == _md5(child)
                if row[10] & 2:
                    yield from self._catalog(child, nested.pop(child))
                else:
                    yield child, self._found(row, chunks.get(row[:2], []))
                    yield from below(child)

        (own,) = (row for group in rows.values() for row in group if row[:2] == _md5(root))
        assert bool(own[10] & 32) == bool(root)
        assert own[2:4] == (_md5(root.rpartition("/")[0]) if root else (0, 0))
        yield root, self._found(own, [])
        yield from below(root)
        assert nested == {}

    def _found(self, row: Any, chunks: list[Any]) -> Found:
        hash_, size, mode, mtime, mtime_ns, flags, _, target = row[5:13]
        kind = {stat.S_IFDIR: 1, stat.S_IFREG: 4, stat.S_IFLNK: 12}[stat.S_IFMT(mode)]
        assert flags & 13 == kind
        assert bool(flags & 64) == bool(chunks)
        content = None
        if kind == 4:
            content = b""
            for offset, length, chunk in chunks:
                assert offset == len(content)
                content += self.object(chunk.hex(), "P")
                assert len(content) == offset + length
            content = content if chunks else self.object(hash_.hex())
            assert len(content) == size
        return Found(mode, mtime * 10**9 + mtime_ns, content, target if kind == 12 else None)


def _md5(path: str) -> tuple[int, int]:
    first, second = struct.unpack("<qq", hashlib.md5(path.encode()).digest())  # noqa: S324
    return first, second
