"""Properties that every session's executors have, whether their driver is in a notebook or in the cluster."""

from __future__ import annotations

import getpass
import re
import secrets
from collections.abc import Mapping, Sequence

from astrok8s._kube import SparkBase
from astrok8s._sizing import ExecutorSize, Room, executor_size, fitting, largest

IDLE = "60s"
"""After how long without a task an executor ends."""

MEMORY = "spark.executor.memory"

KEEP = "30min"
"""How long an executor stays for cached data."""


def executor_properties(
    base: SparkBase,
    rooms: Sequence[Room],
    executors: int | None,
    app_name: str,
    labels: Mapping[str, str],
    conf: Mapping[str, str],
) -> dict[str, str]:
    """Return the properties of a session's executors: how large, how many, how they come and go.

    Args:
        base: What the cluster says of Spark.
        rooms: What each node has left for them.
        executors: How many at most; None for as many as fit.
        app_name: Their pods are named by it.
        labels: Of their pods, besides the user's.
        conf: What the user asks for: who says how much memory an executor has, decides its size.

    Raises:
        AttachError: They would be too small to work.
    """
    if MEMORY in conf:
        how_large, most = {}, executors or len(rooms)  # then the rest is the user's, too
    else:
        size = executor_size(rooms, executors) if executors else largest(rooms)
        how_large, most = _how_large(size), executors or fitting(rooms, size)
    word = re.sub(r"[^a-z0-9]+", "-", app_name.lower()).strip("-")[:30].strip("-")
    return {
        **how_large,
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "0",
        # one comes with the session: what is wrong with executors is known before the first job
        "spark.dynamicAllocation.initialExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": str(most),
        "spark.dynamicAllocation.executorIdleTimeout": IDLE,
        "spark.dynamicAllocation.cachedExecutorIdleTimeout": KEEP,
        # A cluster without the role spark_shuffle says nothing else.
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        # What an executor that is gone was to send is computed again: soon, not after three times 5 s and two minutes.
        "spark.shuffle.io.retryWait": "1s",
        "spark.shuffle.io.connectionCreationTimeout": "2s",
        # An executor whose node is gone says nothing more: its work is given to others after half a minute, not three.
        "spark.executor.heartbeatInterval": "5s",
        "spark.storage.blockManagerHeartbeatTimeoutMs": "30s",
        "spark.network.timeoutInterval": "5s",
        # One whose pod is gone without a word is missed at the next look at the API, and Spark looks each half minute.
        "spark.kubernetes.executor.apiPollingInterval": "5s",
        "spark.kubernetes.executor.missingPodDetectDelta": "10s",
        "spark.kubernetes.allocation.batch.delay": "200ms",
        "spark.kubernetes.allocation.batch.size": "20",
        "spark.kubernetes.container.image": base.image,
        "spark.kubernetes.container.image.pullPolicy": "IfNotPresent",
        "spark.kubernetes.executor.podNamePrefix": f"{word or 'spark'}-{secrets.token_hex(3)}",
        "spark.kubernetes.namespace": base.namespace,
        **{
            f"spark.kubernetes.executor.label.{name}": value
            for name, value in {"astrok8s/user": user(), **labels}.items()
        },
        # We wait ourselves: Spark waits without a word, and goes on without executors.
        "spark.scheduler.minRegisteredResourcesRatio": "0",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }


def _how_large(size: ExecutorSize) -> dict[str, str]:
    return {
        "spark.executor.cores": str(size.slots),
        "spark.executor.memory": f"{size.heap}m",
        "spark.executor.memoryOverhead": f"{size.overhead}m",
        "spark.kubernetes.executor.request.cores": str(size.cores),
    }


def user() -> str:
    """Return who attaches, as the value of a label."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", getpass.getuser()).strip("-_.")[:63] or "unknown"
