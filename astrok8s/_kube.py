"""What attach needs of a cluster's Kubernetes API."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from astrok8s._errors import AttachError

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

CONFIG_MAP = "astrok8s"
"""Made by the role spark_base: the image, Spark's version and the service account."""


THROWN = re.compile(r"(Exception in thread|Caused by:|Error:|java\.\S+(Error|Exception)\b|org\.apache\.\S+Exception\b)")
"""How the lines of a Java program's log begin that say what was thrown."""


@dataclass(frozen=True)
class SparkBase:
    """What the role spark_base left in the cluster for those who attach."""

    namespace: str
    image: str
    spark_version: str
    service_account: str
    python_version: str | None = None


@dataclass(frozen=True)
class Access:
    """A kubeconfig's current context: where the API is, and what to show it.

    Attributes:
        server: The API's URL.
        ca: Certificate of its authority, PEM.
        certificate: The client's, PEM.
        key: The client's, PEM.
    """

    server: str
    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def from_kubeconfig(cls, kubeconfig: Mapping[str, Any]) -> Access:
        """Read the current context of a kubeconfig that holds its certificates."""
        context = _named(kubeconfig, "contexts", kubeconfig["current-context"])["context"]
        cluster = _named(kubeconfig, "clusters", context["cluster"])["cluster"]
        user = _named(kubeconfig, "users", context["user"])["user"]
        return cls(
            cluster["server"],
            b64decode(cluster["certificate-authority-data"]),
            b64decode(user["client-certificate-data"]),
            b64decode(user["client-key-data"]),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        url = urlsplit(self.server)
        return url.hostname or "", url.port or 443

    def local_address(self, timeout: float = 10) -> str:
        """Return this machine's address as the cluster sees it.

        Raises:
            AttachError: The API cannot be reached from here.
        """
        try:
            with socket.create_connection(self.address, timeout=timeout) as connection:
                return str(connection.getsockname()[0])
        except OSError as error:
            raise AttachError(
                f"the Kubernetes API of the cluster, {self.server}, cannot be reached from here ({error}); is the "
                "cluster up (`astrok8s list`), and does this machine have a route to it?"
            ) from error

    @contextmanager
    def api(self) -> Iterator[CoreV1Api]:
        """Give the API; its client wants files, which are in memory where that can be, and no longer than this."""
        from kubernetes import client

        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a 0700 folder is made in it
        with tempfile.TemporaryDirectory(prefix="astrok8s-", dir=memory) as folder:
            configuration = client.Configuration()
            configuration.host = self.server
            configuration.ssl_ca_cert = _file(folder, "ca.crt", self.ca)
            configuration.cert_file = _file(folder, "client.crt", self.certificate)
            configuration.key_file = _file(folder, "client.key", self.key)
            with client.ApiClient(configuration) as connection:
                yield client.CoreV1Api(connection)


def spark_base(api: CoreV1Api, namespace: str) -> SparkBase:
    """Return what is known of Spark in the cluster.

    Raises:
        AttachError: The namespace is not prepared for Spark.
    """
    from kubernetes.client import ApiException

    try:
        data = api.read_namespaced_config_map(CONFIG_MAP, namespace).data
        return SparkBase(
            namespace, data["image"], data["sparkVersion"], data["serviceAccount"], data.get("pythonVersion")
        )
    except ApiException as error:
        if error.status != 404:
            raise
        raise AttachError(
            f"namespace {namespace} of the cluster has no config map {CONFIG_MAP}, so it is not prepared for Spark; "
            "run astrok8s.provision for the cluster again, or give the namespace that it was made with"
        ) from error


UNREAD = "its log cannot be read"
"""Said of a pod that went while it was looked at."""

UNAUTHORIZED = "the session's token has ended (token_hours), or its service account was deleted"
"""What 401 Unauthorized means."""


def token(api: CoreV1Api, base: SparkBase, hours: float) -> str:
    """Return a token of the service account that is valid for some hours."""
    from kubernetes.client import AuthenticationV1TokenRequest, V1TokenRequestSpec

    request = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(expirationSeconds=int(hours * 3600)))
    answer = api.create_namespaced_service_account_token(base.service_account, base.namespace, request)
    return str(answer.status.token)


def account_api(access: Access, bearer: str, name: str) -> CoreV1Api:
    """Return the API as a service account sees it, for as long as its token lasts.

    Args:
        access: Where the API is.
        bearer: The account's token, which stays in memory.
        name: Of a file for the certificate of the API's authority.
    """
    from kubernetes import client

    from astrok8s._spark import write_secret

    configuration = client.Configuration()
    configuration.host = access.server
    configuration.ssl_ca_cert = write_secret(f"{name}.crt", access.ca)
    configuration.api_key = {"authorization": f"Bearer {bearer}"}
    return client.CoreV1Api(client.ApiClient(configuration))


def why_no_executors(api: CoreV1Api, namespace: str, selector: str) -> list[str]:
    """Return what is wrong with an application's executor pods, one line each; none if nothing is.

    Args:
        api: The cluster's API.
        namespace: Where the pods are.
        selector: Label selector of the application's executors.
    """
    reasons: list[str] = []
    for pod in api.list_namespaced_pod(namespace, label_selector=selector).items:
        name = pod.metadata.name
        for state in pod.status.container_statuses or []:
            if state.state.terminated:
                end = state.state.terminated
                log = last_lines(api, namespace, name)
                reasons.append(f"{name} ended with exit code {end.exit_code} ({end.reason}); its last lines:\n{log}")
            elif state.state.waiting and state.state.waiting.reason not in ("ContainerCreating", "PodInitializing"):
                waiting = state.state.waiting
                reasons.append(f"{name} waits: {waiting.reason}: {waiting.message or 'no message'}")
        for condition in pod.status.conditions or []:
            if condition.type == "PodScheduled" and condition.status == "False":
                reasons.append(f"{name} fits on no node: {condition.message}")
    return reasons


def full_quotas(api: CoreV1Api, namespace: str, selector: str) -> list[str]:
    """Return the quotas that keep a session from having any executor, one line each.

    Args:
        api: The cluster's API.
        namespace: Where the executors would be.
        selector: Label selector of the session's executors.
    """
    if api.list_namespaced_pod(namespace, label_selector=selector, limit=1).items:
        return []
    return [
        f"quota {quota.metadata.name} of namespace {namespace} is used up ({resource}: {quota.status.used[resource]} "
        f"of {most}); stop other sessions, ask for smaller executors, or ask for more"
        for quota in api.list_namespaced_resource_quota(namespace).items
        for resource, most in (quota.status.hard or {}).items()
        if _amount(quota.status.used.get(resource, "0")) >= _amount(most)
    ]


def _amount(quantity: str) -> float:
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(quantity))


def warnings(api: CoreV1Api, namespace: str, prefix: str) -> list[str]:
    """Return the warning events about pods whose names begin with a prefix, newest last."""
    events = api.list_namespaced_event(namespace, field_selector="type=Warning").items
    ours = [event for event in events if (event.involved_object.name or "").startswith(prefix)]
    return list(dict.fromkeys(f"{event.involved_object.name}: {event.reason}: {event.message}" for event in ours))


def kept(seen: list[str], now: list[str]) -> list[str]:
    """Return the later of two looks at pods, unless it knows less: one that failed is soon gone, with its log."""
    return now if not seen or any(UNREAD not in reason for reason in now) else seen


def unauthorized(error: Exception) -> bool:
    """Return whether the API refused a token."""
    return getattr(error, "status", 0) == 401


def last_lines(api: CoreV1Api, namespace: str, pod: str) -> str:
    """Return the end of a pod's log; of a Java program, what was thrown."""
    from kubernetes.client import ApiException

    try:
        lines = str(api.read_namespaced_pod_log(pod, namespace, tail_lines=300)).strip().splitlines()
    except ApiException as error:
        return f"({UNREAD}: {error.reason})"
    # of a Java program's traces, what was thrown; of anything else the end
    thrown = [line for line in lines if THROWN.match(line)]
    return "\n".join(dict.fromkeys(thrown[-6:] or lines[-15:]))


def _named(kubeconfig: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    return next(entry for entry in kubeconfig[kind] if entry["name"] == name)


def _file(folder: str, name: str, content: bytes) -> str:
    path = Path(folder, name)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)
