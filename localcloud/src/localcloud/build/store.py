"""The cache of finished builds: one folder per kind, one entry per key of the inputs.

An entry is made under another name and renamed when it is finished, so what has its final name is
whole. Entries of older keys stay for a while: another clone may use them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcloud.build.tools import Report
from localcloud.settings import cache

KEEP = 2
"""How many entries of a kind, the last used ones, outlive a build."""

_PARTIAL = ".partial-"

_MADE = {"__pycache__", "target"}
"""Folders that Python and Cargo make beside sources."""


def key(*parts: str | bytes) -> str:
    """Return a short name for these inputs, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def folder_key(folder: Path) -> str:
    """Return a key of all files in a folder but those that tools make: names, executable bits and content."""
    parts: list[str | bytes] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if _MADE.intersection(path.relative_to(folder).parts):
            continue
        parts += [str(path.relative_to(folder)), str(os.access(path, os.X_OK)), path.read_bytes()]
    return key(*parts)


@dataclass(frozen=True)
class Entry:
    """One build's place in the cache.

    Attributes:
        kind: Folder in the cache: ``bin``, ``images``…
        name: Entry in it, which has the key.
        family: Entries whose names start like this replace one another.
    """

    kind: str
    name: str
    family: str = ""

    @property
    def path(self) -> Path:
        """Where the finished build is."""
        return cache() / self.kind / self.name

    @property
    def finished(self) -> bool:
        """Whether it was built."""
        return self.path.exists()

    @property
    def log(self) -> Path:
        """Where the output of its build goes."""
        return cache() / "logs" / f"{self.kind}-{self.name}.log"

    def use(self) -> Path:
        """Return the path of the finished build, noting that it was used."""
        os.utime(self.path)
        return self.path

    @contextlib.contextmanager
    def being_made(self) -> Iterator[Path]:
        """Give a new folder to build in; ``result`` in it becomes the entry if all goes well."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.path.parent))
        try:
            yield work
            (work / "result").rename(self.path)
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def locked(report: Report) -> Iterator[None]:
    """Let one build run at a time, whoever started it."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another build is running: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        # whoever made these was killed: we hold the lock
        for kind in cache().iterdir():
            for left in kind.glob(f"{_PARTIAL}*") if kind.is_dir() else ():
                shutil.rmtree(left, ignore_errors=True)
        yield


def prune(used: list[Entry]) -> None:
    """Remove entries beyond the last used ones of each kind and family.

    Args:
        used: What this build uses: named by it, never removed.
    """
    for kind, family in {(entry.kind, entry.family) for entry in used}:
        named = {entry.path for entry in used if (entry.kind, entry.family) == (kind, family)}
        found = [path for path in (cache() / kind).iterdir() if path.name.startswith(family) and _is_entry(path)]
        old = sorted((path for path in found if path not in named), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(found) - KEEP)]:
            if not _runs(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_entry(path: Path) -> bool:
    return not path.name.startswith(_PARTIAL)


def _runs(folder: Path) -> bool:
    """Whether a process runs a program of this folder, in whatever mount namespace."""
    programs = {(file.stat().st_dev, file.stat().st_ino) for file in folder.iterdir()} if folder.is_dir() else set()
    for process in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            status = process.stat()
            if (status.st_dev, status.st_ino) in programs:
                return True
    return False


def trim(folder: Path, limit: int) -> None:
    """Remove the files not used for longest until a folder holds less than ``limit`` bytes."""
    files = [
        (status.st_mtime, status.st_size, path)
        for path in folder.rglob("*")
        if (status := path.lstat()) and path.is_file()
    ]
    size = sum(file[1] for file in files)
    for _, bytes_freed, path in sorted(files):
        if size <= limit:
            return
        path.unlink()
        size -= bytes_freed
