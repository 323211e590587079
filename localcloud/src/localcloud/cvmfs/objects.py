"""The object store of a repository: files named by the SHA-1 of their zlib stream.

New objects wait in a folder beside it until all of them are on the disk. So whatever has its final name is whole,
also after a power cut, and a killed publication leaves nothing that a later one could take for an object.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from localcloud.prerequisites import LocalcloudError

FILE, CATALOG, HISTORY, CERTIFICATE, CHUNK = "", "C", "H", "X", "P"
"""What an object is, as its name's last letter tells."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def sync(folder: Path) -> None:
    """Return when everything that was written to a folder's file system is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


class Objects:
    """The objects below one folder.

    Args:
        folder: Has, or gets, the folder ``data``.

    Attributes:
        written: How many objects were new so far.
        bytes_written: Their size, compressed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._new = folder / ".new"
        self.written = self.bytes_written = 0

    def path(self, digest: bytes, kind: str = FILE) -> Path:
        """Return where an object is, or would be."""
        name = digest.hex()
        return self.folder / "data" / name[:2] / f"{name[2:]}{kind}"

    def has(self, digest: bytes, kind: str = FILE) -> bool:
        """Whether an object is there, or waits to be."""
        return self.path(digest, kind).exists() or self._waiting(digest, kind).exists()

    def put(self, content: bytes, kind: str = FILE) -> bytes:
        """Take an object, unless it is there.

        Args:
            content: Not compressed.
            kind: What it is.

        Returns:
            Its hash.

        Raises:
            LocalcloudError: It cannot be written.
        """
        packed = zlib.compress(content)
        digest = hashlib.sha1(packed, usedforsecurity=False).digest()
        if not self.has(digest, kind):
            waiting = self._waiting(digest, kind)
            with self.writing():
                waiting.parent.mkdir(parents=True, exist_ok=True)
                waiting.write_bytes(packed)
            self.written += 1
            self.bytes_written += len(packed)
        return digest

    def get(self, digest: bytes, kind: str = FILE) -> bytes:
        """Return an object's content.

        Raises:
            LocalcloudError: It is not there, or not what its name says.
        """
        path = self.path(digest, kind)
        try:
            packed = path.read_bytes()
            if hashlib.sha1(packed, usedforsecurity=False).digest() != digest:
                raise ValueError("its SHA-1 is not its name")
            return zlib.decompress(packed)
        except (OSError, ValueError, zlib.error) as error:
            raise LocalcloudError(
                f"{path} is missing or damaged ({error}); restore it from a backup, or say "
                f"`localcloud cvmfs remove {self.folder.name}` and publish anew"
            ) from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Tell of a disk that is full, and the like.

        Raises:
            LocalcloudError: Names the folder and the remedy.
        """
        try:
            yield
        except OSError as error:
            raise LocalcloudError(
                f"{error.filename or self.folder} cannot be written ({error.strerror}), so {self.folder.name} is as it "
                "was before; make room or mend it, and publish again"
            ) from None

    @contextlib.contextmanager
    def publication(self) -> Iterator[None]:
        """Begin with nothing that waits, and leave nothing: `commit` is what keeps it."""
        shutil.rmtree(self._new, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(self._new, ignore_errors=True)

    def commit(self) -> None:
        """Give all new objects their names, after their content is on the disk; both are when this returns."""
        sync(self.folder)
        for folder in sorted(self._new.iterdir()) if self._new.exists() else ():
            target = self.folder / "data" / folder.name
            target.mkdir(parents=True, exist_ok=True)
            for waiting in folder.iterdir():
                waiting.rename(target / waiting.name)
        sync(self.folder)

    def link_from(self, other: Objects) -> None:
        """Take all objects of another store that are not there, by hard links where the file system allows."""
        for folder in sorted((other.folder / "data").iterdir()):
            there = self.folder / "data" / folder.name
            waiting = self._new / folder.name
            waiting.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if not (there / path.name).exists():
                    _link(path, waiting / path.name)
                    self.written += 1
                    self.bytes_written += path.stat().st_size

    def _waiting(self, digest: bytes, kind: str) -> Path:
        name = digest.hex()
        return self._new / name[:2] / f"{name[2:]}{kind}"


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)
