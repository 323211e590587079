"""An access that was granted: a kubeconfig with a token of one namespace's service account, which renews itself.

From each renewal on, the token lives as long as from when it was made, so while it is used. One with a given end is not
renewed.
"""

import json
import sys
import threading
import time
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.astrok8s.magnum.plugins.module_utils import access

from astrok8s._kubernetes import Account, SparkBase, spark_base, told
from astrok8s.errors import AttachError, OptionError

_RETRY_S = 60


@dataclass
class GrantedAccount(Account):
    """The service account of a granted access. Its user has no cloud to ask, and knows who granted it.

    Attributes:
        path: The file of the access.
        cluster: The cluster's name.
    """

    path: Path
    cluster: str

    look = "See that this machine has a route to it, and ask whoever granted the access whether the cluster is there."
    otherwise = "ask whoever granted the access"

    def refused(self, error: Exception) -> AttachError | None:
        """Returns that the access has ended, where the API says that it does not know the token, or its rights."""
        status = getattr(error, "status", None) or getattr(error, "status_code", None)  # also where a tunnel is opened
        return self.ended(error) if status in (401, 403) else None

    def ended(self, error: Exception) -> AttachError:
        """Returns what to tell where the access has ended."""
        return AttachError(
            f"The access in {self.path} to {self.cluster} has ended or was revoked: {getattr(error, 'reason', error)}.",
            remedy="Ask whoever granted it for another one.",
        )


@dataclass(frozen=True)
class Granted:
    """What a file of an access says.

    Attributes:
        path: The file.
        content: The kubeconfig in it.
        name: The cluster's name.
        namespace: The user's namespace.
        account: Its service account.
        lifetime_s: For how many seconds its token was made.
        expires: When its token ends, UTC.
    """

    path: Path
    content: dict[str, Any]
    name: str
    namespace: str
    account: GrantedAccount
    lifetime_s: int
    expires: datetime

    def gone(self) -> None:
        """Returns nothing: there is no cloud here that could tell what became of the cluster."""

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
            account = GrantedAccount(cluster["server"], authority, bearer, path, context["name"])
            claims = _claims(bearer)
            lifetime_s, expires = claims["exp"] - claims["iat"], datetime.fromtimestamp(claims["exp"], UTC)
            namespace = context["context"]["namespace"]
            return cls(path, content, context["name"], namespace, account, lifetime_s, expires)
        except (OSError, yaml.YAMLError) as error:
            raise OptionError("kubeconfig", f"{path} cannot be read: {error}.", remedy=remedy) from error
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise OptionError("kubeconfig", f"{path} holds no access with a token.", remedy=remedy) from error

    @property
    def uuid(self) -> str:
        """What tells it from other accesses."""
        return f"{self.account.server}/{self.namespace}"

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raises what goes wrong with the cluster's API as an error for whoever has the access.

        Raises:
            AttachError: The access has ended.
            ClusterNotReadyError: The API does not answer, or not as it should.
        """
        from kubernetes.client import ApiException

        with told(self.name, self.account.look):
            try:
                yield
            except ApiException as error:
                if ended := self.account.refused(error):
                    raise ended from error
                raise

    def renew(self, base: SparkBase) -> float:
        """Has the token renewed, and the file with it, where that is allowed.

        Args:
            base: What the cluster tells of Spark in the namespace.

        Returns:
            After how many seconds it is to be done again; infinity where the token has an end.

        Raises:
            AttachError: The access has ended.
            ClusterNotReadyError: The API does not answer, or not as it should.
        """
        from kubernetes.client import ApiException

        with self.told():
            try:
                made = access.token(self.content, self.namespace, base.service_account, self.lifetime_s)
            except ApiException as error:
                if error.status == 404:  # the service account
                    raise self.account.ended(error) from error
                if error.status != 403:
                    raise
                spark_base(self.account.client(), self.namespace)  # what any access may read
                return float("inf")
        self.account.bearer = self.content["users"][0]["user"]["token"] = made.token
        access.write(self.path, self.content)
        return self.lifetime_s / 2

    def keep(self, base: SparkBase, after_s: float, is_used: Callable[[], bool]) -> None:
        """Has the token renewed in time, in the background, for as long as it is used.

        Args:
            base: As of `renew`.
            after_s: After how many seconds for the first time.
            is_used: Whether it still is.
        """
        threading.Thread(target=self._keep, args=(base, after_s, is_used), name="access", daemon=True).start()

    def _keep(self, base: SparkBase, wait_s: float, is_used: Callable[[], bool]) -> None:
        refused = False
        while wait_s < float("inf"):
            time.sleep(wait_s)
            if not is_used():
                return
            try:
                wait_s, refused = self.renew(base), False
            except AttachError as error:
                if refused:
                    sys.stderr.write(f"astrok8s: {error}\n")
                    return
                wait_s, refused = _RETRY_S, True  # an API server that has just started refuses everybody for a moment
            except Exception:  # whoever uses it is told by Kubernetes; the network may come back
                wait_s = _RETRY_S


def _claims(bearer: str) -> dict[str, Any]:
    """Returns what a token says of itself."""
    payload = bearer.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
