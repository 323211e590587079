"""Files of this process that only its user reads, and those that are kept for the next one."""

import functools
import os
import tempfile
from pathlib import Path

PREFIX = "astrok8s-"
"""How the names of such folders begin."""


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
