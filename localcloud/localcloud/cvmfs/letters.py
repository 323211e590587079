"""The two signed letters of a repository: the manifest, which names its revision, and the whitelist."""

import datetime
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.cvmfs import files
from localcloud.cvmfs.keys import Keys
from localcloud.cvmfs.repository import Repository
from localcloud.errors import LocalcloudError

# As long as whitelists of public repositories last; clients refuse a repository whose whitelist has expired.
LIFETIME = datetime.timedelta(days=30)
_RENEWAL = LIFETIME / 3
_TIME = "%Y%m%d%H%M%S"
_EXPIRY = re.compile(rb"^E(\d{14})$", re.MULTILINE)


def _letter(body: str, sign: Callable[[bytes], bytes]) -> bytes:
    digest = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest().encode()
    return body.encode() + b"--\n" + digest + b"\n" + sign(digest)


@dataclass(frozen=True)
class Manifest:
    """What the manifest of a revision says.

    Attributes:
        fqrn: The name of the repository.
        revision: Counts from 1.
        ttl: For how many seconds clients need not ask again.
        catalog: The hash of the root catalog.
        catalog_size: Its size.
        certificate: The hash of the certificate.
        history: The hash of the history.
        published: When, in seconds since 1970.
    """

    fqrn: str
    revision: int
    ttl: int
    catalog: str
    catalog_size: int
    certificate: str
    history: str
    published: int

    def signed(self, keys: Keys) -> bytes:
        """Returns the letter."""
        root = hashlib.md5(b"", usedforsecurity=False).hexdigest()
        lines = [f"C{self.catalog}", f"B{self.catalog_size}", f"R{root}", f"D{self.ttl}", f"S{self.revision}"]
        lines += ["Gno", "Ano"]  # neither garbage nor alternative catalogs are there to be found
        lines += [f"N{self.fqrn}", f"X{self.certificate}", f"H{self.history}", f"T{self.published}"]
        return _letter("\n".join(lines) + "\n", keys.sign_manifest)

    @classmethod
    def read(cls, repository: Repository) -> "Manifest | None":
        """Returns the manifest of the revision that is served, None where there is none.

        Raises:
            LocalcloudError: It is none.
        """
        if not repository.manifest.exists():
            return None
        body = repository.manifest.read_bytes().partition(b"\n--\n")[0].decode(errors="replace")
        fields = {line[:1]: line[1:] for line in body.splitlines()}
        try:
            return cls(
                fqrn=fields["N"],
                revision=int(fields["S"]),
                ttl=int(fields["D"]),
                catalog=fields["C"],
                catalog_size=int(fields["B"]),
                certificate=fields["X"],
                history=fields["H"],
                published=int(fields["T"]),
            )
        except (KeyError, ValueError) as error:
            raise LocalcloudError(
                f"{repository.manifest} is not a manifest.",
                remedy=f"Remove {repository.root}, and publish again.",
            ) from error


def renew(repository: Repository, keys: Keys, now: datetime.datetime) -> bool:
    """Writes the whitelist anew if there is none of these keys, or less than a third of its life is left.

    Args:
        repository: The repository.
        keys: Its keys.
        now: The time.

    Returns:
        Whether it was so.
    """
    old = repository.whitelist.read_bytes() if repository.whitelist.exists() else b""
    found = _EXPIRY.search(old)
    if found and keys.fingerprint.encode() in old:
        expiry = datetime.datetime.strptime(found[1].decode(), _TIME).replace(tzinfo=datetime.UTC)
        if expiry - now >= _RENEWAL:
            return False
    body = f"{now:{_TIME}}\nE{now + LIFETIME:{_TIME}}\nN{repository.fqrn}\n{keys.fingerprint}\n"
    files.write(repository.whitelist, _letter(body, keys.sign_whitelist))
    return True


def renew_all(folder: Path, now: datetime.datetime) -> list[Repository]:
    """Renews the whitelists of a box that are about to expire.

    Args:
        folder: The folder of repositories.
        now: The time.

    Returns:
        The repositories whose whitelist was renewed.
    """
    return [found for found in Repository.published(folder) if renew(found, Keys.of(found), now)]
