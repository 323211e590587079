"""Spark Connect: a server in the cluster, started by the first who attaches, and sessions on it through a tunnel."""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astrok8s._errors import AttachError
from astrok8s._forward import open_port
from astrok8s._kube import UNAUTHORIZED, kept, last_lines, unauthorized, why_no_executors
from astrok8s._tunnel import Tunnel

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api
    from pyspark.sql import SparkSession

NAME = "spark-connect"
"""Config map and secret that the role spark_connect makes."""

PORT = 15002
"""Spark Connect's own."""

LABEL = "astrok8s/server"
"""Of a server's pod and its executors: the pod's name."""

RUNTIME = "spark.sql."
"""Properties that begin so are a session's own; any other is its server's, which it then shares with nobody else."""

BROKEN_SECONDS = 45.0
"""How long a query waits for the way to its server to be back, before it ends with an error."""

REFUSED_SECONDS = 5.0
"""How long the API may refuse a token until that is believed: one that starts may not know the account yet."""

PAUSE = 0.25
"""Seconds between two looks at a server that starts."""


@dataclass(frozen=True)
class Server:
    """A server as it is to be: who asks for the same shares it.

    Attributes:
        namespace: Where its pod is.
        name: The pod's, which follows from what was asked for.
        template: The pod's manifest, without name and properties.
        token: What its clients show.
    """

    namespace: str
    name: str
    template: str
    token: str = field(repr=False)

    @property
    def executors(self) -> str:
        """Label selector of its executors."""
        return f"{LABEL}={self.name},spark-role=executor"


def server_of(api: CoreV1Api, namespace: str, asked: str) -> Server:
    """Return the server that a session needs.

    Args:
        api: The cluster's API, as the service account.
        namespace: Of the service account.
        asked: What was asked for.

    Raises:
        AttachError: The namespace is not prepared for Spark Connect.
    """
    from kubernetes.client import ApiException

    try:
        template = api.read_namespaced_config_map(NAME, namespace).data["pod.yaml"]
        token = b64decode(api.read_namespaced_secret(NAME, namespace).data["token"]).decode()
    except ApiException as error:
        if error.status not in (403, 404):
            raise
        raise AttachError(
            f"namespace {namespace} of the cluster is not prepared for Spark Connect ({error.reason}); provision the "
            'cluster again with spark_connect_state "present", or attach with mode="client"'
        ) from error
    name = f"connect-{hashlib.sha256(f'{template}{asked}'.encode()).hexdigest()[:10]}"
    return Server(namespace, name, template, token)


def start(
    api: CoreV1Api,
    server: Server,
    properties: Callable[[], Mapping[str, str]],
    complete: Callable[[dict[str, Any]], None],
    deadline: float,
    say: Callable[[str], None],
) -> bool:
    """Start a server unless it runs, and wait until clients can connect.

    Args:
        api: The cluster's API, as the service account.
        server: Which one.
        properties: Gives those of a new server.
        complete: Adds to the manifest of a new server what else it is to have.
        deadline: Seconds.
        say: Takes what is being waited for.

    Returns:
        Whether it was started here.

    Raises:
        AttachError: It does not start, and why.
    """
    end, seen, ours = time.monotonic() + deadline, list[str](), ""
    while True:
        pod = _find(api, server)
        if pod is None:
            ours = _create(api, server, properties(), complete) or ours
        elif pod.status.phase in ("Succeeded", "Failed") and pod.metadata.uid != ours:
            remove(api, server)  # one that ended before
        elif pod.metadata.deletion_timestamp is None and any(s.ready for s in pod.status.container_statuses or []):
            return bool(ours)
        else:
            seen = kept(seen, why_no_executors(api, server.namespace, f"{LABEL}={server.name},!spark-role"))
        failed = pod is not None and pod.metadata.uid == ours and pod.status.phase == "Failed"
        if failed or time.monotonic() > end:
            when = "ended at once" if failed else f"is not ready after {deadline:.0f} s"
            if ours:
                remove(api, server)
            why = "\n".join(seen) or "it says nothing yet; attach again, or give a longer deadline"
            raise AttachError(f"the Spark Connect server {server.name} {when}:\n{why}")
        say(f"waiting for Spark Connect in the cluster{f': {seen[0].splitlines()[0]}' if seen else ''}")
        time.sleep(PAUSE)


def _find(api: CoreV1Api, server: Server) -> Any:
    from kubernetes.client import ApiException

    try:
        return api.read_namespaced_pod(server.name, server.namespace)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def _create(
    api: CoreV1Api, server: Server, properties: Mapping[str, str], complete: Callable[[dict[str, Any]], None]
) -> str:
    """Create the pod; return its UID, or nothing if somebody else was faster."""
    import yaml
    from kubernetes.client import ApiException

    pod: dict[str, Any] = yaml.safe_load(server.template)
    pod["metadata"] |= {"name": server.name, "namespace": server.namespace}
    pod["metadata"]["labels"] |= {LABEL: server.name}
    container = pod["spec"]["containers"][0]
    arguments, has = container["args"], {variable["name"] for variable in container["env"]}
    for key, value in properties.items():
        arguments += ["--conf", f"{key}={value}"]
        # what executors find in their environment, the server does: it runs some Python, too
        name = key.removeprefix("spark.executorEnv.")
        if name not in (key, *has):
            container["env"].append({"name": name, "value": value})
    arguments.append("spark-internal")
    complete(pod)
    try:
        return str(api.create_namespaced_pod(server.namespace, pod).metadata.uid)
    except ApiException as error:
        if error.status == 409:
            return ""
        said = json.loads(error.body or "{}").get("message") or error.reason
        raise AttachError(f"the cluster refuses the Spark Connect server: {said}") from error


def remove(api: CoreV1Api, server: Server) -> None:
    """Take a server away at once, and its executors with it."""
    from kubernetes.client import ApiException

    try:
        api.delete_namespaced_pod(server.name, server.namespace, grace_period_seconds=0)
    except ApiException as error:
        if error.status != 404:
            raise


def open_tunnel(api: CoreV1Api, server: Server) -> Tunnel:
    """Return a tunnel to a server that runs."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    (uid,) = (pod.metadata.uid for pod in [_find(api, server)])
    refused: float | None = None

    def gone() -> str:
        nonlocal refused
        try:
            pod = _find(api, server)
        except (ApiException, HTTPError) as error:
            if not unauthorized(error):
                return ""  # the API is away
            refused = refused or time.monotonic()
            return UNAUTHORIZED if time.monotonic() - refused > REFUSED_SECONDS else ""
        refused = None
        if pod is not None and pod.metadata.uid == uid and pod.status.phase not in ("Succeeded", "Failed"):
            return ""
        why = why_no_executors(api, server.namespace, f"{LABEL}={server.name},!spark-role")
        return f"the Spark Connect server {server.name} has ended{': ' + why[0] if why else ''}"

    return Tunnel(lambda: open_port(api, server.namespace, server.name, PORT), gone)


def import_ahead() -> None:
    """Have Spark's client imported beside what is asked of the cloud: it takes a second, and waits for nobody."""
    threading.Thread(target=_import, name="astrok8s-import", daemon=True).start()


def _import() -> None:
    # what keeps it from being imported is told where it is needed
    with suppress(ImportError):
        importlib.import_module("pyspark.sql.connect.session")


def connect(api: CoreV1Api, server: Server, tunnel: Tunnel, conf: Mapping[str, str]) -> SparkSession:
    """Return a session on a server that runs.

    Args:
        api: The cluster's API, as the service account.
        server: Which one.
        tunnel: To the server.
        conf: The session's own properties.

    Raises:
        AttachError: The server does not take it.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.pop("SPARK_REMOTE", None)  # another server, which somebody has set for other notebooks
    session: SparkSession | None = None
    try:
        session = SparkSession.builder.remote(f"sc://localhost:{tunnel.port}/;token={server.token}").create()
        session.client.set_retry_policies([_patient(tunnel)])
        # When the process ends, Spark's client says good-bye, and nobody wants to wait for a server that is away then.
        # What was registered last is called first.
        atexit.register(tunnel.close)
        for key, value in conf.items():
            session.conf.set(key, value)
        _ = session.version  # asks the server, and needs no executor
    except BaseException as error:
        disconnect(session, tunnel)
        if not isinstance(error, PySparkException):
            raise
        said = error.getMessage() or last_lines(api, server.namespace, server.name)
        raise AttachError(f"the Spark Connect server {server.name} refuses the session; see conf:\n{said}") from error
    return session


def disconnect(session: SparkSession | None, tunnel: Tunnel) -> None:
    """End a session without asking its server, which is gone or not wanted.

    Args:
        session: The session, if there is one yet. PySpark's functions ask the last one that was not stopped.
        tunnel: To its server.
    """
    atexit.unregister(tunnel.close)
    tunnel.close()
    if session is not None:
        session.release_session_on_close = False
        session.stop()


def _patient(tunnel: Tunnel) -> Any:
    """Return a policy of Spark's client: try again while the tunnel may come back, and say what is wrong if not."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    class TunnelPolicy(DefaultPolicy):  # type: ignore[misc]
        def can_retry(self, exception: BaseException) -> bool:
            if tunnel.closed or not super().can_retry(exception):
                return False
            seconds, why = tunnel.broken()
            if ended := tunnel.ended():
                raise AttachError(
                    f"{ended}; what it held is lost: attach again, and run the cells again"
                ) from exception
            if seconds > BROKEN_SECONDS:
                raise AttachError(
                    f"the cluster has not been reached for {seconds:.0f} s ({why}); see whether `astrok8s list` shows "
                    "it, and run the cell again: the session goes on if its server still runs"
                ) from exception
            return True

    return TunnelPolicy(max_retries=200, initial_backoff=100, max_backoff=2000, backoff_multiplier=2, jitter=100)
