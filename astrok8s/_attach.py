"""Attaches this process to a cluster: to a Spark Connect server there, or as the driver of executors there."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings as python_warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrok8s import _connect as connect
from astrok8s import _environment as packages
from astrok8s import _storage as storage
from astrok8s import _template as template
from astrok8s._cloud import magnum
from astrok8s._cluster import Cluster, get_cluster
from astrok8s._cvmfs import Cvmfs, cvmfs_of
from astrok8s._errors import AttachError, HistoryWarning, OptionError
from astrok8s._executors import executor_properties, user
from astrok8s._jars import class_path
from astrok8s._java import check_java
from astrok8s._jvm import is_over, stop
from astrok8s._kube import (
    Access,
    SparkBase,
    account_api,
    full_quotas,
    kept,
    spark_base,
    token,
    warnings,
    why_no_executors,
)
from astrok8s._progress import Progress
from astrok8s._reach import reaching
from astrok8s._shuffle import Shuffle, shuffle_of
from astrok8s._sizing import Room, beside, rooms
from astrok8s._spark import properties_of, session_here, start, write_secret
from astrok8s._tunnel import Tunnel
from astrok8s._watch import watch

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api
    from pyspark.sql import SparkSession

MODES = ("connect", "client")


def attach(
    cluster: Cluster | str = "astrok8s",
    *,
    mode: Literal["connect", "client"] = "connect",
    cloud: str | None = None,
    namespace: str = "spark",
    app_name: str | None = None,
    conf: Mapping[str, str] | None = None,
    environment: str | Path | None = None,
    executors: int | None = None,
    token_hours: float = 12,
    deadline: float = 120,
    quiet: bool = False,
) -> SparkSession:
    """Return a Spark session whose executors run on a cluster.

    The session acts as a service account of one namespace, by a token that ends; the administrator's certificate is
    used in memory, to ask for that token, and dropped.

    Executors come when there is work, and go when there has been none for a minute. While the session is open, what
    keeps them from coming is told on standard error.

    Args:
        cluster: A cluster, or its name.
        mode: ``connect``: a Spark Connect server in the cluster is the driver. It starts with the first session, is
            shared by all that ask for the same properties, and ends when nobody has been connected for a while. It is
            reached through the Kubernetes API, from behind any NAT. ``client``: the driver is this process, with all
            of PySpark (RDDs, ``sparkContext``), which must reach the cluster's nodes, and they it.
        cloud: Where to look for a name: entry of clouds.yaml; default ``$OS_CLOUD``, else ``local``.
        namespace: Where executors run; prepared by the role spark_base.
        app_name: Name of the Spark application; with ``connect`` a tag of the session's jobs.
        conf: Properties of Spark; they win over those that are set here.
        environment: Python packages for executors, besides those of the image, so that functions import what the
            notebook does. ``"here"``: this Python's. A path: what a requirements file asks for. They are packed once,
            and kept in the user's bucket, in ``environments/``, until somebody deletes them; versions that a
            requirements file leaves open are decided then. What cannot be packed is told. A folder in CVMFS, as
            ``"/cvmfs/sw.astro.example/python"``: the packages that it has, as they are; nothing is packed or shipped.
        executors: How many at most, None for as many as fit; their size follows from what the nodes have left (see
            `astrok8s._sizing`).
        token_hours: How long the session may last.
        deadline: Seconds to wait for the server, or for the first executor.
        quiet: Do not show progress.

    Returns:
        The session. A process has one: attached to the same cluster, it is returned.

    Raises:
        OptionError: An argument is wrong.
        CloudError: The cloud cannot be reached, or has no such cluster.
        AttachError: There is no session, and why.

    Example:
        >>> spark = astrok8s.attach("hyades", executors=8)
        >>> spark.range(10**9).selectExpr("sum(id)").show()
    """
    _check_arguments(mode, executors, token_hours)
    packages.check(environment)
    if mode == "connect":
        connect.import_ahead()
    with Progress(quiet=quiet) as progress:
        found = cluster if isinstance(cluster, Cluster) else get_cluster(cluster, cloud=cloud)
        if session := _attached(found, mode):
            progress.say(f"this process is attached to {found.name} already")
            return session
        progress.say(f"asking {found.cloud} for access to {found.name}")
        with magnum(found.cloud) as api:
            access = Access.from_kubeconfig(api.kubeconfig(found.uuid))
        here = access.local_address()
        with access.api() as kube:
            base = spark_base(kube, namespace)
            _check_versions(base)
            room = rooms(kube)
            stored, repositories = storage.storage_of(kube, namespace), cvmfs_of(kube, namespace)
            bearer = token(kube, base, token_hours)
            python = packages.properties(environment, stored, repositories, progress.say)
            told = _Told(room, stored, shuffle_of(kube, namespace), repositories, python)
            request = _Request(found, access, base, told, bearer, dict(conf or {}), executors, app_name, deadline)
            if mode == "client":
                return _as_driver(request, kube, here, progress.say)
        return _to_server(request, progress.say)


@dataclass(frozen=True)
class _Told:
    """What the cluster tells of itself, and the properties by which its executors have the user's packages."""

    rooms: list[Room]
    storage: storage.Storage
    shuffle: Shuffle
    cvmfs: Cvmfs
    python: Mapping[str, str]

    @property
    def executor_template(self) -> str:
        """The template of executors' pods."""
        return template.executor_template(self.shuffle, self.cvmfs)


@dataclass(frozen=True)
class _Request:
    """What is asked for, and what is known of the cluster."""

    cluster: Cluster
    access: Access
    base: SparkBase
    told: _Told
    token: str
    conf: dict[str, str]
    executors: int | None
    app_name: str | None
    deadline: float


_servers: dict[str, tuple[SparkSession, Tunnel]] = {}
"""This process's sessions on Spark Connect servers, by the UUID of their clusters."""


def _attached(cluster: Cluster, mode: str) -> SparkSession | None:
    """Return this process's session if it is the cluster's; None if there is none.

    Raises:
        AttachError: The session is another one.
    """
    for uuid, (session, tunnel) in list(_servers.items()):
        if session.is_stopped or tunnel.ended():
            _servers.pop(uuid)
            connect.disconnect(session, tunnel)
    here = session_here(cluster)
    if mode == "client" and not _servers:
        return here
    if mode == "connect" and here is None:
        return _servers[cluster.uuid][0] if cluster.uuid in _servers else None
    raise AttachError(
        f'this process has a session with mode="{"client" if here else "connect"}" already, and has one kind of '
        "session at a time; call spark.stop() first, or attach from another notebook"
    )


def _as_driver(request: _Request, kube: CoreV1Api, here: str, say: Callable[[str], None]) -> SparkSession:
    """Return a session whose driver is this process."""
    check_java()
    # PySpark's own mark, which a session of Connect leaves behind
    os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
    base, conf = request.base, request.conf
    name = request.app_name or f"astrok8s {request.cluster.name}"
    stored, environment = storage.session(request.told.storage, conf)
    environment["SPARK_DIST_CLASSPATH"] = class_path(kube, base, say)
    write_secret("token", request.token.encode())
    properties = {
        **properties_of(request.access, here, name, request.cluster.uuid),
        **executor_properties(base, request.told.rooms, request.executors, name, {}, conf),
        **request.told.shuffle.here(),
        **stored,
        **request.told.cvmfs.properties,
        **request.told.python,
        **template.here(request.told.executor_template),
        **conf,
    }
    say(f"starting Spark {base.spark_version} as {base.service_account} in {base.namespace}")
    with reaching(kube, base, here) as check_way:
        session = start(properties, environment)
        context = session.sparkContext
        selector = f"spark-app-selector={context.applicationId},spark-role=executor"

        def why() -> list[str]:
            check_way()
            return why_no_executors(kube, base.namespace, selector)

        try:
            _wait_for_executors(session, kube, base.namespace, why, request.deadline, say)
        except BaseException:
            stop(session)
            raise
    account = account_api(request.access, request.token, "watch")
    watch(account, base.namespace, selector, lambda: context._jsc is not None)
    return session


def _to_server(request: _Request, say: Callable[[str], None]) -> SparkSession:
    """Return a session on a Spark Connect server in the cluster."""
    base, conf = request.base, request.conf
    own = {key: value for key, value in conf.items() if key.startswith(connect.RUNTIME)}
    shared = {key: value for key, value in conf.items() if key not in own}
    account = account_api(request.access, request.token, "connect")

    told, of_executors = request.told, request.told.executor_template
    kept = {**told.shuffle.properties, **told.cvmfs.properties, **told.python, **template.in_server(of_executors)}
    asked = json.dumps([shared, kept, of_executors, request.executors, user()], sort_keys=True)
    server = connect.server_of(account, base.namespace, asked)

    def complete(pod: dict[str, Any]) -> None:
        pod["metadata"].setdefault("annotations", {})[template.ANNOTATION] = of_executors
        told.cvmfs.mount(pod)

    def properties() -> dict[str, str]:
        name, labels = server.name, {connect.LABEL: server.name}
        return {
            "spark.app.name": f"astrok8s {request.cluster.name} {user()}",
            "spark.master": "k8s://https://kubernetes.default.svc",
            **executor_properties(base, beside(told.rooms), request.executors, name, labels, shared),
            "spark.kubernetes.executor.podNamePrefix": name,
            **kept,
            **told.storage.properties,
            **told.storage.history,
            **shared,
        }

    say(f"starting Spark Connect {base.spark_version} as {base.service_account} in {base.namespace}")
    begun = connect.start(account, server, properties, complete, request.deadline, say)
    tunnel = connect.open_tunnel(account, server)
    opened: SparkSession | None = None
    try:
        session = opened = connect.connect(account, server, tunnel, own)
        if begun:
            _wait_for_first_executor(account, server, request.deadline, say)
        if request.app_name:
            session.addTag(request.app_name.replace(",", " "))
        place = told.storage
        wanted = {**place.history, **shared}.get("spark.eventLog.enabled") == "true"
        if wanted and session.conf.get("spark.eventLog.enabled") != "true":
            python_warnings.warn(
                f"this session writes no history: object storage at {place.endpoint} did not answer when its "
                "server started",
                HistoryWarning,
                stacklevel=3,
            )
    except BaseException:
        connect.disconnect(opened, tunnel)
        if begun:
            connect.remove(account, server)  # nobody else has asked for it yet
        raise
    _servers[request.cluster.uuid] = (session, tunnel)
    watch(account, base.namespace, server.executors, lambda: not session.is_stopped)
    return session


def _check_arguments(mode: str, executors: int | None, token_hours: float) -> None:
    if mode not in MODES:
        raise OptionError(f"mode={mode!r} is not a way to attach; give one of {', '.join(MODES)}")
    if executors is not None and (isinstance(executors, bool) or not isinstance(executors, int) or executors < 1):
        raise OptionError(f"executors={executors!r} is not a number of executors; give a whole number from 1, or None")
    # Kubernetes mints no token for less than ten minutes.
    if not 1 / 6 <= token_hours <= 24 * 7:
        raise OptionError(f"token_hours={token_hours!r} is not between 10 minutes and a week; give a number of hours")


def _check_versions(base: SparkBase) -> None:
    """Check that executors and driver understand each other.

    Raises:
        AttachError: They do not.
    """
    ours = version("pyspark")
    if ours != base.spark_version:
        raise AttachError(
            f"the cluster's image {base.image} has Spark {base.spark_version}, and this Python has pyspark {ours}; "
            f"install pyspark=={base.spark_version} here, or provision the cluster with an image of Spark {ours}"
        )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if base.python_version and not f"{base.python_version}.".startswith(f"{python}."):
        raise AttachError(
            f"the cluster's image {base.image} has Python {base.python_version}, and this is Python {python}; "
            f"use a Python {base.python_version} here, or provision the cluster with an image of Python {python}"
        )


def _wait_for_executors(
    session: SparkSession,
    kube: CoreV1Api,
    namespace: str,
    why: Callable[[], list[str]],
    deadline: float,
    say: Callable[[str], None],
) -> None:
    """Wait until those that come with the session have registered; what is wrong with their pods is the error else."""
    context = session.sparkContext
    conf = context.getConf()
    fixed = conf.get("spark.dynamicAllocation.enabled") != "true"
    count = conf.get("spark.executor.instances" if fixed else "spark.dynamicAllocation.initialExecutors")
    wanted = int(count or 1)
    prefix = conf.get("spark.kubernetes.executor.podNamePrefix") or ""
    end = time.monotonic() + deadline
    seen: list[str] = []
    while time.monotonic() < end and not is_over(context):
        # The tracker counts the driver too.
        there = len(context._jsc.sc().statusTracker().getExecutorInfos()) - 1
        shown = f"; {seen[0].splitlines()[0]}" if seen and there < wanted else ""
        say(f"{there} of {wanted} executors are here{shown}")
        if there >= wanted:
            return
        # Spark removes a failed pod within a second, so look at each turn.
        seen = kept(seen, why())
        time.sleep(0.25)
    when = "Spark gave up" if is_over(context) else f"not all came within {deadline:.0f} s"
    raise _no_executors(seen or warnings(kube, namespace, prefix), wanted, when)


PATIENCE = 10.0
"""Seconds that something must be wrong with a first executor until attach gives up: nodes and images come and go."""


def _wait_for_first_executor(
    account: CoreV1Api, server: connect.Server, deadline: float, say: Callable[[str], None]
) -> None:
    """Wait until a new server has an executor; a reason that stays is the error."""
    end, since, seen = time.monotonic() + deadline, time.monotonic(), list[str]()
    while True:
        pods = account.list_namespaced_pod(server.namespace, label_selector=server.executors).items
        if any(status.ready for pod in pods for status in pod.status.container_statuses or []):
            return
        now = [*why_no_executors(account, server.namespace, server.executors)]
        now += full_quotas(account, server.namespace, server.executors)
        if not now:
            since = time.monotonic()
        seen = kept(seen, now)
        if time.monotonic() > end or time.monotonic() - since > PATIENCE:
            raise _no_executors(
                seen or warnings(account, server.namespace, server.name), 1, "the server waits for them"
            )
        say(f"waiting for a first executor{f': {seen[0].splitlines()[0]}' if seen else ''}")
        time.sleep(0.25)


def _no_executors(reasons: list[str], wanted: int, when: str) -> AttachError:
    why = reasons or ["their pods say nothing; a firewall may keep them from the driver"]
    return AttachError(
        f"the {wanted} executors did not come, {when}:\n"
        + "\n".join(dict.fromkeys(why))
        + "\nSet that right (fewer executors, a larger cluster, another image) and attach again."
    )
