"""The processes of a box, to be found and killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from boxes import Box


def descendants(process: int) -> Iterator[int]:
    """Yields the processes below one, whichever end meanwhile."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


def in_box(box: Box, word: str) -> list[int]:
    """Returns the processes of the box that have a word in their command line."""
    holder = box.holder()
    assert holder
    return [process for process in descendants(holder) if word in command_of(process)]


def command_of(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:  # it ended while we looked
        return []


def kill_in_box(box: Box, module: str) -> None:
    """Kills, without warning, the one process of the box that runs a module."""
    (process,) = in_box(box, module)
    os.kill(process, signal.SIGKILL)
