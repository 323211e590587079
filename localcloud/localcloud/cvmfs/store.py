"""The objects of a repository, each found by the hash of what it holds."""

import hashlib
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs import files
from localcloud.errors import LocalcloudError

# What an object is, beside the content of a file; the letters end its name.
CATALOG, CHUNK, CERTIFICATE, HISTORY = "C", "P", "X", "H"
_STAGING = ".new."


@dataclass(frozen=True)
class Added:
    """What was added to a store.

    Attributes:
        objects: How many objects.
        size: Their bytes, as they are stored.
    """

    objects: int
    size: int


class Store:
    """The objects of a repository, and those that are to become its own.

    New objects lie in a folder of their own until they are all on the disk: what has an object's place is whole,
    whatever ends the publisher or the machine. One publisher at a time may use a store; its threads may put at once.

    Args:
        root: The folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        self._data = root / "data"
        self._data.mkdir(exist_ok=True)
        for left in self._data.glob(f"{_STAGING}*"):  # by a publisher that was killed
            shutil.rmtree(left)
        self._staging = Path(tempfile.mkdtemp(dir=self._data, prefix=_STAGING))

    def put(self, content: bytes, kind: str = "") -> str:
        """Adds an object, if it is not there.

        Args:
            content: What it holds.
            kind: What it is.

        Returns:
            Its hash.
        """
        compressed = zlib.compress(content)
        hash_ = hashlib.sha1(compressed, usedforsecurity=False).hexdigest()
        staged = self._staging / f"{hash_}{kind}"
        if not self._path(hash_, kind).exists() and not staged.exists():
            with tempfile.NamedTemporaryFile(dir=self._staging, prefix=".", delete=False) as file:
                file.write(compressed)
                os.fchmod(file.fileno(), 0o644)
            Path(file.name).replace(staged)  # another thread may be putting the same
        return hash_

    def has(self, hash_: str, kind: str = "") -> bool:
        """Returns whether an object of earlier revisions is there."""
        return self._path(hash_, kind).exists()

    def get(self, hash_: str, kind: str) -> bytes:
        """Returns what an object of earlier revisions holds.

        Raises:
            LocalcloudError: It is not there, or damaged.
        """
        path = self._path(hash_, kind)
        compressed = path.read_bytes() if path.exists() else b""
        if hashlib.sha1(compressed, usedforsecurity=False).hexdigest() != hash_:
            raise LocalcloudError(
                f"The object {path} is {'damaged' if compressed else 'missing'}.",
                remedy=f"Remove {self._data.parent}, and publish again.",
            )
        return zlib.decompress(compressed)

    def commit(self) -> Added:
        """Makes what was put the store's own."""
        staged = list(self._staging.iterdir())
        size = sum(path.stat().st_size for path in staged)
        for path in staged:
            files.sync(path)  # at the end, since most are on the disk by then
        for path in staged:
            final = self._path(path.name[:40], path.name[40:])
            final.parent.mkdir(exist_ok=True)
            path.rename(final)
        for folder in {path.name[:2] for path in staged}:
            files.sync(self._data / folder)
        files.sync(self._data)
        return Added(len(staged), size)

    def close(self) -> None:
        """Forgets what was put and not committed."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def _path(self, hash_: str, kind: str) -> Path:
        return self._data / hash_[:2] / f"{hash_[2:]}{kind}"
