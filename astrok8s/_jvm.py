"""PySpark's JVM: it outlives the sessions of a process, except those that give up, which end it."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

ENDING_SECONDS = 90.0
"""For a session that is ending to end; one that gave up waits 20 s for its own threads, then for storage."""


def is_over(context: SparkContext) -> bool:
    """Return whether a session has ended by itself: its executors failed too often, or somebody ended its JVM."""
    from py4j.protocol import Py4JError

    try:
        return bool(context._jsc.sc().isStopped())
    except (Py4JError, OSError):
        return True


def stop(session: SparkSession | SparkContext) -> None:
    """Stop a session; one that gave up may still be stopping by itself."""
    from py4j.protocol import Py4JError

    # the JVM itself may be gone, which is warned of or raised, by what PySpark was about to do
    with suppress(Py4JError, OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        session.stop()


def forget_session_before() -> None:
    """Wait until the session before has ended, and forget what the next one would go by, whatever its properties say.

    These are connections to storage, and the first session's properties, which the JVM was started with; or the whole
    JVM, if it has ended.
    """
    from pyspark import SparkContext

    if (gateway := SparkContext._gateway) is None:
        return
    end = time.monotonic() + ENDING_SECONDS
    while _alive(gateway) and _ending(gateway.jvm) and time.monotonic() < end:
        time.sleep(0.1)
    if not _alive(gateway):
        _forget(gateway)
        return
    gateway.jvm.org.apache.hadoop.fs.FileSystem.closeAll()
    system = gateway.jvm.java.lang.System
    for name in list(system.getProperties().stringPropertyNames()):
        if name.startswith("spark."):
            system.clearProperty(name)


def _alive(gateway: Any) -> bool:
    # PySpark has no process where somebody else started the JVM
    return gateway.proc is None or gateway.proc.poll() is None


def _ending(jvm: Any) -> bool:
    """Return whether a JVM is ending, or still has a session (its own list of them; PySpark's is of Python's)."""
    from py4j.protocol import Py4JError

    try:
        spark = jvm.org.apache.spark
        contexts = getattr(getattr(spark, "SparkContext$"), "MODULE$")
        return bool(spark.util.ShutdownHookManager.inShutdown() or contexts.getActive().isDefined())
    except (Py4JError, OSError):
        return True  # it takes no calls any more


def _forget(gateway: Any) -> None:
    """Make PySpark start a new JVM, for which it has no function of its own."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    with suppress(OSError):
        gateway.shutdown()
    gateway.proc.stdin.close()
    with SparkContext._lock:
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
