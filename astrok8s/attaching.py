"""Attaches this process to a cluster: to its server of Spark Connect, or as the driver of executors there."""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrok8s import _client, _connect, _driver, _environment, _storage
from astrok8s._cloud import connection_of
from astrok8s._environment import Packages
from astrok8s._granted import Granted
from astrok8s._kubernetes import CoreV1Api, SparkBase, access_of, config_map, spark_account, spark_base, told
from astrok8s._progress import Progress
from astrok8s.clusters import Cluster, get_cluster
from astrok8s.errors import AttachError, OptionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODES = ("connect", "client")


def attach(
    cluster: Cluster | str = "astro",
    *,
    mode: Literal["connect", "client"] = "connect",
    cloud: str | None = None,
    namespace: str = "spark",
    executors: int | None = None,
    conf: Mapping[str, str] | None = None,
    environment: str | None = None,
    kubeconfig: str | Path | None = None,
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
        mode: `connect`: the driver is the cluster's server of Spark Connect, which other sessions use, too; this
            process must reach the Kubernetes API, and nothing else. `client`: the driver is this process, which must
            reach the nodes of the cluster, and they it; what needs a SparkContext, as RDDs, works in this mode only.
        cloud: Where a name is looked for, an entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        namespace: Where executors run; the role spark_base has prepared it.
        executors: How many (`client`; otherwise they come and go with the work); as many as the cluster has workers by
            default. Their size follows from what the nodes have left (`astrok8s._sizing`). With
            `spark.dynamicAllocation.enabled` in conf this is the most, and none is waited for.
        conf: Properties of Spark; they win over those that are set here. With `connect`, those of a session:
            `spark.sql.…`.
        environment: What Python functions on executors have beside the image's packages: "here", those of this Python
            (but for what only astrok8s needs); or the path of a file of requirements, as pip reads it. It is packed
            once, and kept in a bucket of the project. A folder of CVMFS with a program `bin/python` in it, such as
            "/cvmfs/sw.example.org/python", is used where it lies.
        kubeconfig: The file of an access that was granted (`astrok8s grant`), to a namespace of the user's own: then no
            cloud is asked, and the cluster and the namespace are those of the file. Its token is renewed while it is
            used.
        token_hours: How long the session may last, in hours; from 10 minutes to a week.
        timeout_s: How long to wait, in seconds, for the server or the executors.
        quiet: Show no progress.

    Returns:
        The session. Where this process is attached to that cluster already, that session.

    Raises:
        OptionError: An argument cannot be taken.
        CloudError: The cloud cannot be used, has no such cluster, or it is not ready.
        AttachError: There is no session, and why.

    Example:
        >>> spark = astrok8s.attach("hyades")
        >>> spark.range(10**9).selectExpr("sum(id)").show()
    """
    given = {name: str(value) for name, value in (conf or {}).items()}
    _check_arguments(mode, executors, given, token_hours)
    _environment.check(environment)
    if kubeconfig:
        path = Path(kubeconfig).expanduser().resolve()
        return _attach_granted(path, mode, given, environment, timeout_s, quiet=quiet)
    with Progress(quiet=quiet) as progress:
        found = cluster if isinstance(cluster, Cluster) else get_cluster(cluster, cloud=cloud)
        if session := _session_here(found, mode):
            return session
        progress.say(f"asking {found.cloud} for access to {found.name}")
        with (
            told(found.name),
            connection_of(found.cloud) as connection,
            (access := access_of(connection, found)).api() as api,
        ):
            base = spark_base(api, namespace)
            _check_version(base)
            packages = _packages(environment, connection, api, base, progress.say)
            account = spark_account(access, api, base, token_hours)
            if mode == "client":
                return _client.attach(
                    found, connection, account, api, base, executors=executors, conf=given, packages=packages,
                    timeout_s=timeout_s, say=progress.say,
                )  # fmt: skip
            return _connect.attach(
                found, account, api, base, conf=given, packages=packages, timeout_s=timeout_s, say=progress.say
            )


def _attach_granted(
    path: Path, mode: str, conf: Mapping[str, str], environment: str | None, timeout_s: float, *, quiet: bool
) -> "SparkSession":
    """Returns a session of the server in a namespace to which access was granted."""
    if mode != "connect":
        raise OptionError(
            "mode",
            "A granted access gives sessions of Spark Connect: executors of its namespace reach nothing outside.",
            remedy="Leave out mode.",
        )
    granted = Granted.read(path)
    with Progress(quiet=quiet) as progress:
        if session := _session_here(granted, mode):
            return session
        progress.say(f"attaching to {granted.name} as {granted.namespace}")
        with granted.told():
            api = granted.account.client()
            base = spark_base(api, granted.namespace)
            renew_s = granted.renew(base)
            _check_version(base)
            session = _connect.attach(
                granted, granted.account, api, base, conf=conf,
                packages=_packages(environment, None, api, base, progress.say), timeout_s=timeout_s, say=progress.say,
            )  # fmt: skip
    granted.keep(base, renew_s, lambda: not getattr(session, "is_stopped", True))
    return session


def _session_here(cluster: _connect.Cluster, mode: str) -> "SparkSession | None":
    """Returns the session of this process on a cluster; None where there is none.

    Raises:
        AttachError: There is a session that does not go with another one.
    """
    if session := _connect.session_here(cluster.uuid) or _driver.session_here(cluster.uuid):
        return session
    if mode == "client" and _connect.session_here():
        raise AttachError(
            "This process has a session of Spark Connect, beside which there is none of mode client.",
            remedy="Call stop() of that session first, or attach from another notebook.",
        )
    return None


def _check_arguments(mode: str, executors: int | None, conf: Mapping[str, str], token_hours: float) -> None:
    if mode not in MODES:
        remedy = f"Give one of: {', '.join(MODES)}."
        raise OptionError("mode", f"There is no mode {mode!r} to attach in.", remedy=remedy)
    if mode == "connect":
        _connect.check_conf(conf)
        if executors is not None:
            raise OptionError(
                "executors",
                f"A session of Spark Connect cannot have {executors!r} executors: it shares those of its server.",
                remedy="Leave it out, for as many as there is work for, or attach with mode='client'.",
            )
    if executors is not None and (not isinstance(executors, int) or executors < 1):
        remedy = "Give a whole number, at least 1, or None."
        raise OptionError("executors", f"There cannot be {executors!r} executors.", remedy=remedy)
    if not 1 / 6 <= token_hours <= 7 * 24:  # Kubernetes makes no token for less
        remedy = "Give a number of hours, from 10 minutes to a week."
        raise OptionError("token_hours", f"A token cannot be valid for {token_hours!r} hours.", remedy=remedy)


def _packages(
    environment: str | None, connection: Any, api: CoreV1Api, base: SparkBase, say: Callable[[str], None]
) -> Packages | None:
    """Returns the packages for executors: on their nodes, on the object storage, else on this machine."""
    if environment is None:
        return None
    cvmfs = config_map(api, base.namespace, "cvmfs") or {}
    if found := _environment.on_nodes(environment, cvmfs.get("repositories", "").split()):
        return found
    path = _environment.archive(environment, say)
    return Packages.of(_environment.keep(connection, path, say) if _storage.is_known(base.conf) else path)


def _check_version(base: SparkBase) -> None:
    """Checks that driver and executors understand each other.

    Raises:
        AttachError: They do not.
    """
    here = "{}.{}".format(*sys.version_info)
    if base.python and base.python != here:
        raise AttachError(
            f"The cluster's image {base.image} has Python {base.python}, and this is Python {here}: functions of one "
            "do not run in the other.",
            remedy=f"Use a Python {base.python} here, or provision the cluster with an image of Python {here}.",
        )
    ours = version("pyspark")
    if ours != base.spark_version:
        raise AttachError(
            f"The cluster's image {base.image} has Spark {base.spark_version}, and this Python has pyspark {ours}.",
            remedy=f"Install pyspark=={base.spark_version}, or provision the cluster with an image of Spark {ours}.",
        )
