"""How long stages have taken on this machine, by which it is told how long they will."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from urllib.parse import quote

from astrok8s import _private

_KEPT = 5


def expected(operation: str) -> dict[str, float]:
    """Returns how long the stages of an operation take, in seconds: the median of the last times.

    Args:
        operation: Its name.
    """
    return {stage: median(times) for stage, times in _read(operation).items()}


def keep(operation: str, took: Mapping[str, float]) -> None:
    """Remembers how long stages took; where that cannot be written, it is forgotten.

    Args:
        operation: The name of the operation.
        took: The seconds by stage.
    """
    known = _read(operation)
    for stage, seconds in took.items():
        known[stage] = [*known.get(stage, []), round(seconds, 1)][-_KEPT:]
    with suppress(OSError):
        _private.replace(_path(operation), json.dumps(known).encode())


def _read(operation: str) -> dict[str, list[float]]:
    try:
        found = json.loads(_path(operation).read_text(encoding="utf-8"))
        return {str(stage): [float(seconds) for seconds in times] for stage, times in found.items() if times}
    except (OSError, ValueError, TypeError, AttributeError):  # there is none, or one that is not ours
        return {}


def _path(operation: str) -> Path:
    return _private.cache("durations") / f"{quote(operation, safe='')}.json"
