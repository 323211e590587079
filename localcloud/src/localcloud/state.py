"""The files that a localcloud keeps: replaced in one step; JSON that is damaged is told of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class DamagedStateError(ValueError):
    """A file that was whole when it was written is not any more: nothing is guessed, nothing made anew."""

    def __init__(self, path: Path, found: object) -> None:
        super().__init__(
            f"{path} is damaged ({found}); restore it from a backup, "
            "or start anew with `localcloud destroy` (which drops all clusters)"
        )


def replace(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step, so that no reader ever sees half of it; it is on the disk when this returns.

    Args:
        path: The file; its folder exists.
        content: All of it.
        mode: Its permissions, whatever an earlier run left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace a JSON file in one step, so that no reader ever sees half of it."""
    replace(path, json.dumps(value, indent=1).encode(), mode)


def read_json(path: Path, made_of: Callable[[Any], T]) -> T | None:
    """Return what a JSON file holds; None if there is no such file.

    Args:
        path: The file.
        made_of: Makes the value from what JSON says; what it cannot take is damage, too.

    Raises:
        DamagedStateError: The file is not what was written; names it and the remedy.
    """
    try:
        return made_of(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedStateError(path, f"{type(error).__name__}: {error}") from None
