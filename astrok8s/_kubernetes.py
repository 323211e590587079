"""What the package needs of a cluster's Kubernetes API."""

import json
import socket
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from astrok8s import _private
from astrok8s._private import write
from astrok8s.errors import AttachError, ClusterNotReadyError

if TYPE_CHECKING:
    from astrok8s.clusters import Cluster

# `kubernetes.client.CoreV1Api`. Its models say of every field that it may be missing: strict types are of no use there.
CoreV1Api = Any

# The role spark_base makes it.
CONFIG_MAP = "astrok8s"


@dataclass(frozen=True)
class SparkBase:
    """What the role spark_base left in the cluster for those who attach.

    Attributes:
        namespace: Where Spark's pods run.
        image: The image of the executors.
        spark_version: The version of Spark in it.
        python: The minor version of Python in it, as 3.11; empty where the role did not tell.
        service_account: What sessions act as.
        conf: Properties of Spark for sessions, such as where the cloud's object storage is.
    """

    namespace: str
    image: str
    spark_version: str
    python: str
    service_account: str
    conf: Mapping[str, str]


@dataclass(frozen=True)
class Access:
    """Where the API of a cluster is, and what to show it.

    Attributes:
        server: The URL of the API.
        authority: The certificate of its authority, PEM.
        certificate: The client's certificate, PEM.
        key: The client's key, PEM.
    """

    server: str
    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def from_kubeconfig(cls, kubeconfig: Mapping[str, Any]) -> "Access":
        """Returns the access that a kubeconfig of one cluster and one user gives."""
        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        return cls(
            cluster["server"],
            b64decode(cluster["certificate-authority-data"]),
            b64decode(user["client-certificate-data"]),
            b64decode(user["client-key-data"]),
        )

    @contextmanager
    def api(self) -> Iterator[CoreV1Api]:
        """Gives the API. Its client wants files, which live as long as that, in a folder that only we read."""
        from kubernetes import client

        with _private.temporary() as folder:
            configuration = client.Configuration(host=self.server)
            configuration.ssl_ca_cert = write(folder / "ca.crt", self.authority)
            configuration.cert_file = write(folder / "client.crt", self.certificate)
            configuration.key_file = write(folder / "client.key", self.key)
            with client.ApiClient(configuration) as connection:
                yield client.CoreV1Api(connection)


@dataclass
class Account:
    """A service account of a cluster.

    Attributes:
        server: The URL of the API.
        authority: The certificate of its authority, PEM.
        bearer: A token of the service account; another one may take its place, also for clients that there are.
    """

    server: str
    authority: bytes
    bearer: str = field(repr=False)

    look = "See that the cluster is up (`astrok8s list`) and that this machine has a route to it."
    """What to do where the API is not reached; who has no cloud cannot ask it."""
    otherwise = "attach with mode='client'"
    """What to do where there is no session of Spark Connect."""

    def refused(self, error: Exception) -> AttachError | None:  # noqa: ARG002  it is there for accounts that can tell
        """Returns what to tell where the API does not take the token any more; None where it is to be waited for."""
        return None

    def local_address(self, timeout_s: float = 10) -> str:
        """Returns the address of this machine as the cluster sees it.

        Raises:
            ClusterNotReadyError: The API is not reached from here.
        """
        url = urlsplit(self.server)
        try:
            with socket.create_connection((url.hostname, url.port or 443), timeout=timeout_s) as connection:
                return str(connection.getsockname()[0])
        except OSError as error:
            raise ClusterNotReadyError(
                f"The Kubernetes API of the cluster at {self.server} is not reached from here: {error}.",
                remedy=self.look,
            ) from error

    def client(self) -> CoreV1Api:
        """Returns a client of the API, for as long as the token is valid."""
        from kubernetes import client

        configuration = client.Configuration(host=self.server, api_key={"authorization": ""})
        # It is called for each request.
        configuration.refresh_api_key_hook = self._show  # type: ignore[assignment]
        configuration.ssl_ca_cert = authority_file(self.authority)
        configuration.retries = 0  # who waits tries again, and says so
        return client.CoreV1Api(client.ApiClient(configuration))

    def _show(self, configuration: Any) -> None:
        configuration.api_key["authorization"] = f"Bearer {self.bearer}"


@cache
def authority_file(authority: bytes) -> str:
    """Returns a file with a certificate; it is whole whenever it is there, since threads read it at once."""
    path = _private.folder() / f"{sha256(authority).hexdigest()[:16]}.crt"
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as new:
        new.write(authority)
    return str(Path(new.name).replace(path))


@contextmanager
def told(
    cluster: str,
    remedy: str = "See that the cluster is up (`astrok8s list`), and that it was provisioned by this version.",
) -> Iterator[None]:
    """Raises what goes wrong with a cluster's API as an error of ours.

    Args:
        cluster: The cluster's name.
        remedy: What to do about it.

    Raises:
        ClusterNotReadyError: The API refuses, or does not answer.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ApiException, HTTPError) as error:
        raise ClusterNotReadyError(
            f"The Kubernetes API of {cluster} does not do what it is asked: {words(error)}.", remedy=remedy
        ) from error


def words(error: Exception) -> str:
    """Returns in a line what an error of Kubernetes's client says."""
    from kubernetes.client import ApiException

    if not isinstance(error, ApiException):
        return (str(error) or type(error).__name__).splitlines()[0]
    if error.status == 401:
        return "Unauthorized (401): the token or certificate that it is shown is not valid, or not any more"
    try:
        return f"{error.reason} ({error.status}): {json.loads(error.body or '')['message']}"
    except (TypeError, ValueError, KeyError):
        return f"{error.reason} ({error.status})"


def access_of(connection: Any, cluster: "Cluster") -> Access:
    """Returns the administrator's access to a cluster.

    Args:
        connection: An openstacksdk connection, authenticated.
        cluster: The cluster.

    Raises:
        ClusterNotReadyError: The cluster has no API yet.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum

    magnum = Magnum(connection)
    body = magnum.details(cluster.uuid)
    if body is None or not body.get("api_address"):
        status = body["status"] if body else "gone"
        remedy = f"Provision it: astrok8s.provision({cluster.name!r})."
        raise ClusterNotReadyError(f"The cluster {cluster.name} has no Kubernetes API: it is {status}.", remedy=remedy)
    return Access.from_kubeconfig(magnum.kubeconfig(body))


def config_map(api: CoreV1Api, namespace: str, name: str) -> dict[str, str] | None:
    """Returns what a ConfigMap holds; None where there is none of that name."""
    from kubernetes.client import ApiException

    try:
        return dict(api.read_namespaced_config_map(name, namespace).data)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def session_conf(found: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the properties of Spark that a role left for sessions.

    Args:
        found: What its ConfigMap holds; None if there is none.
    """
    lines = (line.split(None, 1) for line in (found or {}).get("session.conf", "").splitlines())
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines if line}


def spark_base(api: CoreV1Api, namespace: str) -> SparkBase:
    """Returns what the cluster tells of Spark in it.

    Args:
        api: The API of the cluster.
        namespace: The namespace of Spark.

    Raises:
        ClusterNotReadyError: The namespace is not prepared for Spark.
    """
    data = config_map(api, namespace, CONFIG_MAP)
    if data is None:
        raise ClusterNotReadyError(
            f"The namespace {namespace} of the cluster has no ConfigMap {CONFIG_MAP}: it is not prepared for Spark.",
            remedy="Run astrok8s.provision for the cluster, or give the namespace that it was made with.",
        )
    conf = session_conf(data)
    return SparkBase(
        namespace=namespace,
        image=conf["spark.kubernetes.container.image"],
        spark_version=data["sparkVersion"],
        python=data.get("python", ""),
        service_account=data["serviceAccount"],
        conf=conf,
    )


def spark_account(access: Access, api: CoreV1Api, base: SparkBase, hours: float) -> Account:
    """Returns the service account of Spark, with a token of its own.

    Args:
        access: Where the API of the cluster is.
        api: That API, as the cluster's administrator.
        base: What the cluster tells of Spark.
        hours: How long the token is valid.
    """
    from kubernetes.client import AuthenticationV1TokenRequest, V1TokenRequestSpec

    request = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(expiration_seconds=int(hours * 3600)))
    answer = api.create_namespaced_service_account_token(base.service_account, base.namespace, request)
    return Account(access.server, access.authority, str(answer.status.token))
