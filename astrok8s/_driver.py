"""Spark's driver in this process."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from astrok8s import _classes, pages
from astrok8s._kubernetes import Account
from astrok8s._private import folder, write
from astrok8s._tunnel import listen
from astrok8s.errors import AttachError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

_CLUSTER = "spark.astrok8s.cluster"
"""Our own property: the UUID of the cluster that a session is attached to."""

_OLDEST_JAVA = 17
"""What Spark 4 needs (https://spark.apache.org/docs/4.1.4/, "Downloading")."""

_LOG = "driver.log"
_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = FILE
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %m%n%ex
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
# That Hadoop's native library is not there, which nothing here needs.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
# That files of the driver are not uploaded, of which there are none.
logger.features.name = org.apache.spark.deploy.k8s.features
logger.features.level = error
# That a folder is gone already, when two hooks remove it at the end.
logger.folders.name = org.apache.spark.network.util.JavaUtils
logger.folders.level = error
# That the scheduler has gone before the connections of its executors, at the end of a session; and that executors with
# files that are needed are kept, though they could hand them on: that is what tracking is for.
appender.stderr.filter.end.type = RegexFilter
appender.stderr.filter.end.regex = Uncaught exception in thread dispatcher-CoarseGrainedScheduler\
|You are enabling both shuffle tracking and other DA supported mechanism.*
appender.stderr.filter.end.onMatch = DENY
appender.stderr.filter.end.onMismatch = NEUTRAL
"""


def session_here(cluster_uuid: str) -> "SparkSession | None":
    """Returns the session of this process, which has at most one; None where there is none.

    Args:
        cluster_uuid: The cluster that it must be attached to.

    Raises:
        AttachError: The session is another one.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    context = SparkContext._active_spark_context
    if context is None or context._jsc is None:
        return None
    if is_over(context):
        context.stop()
        return None
    attached = context.getConf().get(_CLUSTER)
    if attached == cluster_uuid:
        return SparkSession.builder.getOrCreate()
    where = f"the cluster {attached}" if attached else f"Spark at {context.master}"
    raise AttachError(
        f"This process is attached to {where}, and a process has one Spark session.",
        remedy="Call spark.stop() first, or attach from another notebook.",
    )


def is_over(context: "SparkContext") -> bool:
    """Returns whether a session has ended, perhaps by itself, as when its executors failed too often."""
    from py4j.protocol import Py4JError

    java = context._jsc  # another thread may stop the session meanwhile
    try:
        return java is None or bool(java.sc().isStopped())
    except (Py4JError, OSError):
        return True


def executors_here(context: "SparkContext") -> int:
    """Returns how many executors have registered."""
    java = context._jsc
    return len(java.sc().statusTracker().getExecutorInfos()) - 1 if java else 0  # the driver is counted, too


def serve_pages(session: "SparkSession") -> None:
    """Makes a socket that leads to Spark's pages, if there are any, for as long as the session lasts."""
    context = session.sparkContext
    if context.uiWebUrl is None:
        return
    port = urlsplit(context.uiWebUrl).port or 0

    def hand_on(here: socket.socket) -> None:
        if is_over(context):
            return  # the port may be anybody's by now
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as there:
            threading.Thread(target=_copy, args=(here, there), daemon=True).start()
            _copy(there, here)

    pages.serve(session, lambda path: listen(hand_on, path))


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Hands on what comes, until either end closes."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def log() -> str:
    """Returns what the driver has said, warnings and worse."""
    path = folder() / _LOG
    return path.read_text(errors="replace") if path.exists() else ""


def properties(account: Account, here: str, cluster_uuid: str) -> dict[str, str]:
    """Returns Spark's properties for a driver in this process.

    Args:
        account: Who attaches.
        here: This machine's address as executors see it.
        cluster_uuid: The cluster.

    Raises:
        AttachError: There is no Java that Spark runs on.
    """
    private = folder()
    log4j = write(private / "log4j2.properties", _LOG4J.replace("FILE", str(private / _LOG)).encode())
    return {
        _CLUSTER: cluster_uuid,
        "spark.master": f"k8s://{account.server}",
        "spark.submit.deployMode": "client",
        "spark.driver.host": here,
        "spark.driver.bindAddress": here,
        # fabric8, Spark's client of Kubernetes, would add what the user's own kubeconfig says.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j} -Dkubernetes.auth.tryKubeConfig=false "
        + _classes.options(_spark_home() / "jars", _java()),
        "spark.kubernetes.authenticate.caCertFile": write(private / "ca.crt", account.authority),
        # A file, since properties are on the JVM's command line, which everyone on the machine can read.
        "spark.kubernetes.authenticate.oauthTokenFile": write(private / "token", account.bearer.encode()),
        "spark.ui.port": "0",
        # Everybody on this machine reaches the pages; who looks at them ends nothing.
        "spark.ui.killEnabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # We wait for executors ourselves: Spark waits without a word, and goes on without them.
        "spark.scheduler.minRegisteredResourcesRatio": "0",
    }


def start(wanted: Mapping[str, str], python: str, secret: str | None = None) -> "SparkSession":
    """Starts the driver.

    Args:
        wanted: Spark's properties.
        python: The Python of executors; the driver's is this process.
        secret: What driver, executors and shuffle services know each other by; one of its own if None.

    Raises:
        AttachError: It does not start.
    """
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    # Hadoop's, which may be keys, are not on the JVM's command line: it gets them once it runs, and what needs them.
    shown = [
        (name, value) for name, value in wanted.items() if not name.startswith(("spark.hadoop.", "spark.archives"))
    ]
    with _environment(python):
        try:
            SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll(shown))
            _let_jvm_clean()
            _forget_session()
            _share(secret or secrets.token_hex(32))
            return SparkSession.builder.config(map=dict(wanted)).getOrCreate()
        except (Py4JError, PySparkException) as error:
            said = error.java_exception.toString() if isinstance(error, Py4JJavaError) else str(error)
            raise AttachError(
                f"Spark's driver did not start: {said.splitlines()[0]}.",
                remedy="See the lines above, and the properties in conf.",
            ) from error


def _let_jvm_clean() -> None:
    """Lets the JVM remove this process's folder: a Jupyter kernel is killed, and its JVM ends by itself then."""
    from pyspark import SparkContext

    jvm: Any = SparkContext._jvm
    jvm.org.apache.spark.util.ShutdownHookManager.registerShutdownDeleteDir(jvm.java.io.File(str(folder())))


def _share(secret: str) -> None:
    """Gives the JVM the secret of its next session, where Spark looks before it makes one for itself."""
    from pyspark import SparkContext

    jvm: Any = SparkContext._jvm
    credentials = jvm.org.apache.hadoop.security.Credentials()
    credentials.addSecretKey(jvm.org.apache.hadoop.io.Text("sparkCookie"), secret.encode())
    jvm.org.apache.hadoop.security.UserGroupInformation.getCurrentUser().addCredentials(credentials)


def _spark_home() -> Path:
    import pyspark

    return Path(pyspark.__file__).parent


def _java() -> str:
    """Returns what the Java says that it is which Spark finds: at JAVA_HOME, then on PATH.

    Raises:
        AttachError: There is none, or Spark does not run on it.
    """
    remedy = f"Install Java {_OLDEST_JAVA} (apt-get install openjdk-17-jre-headless), or set JAVA_HOME to one."
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on PATH"
        raise AttachError(f"Spark's driver needs Java, and {where}.", remedy=remedy)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise AttachError(f"Spark's driver needs Java {_OLDEST_JAVA}, and {java} says: {told.strip()}.", remedy=remedy)
    return told


def _forget_session() -> None:
    """Makes the JVM forget its first session: properties that it was started with, and file systems with their keys."""
    from pyspark import SparkContext

    jvm: Any = SparkContext._jvm
    for name in list(jvm.java.lang.System.getProperties().stringPropertyNames()):
        if name.startswith("spark."):
            jvm.java.lang.System.clearProperty(name)
    jvm.org.apache.hadoop.fs.FileSystem.closeAll()


@contextmanager
def _environment(python: str) -> Iterator[None]:
    """Sets what Spark's launcher reads, while it starts."""
    ours = {
        "PYSPARK_PYTHON": python,
        "SPARK_HOME": str(_spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",  # the web UI has no password; the driver has an address of its own
    }
    dropped = ("SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "SPARK_CONNECT_MODE_ENABLED")
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
