"""Makes the archive of classes (-XX:SharedArchiveFile) of this image: what a session loads, ready to be mapped.

A server of Spark Connect runs here once with what a notebook does first, and writes down its classes when it ends.
"""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SERVER, PORT = "org.apache.spark.sql.connect.service.SparkConnectServer", 15002
START_S = 300


class EmptyStorage(BaseHTTPRequestHandler):
    """An object storage without objects that takes everything: as much as S3A needs to be loaded."""

    def answer(self) -> None:
        """Answers any request."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<ListBucketResult/>" if self.command == "GET" else b""
        self.send_response(404 if self.command == "HEAD" else 200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server calls


def main() -> None:
    """Writes the archive to the file that is named."""
    storage = ThreadingHTTPServer(("127.0.0.1", 0), EmptyStorage)
    Thread(target=storage.serve_forever, daemon=True).start()
    conf = {
        "endpoint": f"http://127.0.0.1:{storage.server_address[1]}",
        "endpoint.region": "none",
        "path.style.access": "true",
        "s3.signing-algorithm": "AWS4UnsignedPayloadSignerType",
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "access.key": "none",
        "secret.key": "none",
    }
    options = [word for name, value in conf.items() for word in ("--conf", f"spark.hadoop.fs.s3a.{name}={value}")]
    server = subprocess.Popen(
        ["/opt/entrypoint.sh", "submit", "--master", "local[2]", *options, "--class", SERVER, "spark-internal"],
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
    """Does what sessions do: tables, files, a shuffle, Python functions, packets of Avro, object storage."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession
    from pyspark.sql.avro.functions import from_avro, to_avro
    from pyspark.sql.functions import avg, col, struct, udf
    from pyspark.sql.functions import sum as total

    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{PORT}").getOrCreate()
    numbers = spark.range(1000).withColumn("group", col("id") % 7)
    numbers.write.mode("overwrite").parquet("/tmp/archive")
    read = spark.read.parquet("/tmp/archive")
    read.groupBy("group").agg(total("id"), avg("id")).orderBy("group").toPandas()
    read.mapInPandas(lambda batches: batches, read.schema).count()
    read.select(udf(lambda number: number + 1, "long")("id")).toPandas()
    spark.createDataFrame(read.limit(5).toPandas()).cache().count()
    packet = '{"type": "record", "name": "packet", "fields": [{"name": "id", "type": "long"}]}'
    sent = read.select(to_avro(struct("id"), packet).alias("packet"))
    if sent.select(from_avro("packet", packet).id.alias("id")).agg(total("id")).first()[0] != sum(range(1000)):
        raise SystemExit("Numbers are others when they have been packets of Avro: see avro.version in pom.xml.")
    numbers.write.format("avro").mode("overwrite").save("/tmp/archive-avro")
    spark.read.format("avro").load("/tmp/archive-avro").count()
    spark.sql("select 1").collect()
    with suppress(PySparkException):  # the storage is empty whatever it takes
        numbers.limit(1).write.parquet("s3a://archive/nothing")
    with suppress(PySparkException):
        spark.read.parquet("s3a://archive/nothing")
    spark.stop()


if __name__ == "__main__":
    main()
