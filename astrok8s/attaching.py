"""Attaches this process to a cluster, as the driver of executors there."""

import re
import secrets
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from astrok8s import _driver, _shuffle, _storage
from astrok8s._cloud import connection_of
from astrok8s._kubernetes import CoreV1Api, SparkBase, access_of, config_map, spark_base, token
from astrok8s._pods import Pods
from astrok8s._progress import Progress
from astrok8s._sizing import executor_properties, executor_room, rooms
from astrok8s.clusters import Cluster, get_cluster
from astrok8s.errors import AttachError, OptionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODES = ("client",)


def attach(
    cluster: Cluster | str = "astro",
    *,
    mode: Literal["client"] = "client",
    cloud: str | None = None,
    namespace: str = "spark",
    executors: int | None = None,
    conf: Mapping[str, str] | None = None,
    token_hours: float = 12,
    timeout_s: float = 120,
    quiet: bool = False,
) -> "SparkSession":
    """Returns a Spark session whose executors run on a cluster.

    The session acts as the service account of one namespace, by a token that ends. The administrator's certificate is
    used to ask for that token, and is gone then.

    Where the cloud has S3 in its catalogue, driver and executors read and write `s3a://` in the project's buckets, with
    a key of the user's own.

    Args:
        cluster: The cluster, or its name.
        mode: `client`: the driver is this process, which must reach the nodes of the cluster, and they it.
        cloud: Where a name is looked for, an entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        namespace: Where executors run; the role spark_base has prepared it.
        executors: How many; as many as the cluster has workers by default. Their size follows from what the nodes have
            left (`astrok8s._sizing`). With `spark.dynamicAllocation.enabled` in conf this is the most, and none is
            waited for.
        conf: Properties of Spark; they win over those that are set here.
        token_hours: How long the session may last, in hours; from 10 minutes to a week.
        timeout_s: How long to wait for the executors, in seconds; before them, for the cluster's shuffle services.
        quiet: Show no progress.

    Returns:
        The session. A process has one: where it is attached to that cluster already, that session.

    Raises:
        OptionError: An argument cannot be taken.
        CloudError: The cloud cannot be used, has no such cluster, or it is not ready.
        AttachError: There is no session, and why.

    Example:
        >>> spark = astrok8s.attach("hyades")
        >>> spark.range(10**9).selectExpr("sum(id)").show()
    """
    _check_arguments(mode, executors, token_hours)
    with Progress(quiet=quiet) as progress:
        found = cluster if isinstance(cluster, Cluster) else get_cluster(cluster, cloud=cloud)
        if session := _driver.session_here(found.uuid):
            return session
        progress.say(f"asking {found.cloud} for access to {found.name}")
        with connection_of(found.cloud) as connection, (access := access_of(connection, found)).api() as api:
            here = access.local_address()
            base = spark_base(api, namespace)
            _check_version(base)
            shuffle = _shuffle.settings(api, namespace, conf or {})
            count, nodes = executors or max(1, found.size), rooms(api)
            storage = _storage.properties(connection, progress.say)
            wanted = {
                "spark.app.name": f"astrok8s {found.name}",
                **_driver.properties(access, token(api, base, token_hours), here, found.uuid),
                **_executors(base, found.name, count, dynamic=_shuffle.is_on(conf or {}, _shuffle.DYNAMIC)),
                **executor_properties(executor_room(nodes, count)),
                **storage,
                **_shuffle.properties(shuffle),
                **_history(connection, api, namespace, storage, progress.say),
                **(conf or {}),
            }
            _shuffle.wait(api, namespace, shuffle, len(nodes), timeout_s, progress.say)
            progress.say(f"starting Spark {base.spark_version} as {base.service_account} in {base.namespace}")
            session = _driver.start(wanted, _shuffle.secret(api, namespace, shuffle))
            try:
                _wait_for_executors(session, api, base, timeout_s, progress.say)
            except BaseException:
                session.stop()
                raise
    return session


def _history(
    connection: Any, api: CoreV1Api, namespace: str, storage: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """Returns Spark's properties for an event log, where the cluster has a history server and we a key."""
    history = config_map(api, namespace, "spark-history")
    if history is None or "spark.hadoop.fs.s3a.access.key" not in storage:
        return {}
    return _storage.event_log(connection, history["eventLogs"], say)


def _check_arguments(mode: str, executors: int | None, token_hours: float) -> None:
    if mode not in MODES:
        remedy = f"Give one of: {', '.join(MODES)}."
        raise OptionError("mode", f"There is no mode {mode!r} to attach in.", remedy=remedy)
    if executors is not None and (not isinstance(executors, int) or executors < 1):
        remedy = "Give a whole number, at least 1, or None."
        raise OptionError("executors", f"There cannot be {executors!r} executors.", remedy=remedy)
    if not 1 / 6 <= token_hours <= 7 * 24:  # Kubernetes makes no token for less
        remedy = "Give a number of hours, from 10 minutes to a week."
        raise OptionError("token_hours", f"A token cannot be valid for {token_hours!r} hours.", remedy=remedy)


def _check_version(base: SparkBase) -> None:
    """Checks that driver and executors understand each other.

    Raises:
        AttachError: They do not.
    """
    ours = version("pyspark")
    if ours != base.spark_version:
        raise AttachError(
            f"The cluster's image {base.image} has Spark {base.spark_version}, and this Python has pyspark {ours}.",
            remedy=f"Install pyspark=={base.spark_version}, or provision the cluster with an image of Spark {ours}.",
        )


def _executors(base: SparkBase, cluster: str, count: int, *, dynamic: bool) -> dict[str, str]:
    """Returns Spark's properties for the executors, but for their size."""
    word = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")[:30]
    return {
        # Spark would start with as many instances, too: dynamic ones come when there is work.
        "spark.dynamicAllocation.maxExecutors" if dynamic else "spark.executor.instances": str(count),
        "spark.kubernetes.allocation.batch.size": str(count),
        "spark.kubernetes.container.image": base.image,
        # That a pod was deleted by force, or with its node, nobody tells Spark: it sees so when it asks.
        "spark.kubernetes.executor.apiPollingInterval": "3s",
        "spark.kubernetes.container.image.pullPolicy": "IfNotPresent",
        "spark.kubernetes.executor.podNamePrefix": f"{word}-{secrets.token_hex(3)}",
        "spark.kubernetes.namespace": base.namespace,
    }


def _wait_for_executors(
    session: "SparkSession", api: CoreV1Api, base: SparkBase, timeout_s: float, say: Callable[[str], None]
) -> None:
    """Waits until all executors have registered; dynamic ones come when there is work.

    Raises:
        AttachError: They have not in time; with what is wrong with their pods.
    """
    context = session.sparkContext
    properties = dict(context.getConf().getAll())
    if _shuffle.is_on(properties, _shuffle.DYNAMIC):
        return
    wanted = int(properties["spark.executor.instances"])

    def lacking() -> str:
        there = 0 if _driver.is_over(context) else _driver.executors_here(context)
        return "" if there >= wanted else f"{there} of {wanted} executors are here"

    pods = Pods(api, base.namespace, f"spark-app-selector={context.applicationId},spark-role=executor")
    reasons = pods.wait(lacking, timeout_s, say, lambda: _driver.is_over(context))
    if reasons is not None:
        over = "Spark gave up" if _driver.is_over(context) else f"not all within {timeout_s:.0f} s"
        raise AttachError(
            f"The {wanted} executors did not come: {over}.\n{reasons}\n",
            remedy="Mend that (fewer executors, a larger cluster, another image, a firewall that lets them reach the "
            "driver), and attach again.",
        )
