"""Files of this process that only its user reads, and those that are kept for the next one."""

import functools
import os
import tempfile
from pathlib import Path


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="astrok8s-")


def folder() -> Path:
    """Returns a folder that goes with the process; where there is a JVM, also when the process is killed."""
    return Path(_temporary().name)


def write(path: Path, content: bytes) -> str:
    """Writes a file; returns its path."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def cache(kind: str) -> Path:
    """Returns the folder of what is kept for other processes of the user.

    Raises:
        OSError: It cannot be made.
    """
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s" / kind
    found.mkdir(parents=True, exist_ok=True)
    return found
