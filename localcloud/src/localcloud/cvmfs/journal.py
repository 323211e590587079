"""What a publication notes for the next one: which files and catalogs it has seen, so that they are not made again.

A journal only saves work. Without it, or when it cannot be read, everything is read again and nothing else changes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.state import replace


@dataclass(frozen=True)
class Known:
    """A file that was stored.

    Attributes:
        state: Device, inode, size, times of change: while they stay, its content does.
        digests: Hash of its object; of each of its chunks if it is large.
    """

    state: tuple[int, ...]
    digests: list[bytes]

    @staticmethod
    def state_of(status: os.stat_result) -> tuple[int, ...]:
        """Return what tells that a file changed."""
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(frozen=True)
class Written:
    """A nested catalog that was stored.

    Attributes:
        fingerprint: Of what it says.
        digest: Hash of its object.
        size: Bytes of its database.
    """

    fingerprint: str
    digest: bytes
    size: int


@dataclass
class Journal:
    """The notes of one publication.

    Attributes:
        source: What was published.
        root: Fingerprint of the root catalog, so of everything.
        files: By path from the root.
        catalogs: Nested ones, by path of their folders.
    """

    source: str = ""
    root: str = ""
    files: dict[str, Known] = field(default_factory=dict)
    catalogs: dict[str, Written] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Return a journal; an empty one if there is none or it is damaged."""
        try:
            return cls._of(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    @classmethod
    def _of(cls, kept: dict[str, Any]) -> Journal:
        files = {
            path: Known(tuple(state), [bytes.fromhex(digest) for digest in digests])
            for path, (state, digests) in kept["files"].items()
        }
        catalogs = {
            path: Written(fingerprint, bytes.fromhex(digest), int(size))
            for path, (fingerprint, digest, size) in kept["catalogs"].items()
        }
        return cls(str(kept["source"]), str(kept["root"]), files, catalogs)

    def write(self, path: Path) -> None:
        """Replace a journal."""
        kept = {
            "source": self.source,
            "root": self.root,
            "files": {p: (known.state, [digest.hex() for digest in known.digests]) for p, known in self.files.items()},
            "catalogs": {p: (made.fingerprint, made.digest.hex(), made.size) for p, made in self.catalogs.items()},
        }
        replace(path, json.dumps(kept).encode(), 0o600)
