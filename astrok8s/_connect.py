"""Sessions of Spark Connect: the driver is a server in the cluster, reached through the Kubernetes API."""

import math
import os
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from astrok8s import _cells, _lease, pages
from astrok8s._cells import Stage
from astrok8s._environment import Packages
from astrok8s._kubernetes import Account, CoreV1Api, SparkBase, config_map
from astrok8s._pods import Pods
from astrok8s._tunnel import Tunnel
from astrok8s._watch import Watch
from astrok8s.errors import AstroK8sError, AttachError, ClusterGoneError, OptionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import RetryPolicy

# Of the role's objects in the cluster.
_NAME = "spark-connect"
_SELECTOR = f"app.kubernetes.io/name={_NAME}"
_EXECUTORS = "spark-role=executor,astrok8s/server=connect"
_MODE = "SPARK_CONNECT_MODE_ENABLED"
"""PySpark's functions ask the environment whether they are Connect's."""

# A connection that is cut is tried again for as long: an API server is back by then, or somebody must look. Who has
# been told so is not kept waiting by the next call, nor by what Spark's client does at the end.
_RECONNECT_S = 35
_GIVEN_UP_S = 60
# An API server that has just started refuses everybody for a moment; whom it refuses for longer it does not know.
_REFUSED_S = 5
_POLL_MS, _LONGEST_POLL_MS = 200, 2000

_sessions: dict[str, "SparkSession"] = {}
"""The sessions of this process, by the UUID of their cluster."""


def session_here(cluster_uuid: str | None = None) -> "SparkSession | None":
    """Returns a session of this process whose server answers; None where there is none.

    Args:
        cluster_uuid: The cluster that it is attached to; any if None.
    """
    for uuid, session in list(_sessions.items()):
        if not _answers(session):
            del _sessions[uuid]
    if not _sessions:
        os.environ.pop(_MODE, None)
    return _sessions.get(cluster_uuid) if cluster_uuid else next(iter(_sessions.values()), None)


def _answers(session: Any) -> bool:
    """Returns whether a session's server still knows it; what it does not know is stopped here, too."""
    from pyspark.errors import PySparkException

    if session.is_stopped:
        return False
    try:
        session.conf.get("spark.app.name")
    except (AttachError, PySparkException):
        session.release_session_on_close = False
        session.stop()
        return False
    return True


def check_conf(conf: Mapping[str, str]) -> None:
    """Checks that properties are those of a session.

    Raises:
        OptionError: One belongs to the server.
    """
    if others := [name for name in conf if not name.startswith("spark.sql.")]:
        raise OptionError(
            "conf",
            f"{', '.join(others)} cannot be set for a session of Spark Connect, whose server others use, too.",
            remedy="Provision the cluster with spark_connect_conf={…}, or attach with mode='client'.",
        )


class Cluster(Protocol):
    """What a session must know of its cluster: one of the cloud, or one of which the user knows a namespace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uuid(self) -> str:
        """What tells it from others."""

    def gone(self) -> AstroK8sError | None:
        """Returns what to tell where it has ended; None where it has not, or that is not known."""


def attach(
    cluster: Cluster,
    account: Account,
    api: CoreV1Api,
    base: SparkBase,
    *,
    conf: Mapping[str, str],
    packages: Packages | None,
    timeout_s: float,
    say: Callable[[str], None],
) -> "SparkSession":
    """Returns a session of a cluster's server.

    Args:
        cluster: The cluster.
        account: Who connects.
        api: The API of the cluster.
        base: What it tells of Spark in it.
        conf: Properties of the session.
        packages: Those of executors' Python.
        timeout_s: How long to wait for the server, in seconds.
        say: Is told what is waited for.

    Raises:
        AttachError: There is no session, and why.
    """
    namespace = base.namespace
    found = config_map(api, namespace, _NAME)
    if found is None:
        raise AttachError(
            f"The cluster {cluster.name} has no server of Spark Connect: it was declared without.",
            remedy=f"Provision it with spark_connect_state=present, or {account.otherwise}.",
        )
    deployment = _Deployment(account, namespace)
    deployment.start()
    pods = Pods(account.client(), namespace, _SELECTOR)
    reasons = pods.wait(lambda: "" if deployment.is_up() else "the server of Spark Connect starts", timeout_s, say)
    if reasons is not None:
        raise AttachError(
            f"The server of Spark Connect of {cluster.name} is not ready after {timeout_s:.0f} s.\n{reasons}\n",
            remedy=f"See `kubectl logs --namespace {namespace} deployment/{_NAME}`, or {account.otherwise}.",
        )
    say(f"attaching to the server of {cluster.name}")
    secret = b64decode(api.read_namespaced_secret(_NAME, namespace).data["token"]).decode()
    session = _session(cluster, Tunnel(account, namespace, _SELECTOR, int(found["port"])), secret, conf)
    _tell_of_jobs(session, Watch(Pods(account.client(), namespace, _EXECUTORS, lambda: _log(pods))))
    if packages:
        _use_packages(session, packages)
    pages.serve(session, lambda path: Tunnel(account, namespace, _SELECTOR, int(found["uiPort"]), path))
    _sessions[cluster.uuid] = session
    _lease.hold(account, namespace, cluster.name, lambda: not getattr(session, "is_stopped", True))
    return session


class _Deployment:
    """The Deployment of the server.

    Args:
        account: Who asks.
        namespace: The namespace of Spark.
    """

    def __init__(self, account: Account, namespace: str) -> None:
        from kubernetes import client

        self._api: Any = client.AppsV1Api(account.client().api_client)
        self._which = (_NAME, namespace)

    def start(self) -> None:
        """Starts the server, where it has ended since nobody used it."""
        if not self._api.read_namespaced_deployment_scale(*self._which).spec.replicas:
            self._api.patch_namespaced_deployment_scale(*self._which, {"spec": {"replicas": 1}})

    def is_up(self) -> bool:
        """Returns whether the server answers that was declared last: one that is about to be replaced may, too."""
        found = self._api.read_namespaced_deployment(*self._which)
        current = (found.status.observed_generation or 0) >= found.metadata.generation
        return bool(current and found.status.updated_replicas and found.status.ready_replicas)


def _session(cluster: Cluster, tunnel: Tunnel, secret: str, conf: Mapping[str, str]) -> "SparkSession":
    """Returns a session through a tunnel.

    Raises:
        AttachError: The server refuses it.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession

    # `localhost`, by which gRPC knows that the secret stays on this machine.
    channel = DefaultChannelBuilder(
        f"sc://localhost:{tunnel.port}/;token={secret}",
        channelOptions=[("grpc.max_reconnect_backoff_ms", _LONGEST_POLL_MS)],
    )
    os.environ[_MODE] = "1"
    session = None
    try:
        session = SparkSession.builder.channelBuilder(channel).create()
        session.client.set_retry_policies([_policy(cluster, tunnel)])
        for name, value in conf.items():
            session.conf.set(name, value)
    except PySparkException as error:
        if session:
            session.stop()
        if not _sessions:
            os.environ.pop(_MODE)
        why = "; ".join(part for part in (str(error).splitlines()[0], tunnel.why) if part)
        raise AttachError(
            f"The server of Spark Connect of {cluster.name} gives no session: {why}.",
            remedy=f"See the properties in conf, or {tunnel.account.otherwise}.",
        ) from error
    return session  # type: ignore[return-value]


def _use_packages(session: "SparkSession", packages: Packages) -> None:
    """Lets executors unpack an archive of packages, if there is one, and use their Python."""
    if packages.archive and packages.archive.startswith("s3a:"):
        session.sql(f"ADD ARCHIVE '{packages.archive}'")
    elif packages.archive:
        session.addArtifacts(packages.archive, archive=True)
    session.conf.set("spark.sql.execution.pyspark.python", packages.python)


def _log(servers: Pods) -> str:
    """Returns what the server has said in the last minutes."""
    name = servers.ready()[0].metadata.name
    return str(servers.api.read_namespaced_pod_log(name, servers.namespace, since_seconds=180, tail_lines=500))


def _tell_of_jobs(session: Any, watch: Watch) -> None:
    """Has it told how far jobs are, and what keeps executors from working on them."""
    cells = _cells.here()

    def progress(stages: Any, inflight_tasks: int, done: bool, **_: object) -> None:
        watch.see(not done and not inflight_tasks and not all(stage.done for stage in stages))
        if cells:
            cells.see({stage.stage_id: Stage(stage.num_tasks, stage.num_completed_tasks) for stage in stages})

    session.registerProgressHandler(progress)


def _policy(cluster: Cluster, tunnel: Tunnel) -> "RetryPolicy":
    """Returns how a call is tried again: until the connection is back, or somebody must look."""
    from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

    given_up = -math.inf

    class State(RetryPolicyState):
        since: float | None = None
        refused: float | None = None

        def next_attempt(self, exception: BaseException | None = None) -> int | None:
            nonlocal given_up
            now = time.monotonic()
            self.since = self.since or now
            self.refused = (self.refused or now) if tunnel.refused else None
            if now - self.since > _RECONNECT_S or (self.refused and now - self.refused > _REFUSED_S):
                given_up = now
            if now - given_up < _GIVEN_UP_S:
                raise tunnel.refused or _lost(cluster, tunnel) from exception
            return super().next_attempt(exception)

    class Policy(DefaultPolicy):
        def to_state(self) -> RetryPolicyState:
            return State(self)

    return Policy(max_retries=None, initial_backoff=_POLL_MS, max_backoff=_LONGEST_POLL_MS)


def _lost(cluster: Cluster, tunnel: Tunnel) -> AttachError:
    """Returns what to tell where the connection to a cluster was lost for good."""
    if gone := cluster.gone():
        return ClusterGoneError(gone.fact, remedy=f"{gone.remedy} Then attach again.")
    return AttachError(
        f"The connection to {cluster.name} was lost, and is not back after {_RECONNECT_S} s: "
        f"{tunnel.why or 'its server of Spark Connect does not answer'}.",
        remedy=f"{tunnel.account.look} Then attach again.",
    )
