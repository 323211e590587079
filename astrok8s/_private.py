"""Files of this process that only its user reads."""

import tempfile
from functools import cache
from pathlib import Path


@cache
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
