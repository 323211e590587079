"""Writing a file so that nobody else reads it and nobody ever sees half of it."""

from __future__ import annotations

from pathlib import Path

from localcloud.state import replace


def write_private(path: Path, content: str) -> None:
    """Replace a file in one step: mode 0600, and on the disk when this returns.

    Args:
        path: The file; its folder exists.
        content: All of its text.
    """
    replace(path, content.encode(), 0o600)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter, in one that exists; leave it as it is if it is there."""
    folder.mkdir(exist_ok=True, mode=0o700)
