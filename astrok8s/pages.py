"""Spark's own pages of a session, for JupyterLab's server extension: at a socket that only this user reaches.

A port of the loopback device would show them to everybody on the machine, and be somebody else's one day.
"""

import itertools
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from astrok8s import _private

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NAME = re.compile(r"([a-z0-9_]{8})-(\d+)")
_numbers = itertools.count(1)
_names: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()


def new_socket() -> Path:
    """Returns where a socket may be made: in the folder of this process, and for it alone."""
    return _private.folder() / f"pages-{next(_numbers)}"


def serve(session: "SparkSession", listen: Callable[[Path], object]) -> None:
    """Has a socket made for the pages of a session.

    Args:
        session: The session.
        listen: Makes the socket, and lets it lead to the pages.
    """
    path = new_socket()
    try:
        listen(path)
    except OSError:
        return  # the path is too long for a socket, as TMPDIR is; a session goes on without
    folder = path.parent.name.removeprefix(_private.PREFIX)
    _names[_owner(session)] = f"{folder}-{path.name.removeprefix('pages-')}"


def name(session: "SparkSession") -> str:
    """Returns by what name another process of this user finds the pages of a session; empty where there are none.

    Args:
        session: A session of this process.
    """
    return _names.get(_owner(session), "")


def socket_of(name: str) -> Path | None:
    """Returns the socket that a name means, in a process of this user on this machine; None where there is none.

    Args:
        name: As `name` has returned it there.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    path = Path(tempfile.gettempdir()) / f"{_private.PREFIX}{found[1]}" / f"pages-{found[2]}"
    try:
        folder, there = path.parent.lstat(), path.lstat()
    except OSError:
        return None
    # Everybody may make a folder of such a name; what is in it would be shown as if it were Jupyter's.
    is_ours = stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.geteuid() and not folder.st_mode & 0o077
    return path if is_ours and stat.S_ISSOCK(there.st_mode) else None


def _owner(session: Any) -> Any:
    """Returns what has pages: a session of Spark Connect, or the one driver of all others of this process."""
    return session if hasattr(session, "is_stopped") else session.sparkContext
