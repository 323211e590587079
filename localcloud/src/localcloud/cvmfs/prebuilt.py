"""A folder that was stored before there was a cloud to sign it: objects and a root catalog of no revision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs.journal import Journal
from localcloud.cvmfs.objects import Objects
from localcloud.cvmfs.tree import Root, Tree

_ROOT, _FACTS = "root.sqlite", "facts.json"


@dataclass(frozen=True)
class Prebuilt:
    """What is to be signed.

    Attributes:
        objects: All but the root catalog.
        root: That.
    """

    objects: Objects
    root: Root

    @classmethod
    def make(cls, folder: Path, source: Path) -> Prebuilt:
        """Store a folder.

        Args:
            folder: Gets it; exists.
            source: The folder to be stored.

        Raises:
            LocalcloudError: Something in it cannot be stored.
        """
        store = Objects(folder)
        with store.publication():
            root = Tree(source, store, 1, Journal()).walk()
            store.commit()
        (folder / _ROOT).write_bytes(root.database)
        facts = {"fingerprint": root.fingerprint, "files": root.files, "bytes": root.bytes}
        (folder / _FACTS).write_text(json.dumps(facts))
        return cls(store, root)

    @classmethod
    def read(cls, folder: Path) -> Prebuilt:
        """Return what `make` stored."""
        facts = json.loads((folder / _FACTS).read_text())
        root = Root((folder / _ROOT).read_bytes(), facts["fingerprint"], facts["files"], facts["bytes"])
        return cls(Objects(folder), root)
