"""Frees the objects that no revision needs any more."""

from __future__ import annotations

from dataclasses import dataclass, field

from localcloud.cvmfs import catalog, history, objects
from localcloud.cvmfs.objects import Objects
from localcloud.cvmfs.repository import Repository
from localcloud.prerequisites import LocalcloudError

Name = tuple[bytes, str]
"""Hash and kind of an object."""


@dataclass
class _Needed:
    """What some revisions need, catalog by catalog; what several of them share is looked at once."""

    store: Objects
    names: set[Name] = field(default_factory=set)

    def add(self, root: bytes) -> None:
        waiting = [root]
        while waiting:
            name = (waiting.pop(), objects.CATALOG)
            if name not in self.names:
                self.names.add(name)
                found = catalog.contents(self.store.get(*name))
                self.names |= {(digest, objects.FILE) for digest in found.files}
                self.names |= {(digest, objects.CHUNK) for digest in found.chunks}
                waiting += found.nested


def collect(repository: Repository) -> tuple[int, int]:
    """Remove every object that none of the revisions with a tag needs.

    Those are the last ones (`history.KEEP`), so who reads a revision that was current a moment ago misses nothing.

    Args:
        repository: Which one.

    Returns:
        How many objects were removed, and their bytes.

    Raises:
        LocalcloudError: A publication runs, or a catalog is missing or damaged: then nothing is removed.
    """
    with repository.locked():
        manifest = repository.manifest()
        if manifest is None:
            raise LocalcloudError(f"{repository.fqrn} has no revision; publish it, or say `localcloud cvmfs remove`")
        needed = _Needed(Objects(repository.web))
        for tag in history.read(needed.store.get(bytes.fromhex(manifest.history), objects.HISTORY)):
            needed.add(bytes.fromhex(tag.root))
        needed.names.add((bytes.fromhex(manifest.certificate), objects.CERTIFICATE))
        keep = {needed.store.path(*name) for name in needed.names}
        there = (repository.web / "data").glob("*/*")
        # histories are a KB each, and tags do not say which one is whose
        unused = [path for path in there if path not in keep and not path.name.endswith(objects.HISTORY)]
        size = sum(path.stat().st_size for path in unused)
        for path in unused:
            path.unlink()
        return len(unused), size
