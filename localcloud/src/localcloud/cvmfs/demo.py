"""The demo repository: a Python site with astropy and healpy that set-up has built, signed by this cloud's own keys."""

from __future__ import annotations

from pathlib import Path

from localcloud.cvmfs.journal import Journal
from localcloud.cvmfs.objects import Objects
from localcloud.cvmfs.prebuilt import Prebuilt
from localcloud.cvmfs.publish import TTL, Filled, release
from localcloud.cvmfs.repository import named
from localcloud.settings import Settings

FQRN = "sw.astro.example"
"""Its name."""

SOURCE = "localcloud's demo"
"""What `localcloud cvmfs list` says that it was published from."""


def publish_demo(settings: Settings, built: Path) -> int | None:
    """Publish the demo repository if it is not there, or is of an older build.

    What a user has published under its name stays.

    Args:
        settings: Of the localcloud.
        built: What `localcloud.build` made.

    Returns:
        The new revision; None if there is none.

    Raises:
        LocalcloudError: The repository is damaged.
    """
    repository = named(settings, FQRN)
    last = Journal.read(repository.journal)
    prebuilt = Prebuilt.read(built)
    if repository.manifest() and (last.source != SOURCE or last.root == prebuilt.root.fingerprint):
        return None

    def fill(store: Objects, _revision: int, _last: Journal) -> Filled:
        store.link_from(prebuilt.objects)
        return Filled(prebuilt.root, Journal(source=SOURCE, root=prebuilt.root.fingerprint))

    return release(repository, fill, TTL).revision
