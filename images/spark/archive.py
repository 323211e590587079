"""Makes the archive of classes (-XX:SharedArchiveFile) of this image: what a session loads, ready to be mapped.

A server of Spark Connect runs here once with what a notebook does first, and writes down its classes when it ends.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVER, PORT = "org.apache.spark.sql.connect.service.SparkConnectServer", 15002
START_S = 300


def main() -> None:
    """Writes the archive to the file that is named."""
    server = subprocess.Popen(
        ["/opt/entrypoint.sh", "submit", "--master", "local[2]", "--class", SERVER, "spark-internal"],
        env=os.environ | {"SPARK_CLASSES": "-XX:ArchiveClassesAtExit=" + sys.argv[1], "SPARK_LOCAL_IP": "127.0.0.1"},
    )
    try:
        wait(server)
        work()
    finally:
        server.terminate()
        server.wait()
    if not Path(sys.argv[1]).exists():
        raise SystemExit(f"Java made no {sys.argv[1]}; see what it says above.")


def wait(server: "subprocess.Popen[bytes]") -> None:
    """Waits until the server answers."""
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"The server did not answer within {START_S} s, or ended.")


def work() -> None:
    """Does what sessions do: tables, files, a shuffle, Python functions."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import avg, col, udf
    from pyspark.sql.functions import sum as total

    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{PORT}").getOrCreate()
    numbers = spark.range(1000).withColumn("group", col("id") % 7)
    numbers.write.mode("overwrite").parquet("/tmp/archive")
    read = spark.read.parquet("/tmp/archive")
    read.groupBy("group").agg(total("id"), avg("id")).orderBy("group").toPandas()
    read.mapInPandas(lambda batches: batches, read.schema).count()
    read.select(udf(lambda number: number + 1, "long")("id")).toPandas()
    spark.createDataFrame(read.limit(5).toPandas()).cache().count()
    spark.sql("select 1").collect()
    spark.stop()


if __name__ == "__main__":
    main()
