# Copyright: astrok8s contributors
# Apache-2.0
"""Templates of executors' pods. Only Python's own library: the server of Spark Connect reads it, too."""

from collections.abc import Iterable, Mapping
from typing import Any


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what several templates say together, each of which says something about the same pod.

    Args:
        parts: The templates. Lists, such as those of volumes, follow one another, but entries of one name are one; of
            other values the last one wins.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            before = whole.get(key)
            if isinstance(before, dict) and isinstance(value, Mapping):
                whole[key] = merged((before, value))
            elif isinstance(before, list) and isinstance(value, list):
                whole[key] = _joined(before, value)
            else:
                whole[key] = value
    return whole


def _joined(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    named: dict[Any, Any] = {}
    for number, entry in enumerate((*first, *second)):
        name = entry.get("name", number) if isinstance(entry, Mapping) else number
        named[name] = merged((named[name], entry)) if name in named else entry
    return list(named.values())


def pod(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a template of a pod, in which Spark finds a container.

    Args:
        parts: As of `merged`.
    """
    return merged(({"apiVersion": "v1", "kind": "Pod"}, *parts))
