"""Files of this process that only its user reads, and those that are kept for the next one."""

import fcntl
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "astrok8s-"
"""How the names of such folders begin."""

# Folders that their process holds a lock of.
_HELD = f"{PREFIX}held-"
# A younger one may not be locked yet.
_NEW_S = 60


@contextmanager
def temporary() -> Iterator[Path]:
    """Gives a folder for a while. One whose process was killed goes with the next: a key may be in it."""
    _remove_left()
    with tempfile.TemporaryDirectory(prefix=_HELD) as name:
        lock = os.open(name, os.O_RDONLY)  # the kernel takes it back, however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def _remove_left() -> None:
    """Removes the folders whose process was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_HELD}*"):
        with suppress(OSError):  # somebody holds it, or was faster
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(lock)
                if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _NEW_S:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(lock)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=PREFIX)


def folder() -> Path:
    """Returns a folder that goes with the process; where there is a JVM, also when the process is killed."""
    return Path(_temporary().name)


def write(path: Path, content: bytes) -> str:
    """Writes a file; returns its path."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def replace(path: Path, content: bytes) -> None:
    """Writes a file of its owner alone. Whoever reads it meanwhile sees the old one or the new.

    Raises:
        OSError: It cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(content)
        except BaseException:
            Path(new.name).unlink()
            raise
    Path(new.name).replace(path)


def cache(kind: str) -> Path:
    """Returns the folder of what is kept for other processes of the user.

    Raises:
        OSError: It cannot be made.
    """
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s" / kind
    found.mkdir(parents=True, exist_ok=True)
    return found
