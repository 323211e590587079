"""Secrets of a cloud and of a cluster's administrator, to be looked for in what a run leaves."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# What a secret looks like, whatever its value.
SHAPES = {
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/]{40}",
    # "PRIVATE KEY", as base64 has it at any of its three places.
    "private key in base64": rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{0,40}(?:UFJJVkFURSBLRV|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW)",
    "client key of a kubeconfig": rb"client-key-data\W+[A-Za-z0-9+/]{40}",
    "token of Keystone": rb"gAAAAA[A-Za-z0-9_-]{100}",
}


def secrets_in(content: bytes, values: Iterable[str] = (), shapes: Iterable[str] = SHAPES) -> list[str]:
    """Returns what secrets there are in something.

    Args:
        content: It.
        values: Secrets that are known.
        shapes: Of which shapes others are.
    """
    return [shape for shape in shapes if re.search(SHAPES[shape], content)] + [
        value for value in values if value.encode() in content
    ]


def secrets_below(
    folders: Iterable[Path], values: Iterable[str] = (), shapes: Iterable[str] = SHAPES
) -> dict[Path, list[str]]:
    """Returns the files below some folders that have secrets in them, with these."""
    kept = list(values)
    return {file: found for file in _files(folders) if (found := secrets_in(file.read_bytes(), kept, shapes))}


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in [folder, *folder.rglob("*")] if path.is_file() and not path.is_symlink())
