"""The repositories of a localcloud: where each is, and who may change it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localcloud.cvmfs import keys
from localcloud.cvmfs.letters import LetterError, Manifest, expiry, seal, whitelist, written
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import Settings
from localcloud.state import replace

MANIFEST, WHITELIST = ".cvmfspublished", ".cvmfswhitelist"
LETTERS = (MANIFEST, WHITELIST, ".cvmfs_last_snapshot", ".cvmfs_is_snapshotting")
"""Files of a repository beside its objects; some clients wait long for the last two where they are missing."""

RENEW_SECONDS = 24 * 3600
"""Age of a whitelist that is written anew: it is valid for 30 days, so a cloud may sleep for four weeks."""

_FQRN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_LONGEST = 60


@dataclass(frozen=True)
class Repository:
    """One repository.

    Attributes:
        fqrn: Its fully qualified name, as ``sw.astro.example``.
        web: Folder that the stratum serves: letters and objects.
        private: Folder that nobody else reads: keys, journal, lock.
    """

    fqrn: str
    web: Path
    private: Path

    @property
    def keys(self) -> Path:
        """Folder of its keys."""
        return self.private / "keys"

    @property
    def journal(self) -> Path:
        """What the last publication noted."""
        return self.private / "journal.json"

    def manifest(self) -> Manifest | None:
        """Return what is published; None if nothing is.

        Raises:
            LocalcloudError: The manifest is damaged.
        """
        try:
            return Manifest.read((self.web / MANIFEST).read_bytes())
        except FileNotFoundError:
            return None
        except (LetterError, UnicodeDecodeError) as error:
            raise LocalcloudError(
                f"{self.web / MANIFEST} is damaged ({error}); restore it from a backup, or say "
                f"`localcloud cvmfs remove {self.fqrn}` and publish anew"
            ) from None

    def valid_until(self) -> datetime | None:
        """Return until when its whitelist is valid; None if it is missing or damaged."""
        try:
            return expiry((self.web / WHITELIST).read_bytes())
        except (OSError, ValueError):
            return None

    def renew(self, now: datetime | None = None) -> bool:
        """Write the whitelist anew if it is missing, damaged or not of the last day; return whether it was.

        Args:
            now: The time; that of the clock if None.

        Raises:
            LocalcloudError: A key is missing.
        """
        now = now or datetime.now(UTC)
        with contextlib.suppress(OSError, ValueError):
            age = (now - written((self.web / WHITELIST).read_bytes())).total_seconds()
            if 0 <= age < RENEW_SECONDS:
                return False
        mine = keys.read(self.keys)
        text = whitelist(self.fqrn, mine.fingerprint, now)
        replace(self.web / WHITELIST, seal(text, mine.sign_whitelist), 0o644)
        return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one publication at a time change it.

        Raises:
            LocalcloudError: Another one does.
        """
        self.private.mkdir(parents=True, mode=0o700, exist_ok=True)
        with open(self.private / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalcloudError(
                    f"another process publishes or removes {self.fqrn} at this moment; "
                    "wait until it has finished, then say it again"
                ) from None
            if not os.fstat(file.fileno()).st_nlink:
                raise LocalcloudError(f"{self.fqrn} was removed at this moment; say it again")
            yield

    def remove(self) -> None:
        """Remove it with its keys and objects.

        Raises:
            LocalcloudError: A publication runs.
        """
        with self.locked():
            (self.web / MANIFEST).unlink(missing_ok=True)  # first: what is left after a crash is no repository
            shutil.rmtree(self.web, ignore_errors=True)
            shutil.rmtree(self.private)


def named(settings: Settings, fqrn: str) -> Repository:
    """Return a repository, which need not exist.

    Raises:
        LocalcloudError: There cannot be one of this name.
    """
    if not _FQRN.fullmatch(fqrn) or len(fqrn) > _LONGEST:
        raise LocalcloudError(
            f"{fqrn!r} is no name of a CVMFS repository: that is at least two words with dots between, of small "
            f"letters, digits and hyphens, {_LONGEST} characters at most; give one as sw.astro.example"
        )
    return Repository(fqrn, settings.repositories / fqrn, settings.repository_keys / fqrn)


def repositories(settings: Settings) -> list[Repository]:
    """Return the repositories that have something published."""
    found = sorted(path.parent.name for path in settings.repositories.glob(f"*/{MANIFEST}"))
    return [named(settings, fqrn) for fqrn in found if _FQRN.fullmatch(fqrn)]


def find(settings: Settings, fqrn: str) -> Repository:
    """Return a repository that exists.

    Raises:
        LocalcloudError: There is none of this name; names those that exist.
    """
    repository = named(settings, fqrn)
    if not repository.web.exists():
        known = ", ".join(other.fqrn for other in repositories(settings)) or "none"
        raise LocalcloudError(
            f"cloud {settings.cloud} has no CVMFS repository {fqrn}; it has {known}. Name one of these, or "
            f"publish it: `localcloud cvmfs publish {fqrn} DIR`"
        )
    return repository
