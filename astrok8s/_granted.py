"""An access that was granted: a kubeconfig with a token of one namespace's service account, which renews itself.

From each renewal on, the token lives as long as from when it was made, so while it is used. One with a given end is not
renewed.
"""

import json
import threading
import time
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.astrok8s.magnum.plugins.module_utils import access

from astrok8s._kubernetes import Account, SparkBase
from astrok8s.errors import AttachError, OptionError

_RETRY_S = 60


@dataclass(frozen=True)
class Granted:
    """What a file of an access says.

    Attributes:
        path: The file.
        content: The kubeconfig in it.
        name: The cluster's name.
        namespace: The user's namespace.
        account: Its service account.
    """

    path: Path
    content: dict[str, Any]
    name: str
    namespace: str
    account: Account

    @classmethod
    def read(cls, path: Path) -> "Granted":
        """Returns the access in a file.

        Raises:
            OptionError: There is none in it.
        """
        remedy = "Give the file that `astrok8s grant` has made."
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            context, cluster = content["contexts"][0], content["clusters"][0]["cluster"]
            bearer = content["users"][0]["user"]["token"]
            authority = b64decode(cluster["certificate-authority-data"])
            account = Account(cluster["server"], authority, bearer)
            return cls(path, content, context["name"], context["context"]["namespace"], account)
        except (OSError, yaml.YAMLError) as error:
            raise OptionError("kubeconfig", f"{path} cannot be read: {error}.", remedy=remedy) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise OptionError("kubeconfig", f"{path} holds no access with a token.", remedy=remedy) from error

    @property
    def uuid(self) -> str:
        """What tells it from other accesses."""
        return f"{self.account.server}/{self.namespace}"

    def renew(self, base: SparkBase) -> float:
        """Has the token renewed, and the file with it, where that is allowed.

        Args:
            base: What the cluster tells of Spark in the namespace.

        Returns:
            After how many seconds it is to be done again; infinity where the token has an end.

        Raises:
            AttachError: The access has ended.
        """
        from kubernetes.client import ApiException

        lifetime = _lifetime(self.account.bearer)
        try:
            made = access.token(self.content, self.namespace, base.service_account, lifetime)
        except ApiException as error:
            if error.status == 403:
                return float("inf")
            raise self.ended(error) from error
        self.account.bearer = self.content["users"][0]["user"]["token"] = made.token
        access.write(self.path, self.content)
        return lifetime / 2

    def ended(self, error: Exception) -> AttachError:
        """Returns what to tell where the API does not know the token any more."""
        return AttachError(
            f"The access in {self.path} to {self.name} has ended or was revoked: {getattr(error, 'reason', error)}.",
            remedy="Ask whoever granted it for another one.",
        )

    def keep(self, base: SparkBase, after_s: float, is_used: Callable[[], bool]) -> None:
        """Has the token renewed in time, in the background, for as long as it is used.

        Args:
            base: As of `renew`.
            after_s: After how many seconds for the first time.
            is_used: Whether it still is.
        """

        def run() -> None:
            wait = after_s
            while wait < float("inf"):
                time.sleep(wait)
                if not is_used():
                    return
                try:
                    wait = self.renew(base)
                except Exception:  # whoever uses it is told by Kubernetes; the network may come back
                    wait = _RETRY_S

        threading.Thread(target=run, name="access", daemon=True).start()


def _lifetime(bearer: str) -> int:
    """Returns for how many seconds a token was made."""
    payload = bearer.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return int(claims["exp"] - claims["iat"])
