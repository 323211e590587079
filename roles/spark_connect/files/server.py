"""Spark Connect's server of a namespace: sized for the cluster's workers, warmed up, and ended when nobody uses it.

It runs in the image of Spark, beside what the roles left for sessions: files `session.conf` of Spark's properties.
"""

import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sizing import executor_properties, room_on_any
from templates import pod

SOURCES = ("astrok8s", "cvmfs", "spark-shuffle", "spark-history", "spark-connect")
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
ROLES = Path("/etc/astrok8s")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
READY = Path("/tmp/ready")
CONF = Path("/tmp/spark.conf")
TEMPLATE = Path("/tmp/executor.json")
CREDENTIALS = Path("/tmp/credentials")
PORT = int(os.environ["CONNECT_PORT"])
POLL_S = 2
ANSWER_S = 5
ESTABLISHED = "01"  # in /proc/net/tcp
ENDING = Event()


def main() -> None:
    """Runs the server until it ends, or nobody has used it for a while."""
    declared = session_properties()
    properties = own_properties(declared) | declared
    without = {name: value for name, value in properties.items() if not name.startswith("spark.eventLog.")}
    if without != properties and not answers(properties.get("spark.hadoop.fs.s3a.endpoint", "")):
        say("object storage does not answer: this server's sessions will not be in the history")
        properties = without
    server = start(properties)
    if server.poll() is not None and properties != without and not ENDING.is_set():
        say("the server did not start; trying without an event log, so that its sessions will not be in the history")
        server = start(without)
    if server.poll() is None:
        READY.touch()
        warming = Thread(target=warm_up, daemon=True)
        warming.start()  # a notebook that is there already need not wait for its end
        watch(server, warming)
    sys.exit(server.wait())


def session_properties() -> dict[str, str]:
    """Returns what the roles left for sessions; the later of them wins."""
    found: dict[str, str] = {}
    for source in SOURCES:
        file = ROLES / source / "session.conf"
        if file.exists():
            lines = (line.split(None, 1) for line in file.read_text().splitlines() if line.strip())
            found |= {line[0]: line[1] if len(line) > 1 else "" for line in lines}
    return found


def own_properties(declared: Mapping[str, str]) -> dict[str, str]:
    """Returns what is known here alone; where executors' size is declared, nodes are not asked for, nor may they be."""
    here = os.environ["POD_IP"]
    size = {}
    if "spark.kubernetes.executor.request.cores" not in declared:
        workers = [node["status"]["allocatable"] for node in ask("/api/v1/nodes")["items"] if takes_pods(node)]
        size = executor_properties(room_on_any(workers))
    found = {
        **size,
        "spark.driver.host": here,
        "spark.driver.bindAddress": here,
        "spark.kubernetes.executor.podTemplateFile": str(executor_template()),
        "spark.kubernetes.executor.podNamePrefix": f"connect-{secrets.token_hex(3)}",
    }
    if key := os.environ.get("AWS_ACCESS_KEY_ID"):
        found["spark.hadoop.fs.s3a.access.key"] = key
        found["spark.hadoop.fs.s3a.secret.key"] = os.environ["AWS_SECRET_ACCESS_KEY"]
    return found


def executor_template() -> Path:
    """Writes the template of executors' pods: they go with this pod, whatever becomes of it; returns its path.

    Spark can do that, too, but first waits for its own pod to be ready, which it is once Spark runs.
    """
    files = (ROLES / source / "executor.json" for source in SOURCES)
    parts = [json.loads(file.read_text()) for file in files if file.exists()]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": os.environ["POD_NAME"], "uid": os.environ["POD_UID"]}
    ours = {"metadata": {"ownerReferences": [owner | {"controller": True}]}}
    write(TEMPLATE, json.dumps(pod([*parts, ours])).encode())
    return TEMPLATE


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Returns whether executors may run on a node."""
    taints = node["spec"].get("taints", [])
    return not any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)


def answers(url: str) -> bool:
    """Returns whether there is a web server, whatever it says; there is none without an address."""
    try:
        urlopen(url, timeout=ANSWER_S).close()  # noqa: S310 - the address is the cloud's
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def start(properties: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts the server; returns when it answers or has ended."""
    write(CONF, "".join(f"{name} {value}\n" for name, value in properties.items()).encode())
    environment = dict(os.environ)
    if secret := environment.pop("SHUFFLE_SECRET", ""):
        write(CREDENTIALS, credentials("sparkCookie", secret))
        environment["HADOOP_TOKEN_FILE_LOCATION"] = str(CREDENTIALS)
    command = ["/opt/entrypoint.sh", "submit", "--properties-file", str(CONF), "--class", SERVER, "spark-internal"]
    server = subprocess.Popen(command, env=environment)
    import pyspark.sql.connect.session  # noqa: F401 - what warming up needs, while Java starts

    # Kubernetes's way to say that it is time to end.
    signal.signal(signal.SIGTERM, lambda *_: (ENDING.set(), server.terminate()))
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            break
    return server


def write(file: Path, content: bytes) -> None:
    """Writes a file that nobody else reads."""
    file.touch(mode=0o600)
    file.write_bytes(content)


def credentials(name: str, secret: str) -> bytes:
    """Returns a file of Hadoop's credentials with one secret: there Spark looks for its own before it makes one.

    The format is that of `org.apache.hadoop.security.Credentials.writeTokenStorageToStream`, version 0.
    """
    return b"HDTS\0" + number(0) + number(1) + b"".join(number(len(text)) + text.encode() for text in (name, secret))


def number(value: int) -> bytes:
    """Returns a whole number as Hadoop writes it (`WritableUtils.writeVInt`)."""
    if value < 128:
        return bytes([value])
    size = (value.bit_length() + 7) // 8
    return bytes([256 - 112 - size]) + value.to_bytes(size, "big")


def warm_up() -> None:
    """Asks the server what a notebook asks first: its classes are loaded then, and an executor has run."""
    from pyspark.sql import SparkSession

    begin = time.monotonic()
    spark = SparkSession.builder.remote(f"sc://localhost:{PORT}").getOrCreate()  # the token is in our environment
    spark.range(1).selectExpr("id + 1").toPandas()
    spark.stop()
    say(f"warmed up in {time.monotonic() - begin:.1f} s")


def watch(server: "subprocess.Popen[bytes]", warming: Thread) -> None:
    """Returns when the server has ended; asks Kubernetes for no such pod when nobody has been connected for long."""
    idle_s = 60 * float(os.environ["IDLE_MINUTES"])
    used = time.monotonic()
    while server.poll() is None:
        # One is our own while it warms up, which is for ever where there is no room for an executor.
        if connections() > warming.is_alive():
            used = time.monotonic()
        elif idle_s and time.monotonic() - used > idle_s:
            say(f"nobody was connected for {idle_s / 60:g} minutes: ending until somebody attaches")
            deployment = f"/apis/apps/v1/namespaces/{os.environ['NAMESPACE']}/deployments/spark-connect/scale"
            try:
                ask(deployment, {"spec": {"replicas": 0}})
            except OSError as error:
                say(f"Kubernetes does not answer; trying again later: {error}")
            used = time.monotonic()
        time.sleep(POLL_S)


def connections() -> int:
    """Returns how many notebooks are connected."""
    there = (line.split()[1:4] for name in ("tcp", "tcp6") for line in lines(f"/proc/net/{name}"))
    return sum(local.endswith(f":{PORT:04X}") and state == ESTABLISHED for local, _, state in there)


def lines(file: str) -> Iterable[str]:
    """Returns the lines of a table of the kernel, without its head."""
    return Path(file).read_text().splitlines()[1:]


def ask(path: str, patch: Mapping[str, Any] | None = None) -> Any:
    """Asks the Kubernetes API, or patches what is there."""
    request = Request(
        "https://kubernetes.default.svc" + path,
        headers={
            "Authorization": "Bearer " + (ACCOUNT / "token").read_text(),
            "Content-Type": "application/merge-patch+json",
        },
        method="PATCH" if patch else "GET",
        data=json.dumps(patch).encode() if patch else None,
    )
    trusted = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    # An authority of OpenStack may lack what RFC 5280 asks for, which Kubernetes itself does not.
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with urlopen(request, context=trusted, timeout=30) as answer:  # noqa: S310 - the address is ours
        return json.load(answer)


def say(what: str) -> None:
    """Writes a line of the pod's log."""
    sys.stderr.write(f"astrok8s: {re.sub(chr(10), ' ', what)}\n")


if __name__ == "__main__":
    main()
