"""Spark's driver in this process: its properties, its start and its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from astrok8s._cluster import Cluster
from astrok8s._errors import AttachError
from astrok8s._jvm import forget_session_before, is_over, stop
from astrok8s._kube import Access

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CLUSTER = "spark.astrok8s.cluster"
"""Our own property: which cluster a session is attached to."""

LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
# It says that Hadoop's native library is not there, which nothing here needs.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
# It says that files of the driver are not uploaded, although there are none to upload.
logger.features.name = org.apache.spark.deploy.k8s.features
logger.features.level = error
# It says that executors stay for their shuffle files, which is what was asked for.
logger.allocation.name = org.apache.spark.ExecutorAllocationManager
logger.allocation.level = error
# It says that a folder was gone already, when two shutdown hooks remove it.
logger.utils.name = org.apache.spark.network.util.JavaUtils
logger.utils.level = error
"""


def session_here(cluster: Cluster) -> SparkSession | None:
    """Return this process's session if it is the cluster's; None if there is none."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    context = SparkContext._active_spark_context
    if context is None or context._jsc is None:
        return None
    if is_over(context):
        stop(context)
        return None
    attached = context.getConf().get(CLUSTER)
    if attached == cluster.uuid:
        return SparkSession.builder.getOrCreate()
    where = f"the cluster {attached}" if attached else f"Spark at {context.master}"
    raise AttachError(
        f"this process is attached to {where}, and a process has one Spark session; "
        f"call spark.stop() first, or attach to {cluster.name} from another notebook"
    )


def properties_of(access: Access, here: str, app_name: str, cluster: str) -> dict[str, str]:
    """Return the properties of a driver in this process.

    Args:
        access: To the cluster's API.
        here: This machine's address as executors see it.
        app_name: Of the application.
        cluster: The cluster's UUID.
    """
    folder = _folder()
    log4j = folder / "log4j2.properties"
    log4j.write_text(LOG4J)
    return {
        CLUSTER: cluster,
        "spark.app.name": app_name,
        "spark.master": f"k8s://{access.server}",
        "spark.submit.deployMode": "client",
        "spark.driver.host": here,
        "spark.driver.bindAddress": here,
        # fabric8, Spark's client, would else add what the user's own kubeconfig says.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j} -Dkubernetes.auth.tryKubeConfig=false",
        "spark.kubernetes.authenticate.caCertFile": write_secret("ca.crt", access.ca),
        # A file: properties are on the JVM's command line, which everyone on the machine can read.
        "spark.kubernetes.authenticate.oauthTokenFile": str(folder / "token"),
        "spark.ui.port": "0",
        "spark.ui.showConsoleProgress": "false",
    }


def start(properties: Mapping[str, str], environment: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark's driver in this process.

    Args:
        properties: The session's.
        environment: Variables for the JVM. It outlives its sessions: the first one's hold for all of a process.

    Raises:
        AttachError: It does not start.
    """
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.config(map=dict(properties))
    with _environment(environment):
        try:
            forget_session_before()
            return builder.getOrCreate()
        except (Py4JError, PySparkException) as error:
            said = error.java_exception.toString() if isinstance(error, Py4JJavaError) else str(error)
            raise AttachError(
                f"Spark's driver did not start: {said.splitlines()[0]}; see the lines above, and the properties in conf"
            ) from error


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="astrok8s-")


def _folder() -> Path:
    """Return this process's folder of mode 0700; it goes when the process ends."""
    return Path(_temporary().name)


def write_secret(name: str, content: bytes) -> str:
    path = _folder() / name
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


@contextmanager
def _environment(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """Set what Spark's launcher reads, while it starts."""
    import pyspark

    ours = {
        "PYSPARK_PYTHON": "python3",  # the name on executors; the driver is this process
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",  # the web UI has no password; the driver has its own address
        **(more or {}),
    }
    dropped = ("SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")
    before = {key: os.environ.get(key) for key in (*ours, *dropped)}
    os.environ.update(ours)
    for key in dropped:
        os.environ.pop(key, None)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
