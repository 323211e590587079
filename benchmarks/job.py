"""A job that is mostly shuffle, and plain Spark doing it, in a pod of the same image: what astrok8s is held against.

usage: python3 job.py NAMESPACE IMAGE MEMORY CORES     (in the pod; prints {"first": s, "job": s})
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

ROWS = 10_000_000
PARTS = 8
STARS = 1_000_003


def job(spark: Any) -> float:
    """Return the seconds of a job that sends all of its rows to other executors."""
    begun = time.monotonic()
    rows = spark.range(0, ROWS, 1, PARTS).selectExpr(f"id % {STARS} AS star", "id * 0.5D AS flux")
    means = rows.repartition(PARTS, "star").groupBy("star").agg({"flux": "avg"})
    if means.count() != STARS:
        raise SystemExit("the job's result is wrong")
    return time.monotonic() - begun


def main() -> None:
    """Time plain Spark: its driver here, two executors by its own Kubernetes scheduler."""
    begun = time.monotonic()
    from pyspark.sql import SparkSession

    namespace, image, memory, cores = sys.argv[1:]
    address = os.environ["POD_IP"]
    builder = SparkSession.builder.master("k8s://https://kubernetes.default.svc").appName("plain")
    properties = {
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.container.image": image,
        "spark.kubernetes.executor.request.cores": cores,
        "spark.executor.cores": "1",
        "spark.executor.memory": memory,
        "spark.executor.instances": "2",
        "spark.driver.host": address,
        "spark.driver.bindAddress": address,
        "spark.sql.shuffle.partitions": str(PARTS),
    }
    spark = builder.config(map=properties).getOrCreate()
    spark.range(10).count()
    first = time.monotonic() - begun
    print(json.dumps({"first": first, "job": job(spark)}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
