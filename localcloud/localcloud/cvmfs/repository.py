"""A repository: its name, and where its parts lie."""

import re
from dataclasses import dataclass
from pathlib import Path

from localcloud.errors import LocalcloudError

# A DNS name of at least two labels.
FQRN_PATTERN = re.compile(r"(?=.{3,60}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
# For how many seconds clients need not ask for a newer revision; what they take where a repository does not say.
DEFAULT_TTL_S = 240
# The web root in a box's folder of CVMFS. Everything else there is nobody's but the publisher's.
WEB_ROOT = Path("www")


@dataclass(frozen=True)
class Repository:
    """The repository of a name.

    Attributes:
        fqrn: Its name, fully qualified.
        folder: The folder of all repositories of a box.
    """

    fqrn: str
    folder: Path

    @classmethod
    def of(cls, folder: Path, fqrn: str) -> "Repository":
        """Returns the repository of a name, which need not exist yet.

        Raises:
            LocalcloudError: No repository can have that name.
        """
        if not FQRN_PATTERN.fullmatch(fqrn):
            raise LocalcloudError(
                f"A repository cannot be named {fqrn!r}.",
                remedy="Use at most 60 lower-case letters, digits, hyphens and dots, as in sw.example.org.",
            )
        return cls(fqrn, folder)

    @classmethod
    def published(cls, folder: Path) -> "list[Repository]":
        """Returns the repositories of a folder that have a revision."""
        manifests = folder.joinpath(WEB_ROOT).glob("cvmfs/*/.cvmfspublished")
        return sorted((cls(path.parent.name, folder) for path in manifests), key=lambda found: found.fqrn)

    @property
    def path(self) -> str:
        """Its path in a URL."""
        return f"/cvmfs/{self.fqrn}"

    @property
    def root(self) -> Path:
        """What is served."""
        return self.folder / WEB_ROOT / "cvmfs" / self.fqrn

    @property
    def manifest(self) -> Path:
        """The letter that names the current revision."""
        return self.root / ".cvmfspublished"

    @property
    def whitelist(self) -> Path:
        """The letter that names the certificate whose manifests are to be trusted."""
        return self.root / ".cvmfswhitelist"

    @property
    def index(self) -> Path:
        """What the publisher remembers of files that it has read; without it, it reads them again."""
        return self.folder / "index" / f"{self.fqrn}.json"

    @property
    def public_key(self) -> Path:
        """The public master key, which clients trust."""
        return self.key("pub")

    def key(self, suffix: str) -> Path:
        """Returns the file of a key."""
        return self.folder / "keys" / f"{self.fqrn}.{suffix}"
