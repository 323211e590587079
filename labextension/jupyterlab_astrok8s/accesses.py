"""The user's accesses to clusters of others: files that they have granted, in a folder of the user's own.

Whoever attaches with such a file renews it, so it has one place, and sessions of all notebooks use that one.
"""

import hashlib
import re
import secrets
from contextlib import suppress
from pathlib import Path

from astrok8s import OptionError
from astrok8s.granting import Access, read

_SUFFIX = ".kubeconfig"


class Accesses:
    """The accesses of one user.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, Access]:
        """Returns each by its identity, in the order of these."""
        found = {}
        for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}")):
            with suppress(OptionError):  # of somebody else's making
                found[path.name.removesuffix(_SUFFIX)] = read(path)
        return found

    def add(self, kubeconfig: str) -> str:
        """Keeps an access; another file of one that is there takes its place.

        Args:
            kubeconfig: What is in the file that `astrok8s grant` has made.

        Returns:
            Its identity.

        Raises:
            OptionError: There is no access in it; nothing was kept.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._folder / f".{secrets.token_hex(8)}"
        new.touch(mode=0o600)
        try:
            new.write_text(kubeconfig, encoding="utf-8")
            access = read(new)
            name = re.sub(r"[^\w-]", "_", access.cluster)  # of somebody else: it is to be the name of a file
            identity = f"{name}-{hashlib.sha256(access.uuid.encode()).hexdigest()[:8]}"
            new.replace(self._folder / f"{identity}{_SUFFIX}")
        except OptionError as error:
            fact = "What was given holds no access to a cluster."
            raise OptionError("kubeconfig", fact, remedy=error.remedy) from error
        finally:
            new.unlink(missing_ok=True)
        return identity

    def remove(self, identity: str) -> bool:
        """Forgets an access, which stays valid; returns whether there was one."""
        access = self.all().get(identity)
        if access:
            access.file.unlink(missing_ok=True)
        return access is not None
