"""Looks whether this Python can import packages from a folder in CVMFS, before a driver or an executor starts.

usage: cvmfs.py FOLDER

Whoever installs packages records in each distribution's WHEEL which Pythons it is for: cp311-cp311 is for 3.11 alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

CVMFS = Path("/cvmfs")
"""Above all repositories."""

TAG = re.compile(r"^Tag: cp3(\d+)-cp3\1[a-z]*-", re.MULTILINE)
"""A tag for one version of Python, and no other; the second word is abi3 or none if others will do."""


def tags(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield each distribution that is for one version of Python, with the minor version."""
    for wheel in sorted(folder.glob("*.dist-info/WHEEL")):
        if found := TAG.search(wheel.read_text()):
            yield wheel.parent.name.removesuffix(".dist-info"), int(found[1])


def wrong(folder: Path) -> str:
    """Return why nothing can be imported from a folder; nothing if it can."""
    repository = CVMFS / folder.relative_to(CVMFS).parts[0]
    if not folder.is_dir():
        there = sorted(path.name for path in repository.iterdir() if not path.name.startswith("."))
        return f"{folder} is no folder of its repository, which has: {', '.join(there) or 'nothing'}; correct the path"
    # the first one tells: all were installed by one Python
    for name, minor in tags(folder):
        if minor != sys.version_info.minor:
            return (
                f"{name} in {folder} is for Python 3.{minor}, and executors have Python 3.{sys.version_info.minor}; "
                "use a folder made with that, or an image with the other"
            )
        break
    return ""


def main(folder: str) -> int:
    """Say what is wrong; return the exit code."""
    try:
        reason = wrong(Path(folder))
    except OSError as error:
        reason = f"{error.filename} cannot be read ({error.strerror}); see whether `astrok8s up` finds the repository"
    if reason:
        print(f"the packages of attach(environment=…) are not here: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
