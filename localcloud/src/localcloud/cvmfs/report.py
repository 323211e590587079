"""What a localcloud prepares for CVMFS, and tells of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.cvmfs import keys, squid
from localcloud.cvmfs.demo import FQRN, publish_demo
from localcloud.cvmfs.journal import Journal
from localcloud.cvmfs.repository import Repository, repositories
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import Settings


def prepare(settings: Settings, demo: Path, report: Callable[[str], None]) -> None:
    """Make folders and squid's configuration, renew whitelists, and publish the demo repository; what is there stays.

    Args:
        settings: Of the localcloud.
        demo: The demo repository, as `localcloud.build` made it.
        report: Takes a line for what was published, and for each repository that is damaged: the others are well.
    """
    for folder in (settings.repositories, settings.repository_keys):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    squid.prepare(settings)
    for repository in repositories(settings):
        with _told(report):
            repository.renew()
    with _told(report):
        if revision := publish_demo(settings, demo):
            report(f"published the CVMFS repository {FQRN}, revision {revision}")


@contextlib.contextmanager
def _told(report: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except LocalcloudError as error:
        report(str(error))


def facts(settings: Settings) -> dict[str, Any]:
    """Return what a client of the repositories needs to know.

    Returns:
        ``proxies``, URLs; ``repositories``, each with ``fqrn``, ``server_urls`` (where ``@fqrn@`` stands for the
        name, as in the official client's configuration) and ``public_key`` (PEM).
    """
    urls = [f"{settings.url('stratum')}/cvmfs/@fqrn@"]
    return {
        "proxies": [settings.url("squid")],
        "repositories": [
            {"fqrn": repository.fqrn, "server_urls": urls, "public_key": keys.public(repository.keys)}
            for repository in repositories(settings)
            if (repository.keys / keys.PUBLIC).exists()
        ],
    }


def describe(repository: Repository) -> dict[str, Any]:
    """Return what is to be seen of a repository: its revision, when and from what it was made, how long it is valid.

    Raises:
        LocalcloudError: It is damaged.
    """
    manifest, until = repository.manifest(), repository.valid_until()
    assert manifest is not None, "repositories() names those that have one"
    return {
        "fqrn": repository.fqrn,
        "revision": manifest.revision,
        "published": datetime.fromtimestamp(manifest.published, UTC).isoformat(),
        "ttl": manifest.ttl,
        "source": Journal.read(repository.journal).source,
        "valid_until": until.isoformat() if until else None,
    }


def check(settings: Settings) -> str:
    """Return which repositories there are; all must be whole and valid.

    Raises:
        LocalcloudError: One is damaged, or its whitelist has expired.
    """
    found = []
    for repository in repositories(settings):
        said = describe(repository)
        keys.read(repository.keys)
        until = repository.valid_until()
        if until is None or until < datetime.now(UTC):
            found_it = f"expired at {until}" if until else "is missing or damaged"
            raise LocalcloudError(
                f"the whitelist of {repository.fqrn} {found_it}, so no client mounts it; "
                "`localcloud up` renews it, and `localcloud logs stratum` says what keeps it from that"
            )
        found.append(f"{repository.fqrn} (revision {said['revision']})")
    return ", ".join(found) or "none is published"
