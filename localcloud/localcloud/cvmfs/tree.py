"""The tree that is to be published, as it lies on the disk."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.errors import LocalcloudError

# A folder that holds a file of this name has a catalog of its own.
MARK = ".cvmfscatalog"
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """A file, a folder or a symbolic link.

    Attributes:
        path: Its path in the repository: empty for the root, else with a slash before each name.
        info: What the disk says about it.
        target: Where a symbolic link leads.
        children: What a folder holds, by name.
    """

    path: str
    info: os.stat_result
    target: str = ""
    children: "dict[str, Entry]" = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return stat.S_ISREG(self.info.st_mode)

    @property
    def is_nested(self) -> bool:
        """Whether it has a catalog of its own, within that of the root."""
        return bool(self.path) and MARK in self.children and self.children[MARK].is_file

    def walk(self) -> "Iterator[Entry]":
        """Yields it and all that is below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


def scan(folder: Path) -> Entry:
    """Returns the root of a tree.

    Args:
        folder: Where it lies.

    Raises:
        LocalcloudError: It is no folder, or holds what no repository can.
    """
    if not folder.is_dir():
        raise LocalcloudError(
            f"{folder} is {'not a folder' if folder.exists() else 'not there'}.", remedy="Name a folder to publish."
        )
    refused: list[str] = []
    root = _scan(str(folder.resolve()), "", refused)
    if refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise LocalcloudError(
            f"A repository holds files, folders and symbolic links whose names are UTF-8, but not {folder}'s "
            f"{', '.join(sorted(refused)[:_SHOWN])}{more}.",
            remedy="Remove them, or publish a copy without them.",
        )
    return root


def _scan(base: str, path: str, refused: list[str]) -> Entry:
    info = os.lstat(base + path)
    if stat.S_ISDIR(info.st_mode):
        names = sorted(os.listdir(base + path))  # noqa: PTH208  names, and no paths of them
        children = {name: _scan(base, f"{path}/{name}", refused) for name in names if _is_utf8(path, name, refused)}
        return Entry(path, info, children=children)
    if stat.S_ISLNK(info.st_mode):
        target = os.readlink(base + path)  # noqa: PTH115  as it is written
        _is_utf8(path, target, refused)
        return Entry(path, info, target)
    if not stat.S_ISREG(info.st_mode):
        refused.append(f"{path} (a {_kind(info.st_mode)})")
    return Entry(path, info)


def _is_utf8(path: str, name: str, refused: list[str]) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        refused.append(f"{path}/{shown} (not UTF-8)")
        return False
    return True


def _kind(mode: int) -> str:
    kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "named pipe", stat.S_IFBLK: "block device"}
    return kinds.get(stat.S_IFMT(mode), "character device")
