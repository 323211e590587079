"""The contents of files as objects, and what is remembered of files that were read."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from localcloud.cvmfs import files
from localcloud.cvmfs.store import CHUNK, Store
from localcloud.cvmfs.tree import Entry
from localcloud.errors import LocalcloudError

# A file above the first is stored in parts of the second, so that clients need not fetch all of it.
CHUNKED_ABOVE = 16 * 2**20
CHUNK_SIZE = 8 * 2**20


class Content(NamedTuple):
    """What a file holds: one object, or chunks.

    Attributes:
        hash: The hash of the object, None for a file in chunks.
        chunks: The hashes of its chunks.
    """

    hash: str | None
    chunks: tuple[str, ...]

    def spans(self, size: int) -> list[tuple[int, int, str]]:
        """Returns offset, size and hash of each chunk of a file of that size."""
        starts = [(number * CHUNK_SIZE, hash_) for number, hash_ in enumerate(self.chunks)]
        return [(start, min(CHUNK_SIZE, size - start), hash_) for start, hash_ in starts]


class Contents:
    """Puts the contents of files into a store, and does not read again what the disk says is unchanged.

    Args:
        store: Where they go.
        index: What is remembered; it may be lost.
        folder: Where the tree lies.
    """

    def __init__(self, store: Store, index: Path, folder: Path) -> None:
        self._store, self._index, self._folder = store, index, str(folder.resolve())
        self._known: dict[str, Content] = {}
        self._seen: dict[str, Content] = {}
        if index.exists():
            known = json.loads(index.read_text(encoding="utf-8"))
            self._known = {key: Content(hash_, tuple(chunks)) for key, (hash_, chunks) in known.items()}

    def put(self, entries: Iterable[Entry]) -> dict[str, Content]:
        """Returns the contents of files by their path; all processors compress.

        Raises:
            LocalcloudError: A file changes while it is read.
        """
        entries = list(entries)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip((entry.path for entry in entries), pool.map(self._put, entries), strict=True))

    def remember(self) -> None:
        """Keeps what was learnt for the next time."""
        self._index.parent.mkdir(mode=0o700, exist_ok=True)
        files.write(self._index, json.dumps(self._seen).encode(), 0o600)

    def _put(self, entry: Entry) -> Content:
        key = _identity(entry.info)
        content = self._known.get(key)
        if content is None or not self._is_stored(content):
            content = self._read(entry)
        self._seen[key] = content
        return content

    def _is_stored(self, content: Content) -> bool:
        whole = content.hash is None or self._store.has(content.hash)
        return whole and all(self._store.has(chunk, CHUNK) for chunk in content.chunks)

    def _read(self, entry: Entry) -> Content:
        try:
            with open(self._folder + entry.path, "rb") as file:  # noqa: PTH123  its path is a string
                if entry.info.st_size <= CHUNKED_ABOVE:
                    content = Content(self._store.put(file.read(CHUNKED_ABOVE + 1)), ())
                else:
                    parts = iter(lambda: file.read(CHUNK_SIZE), b"")
                    content = Content(None, tuple(self._store.put(part, CHUNK) for part in parts))
                unchanged = _identity(os.fstat(file.fileno())) == _identity(entry.info)
        except FileNotFoundError:
            unchanged = False
        if not unchanged:
            raise LocalcloudError(
                f"{self._folder}{entry.path} changed while it was read.", remedy="Publish when nothing writes there."
            )
        return content


def _identity(info: os.stat_result) -> str:
    """Returns what differs when a file's content does: nobody can set the time of a change back."""
    return f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
