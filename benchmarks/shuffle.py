"""What a shuffle of ten million rows takes, with the shuffle service and without, and what the loss of executors adds.

Executors are deleted by force between map and reduce (by Spark Connect, between two such jobs): one, or two, which are
all in client mode. Told apart are the time until Spark asks for a new pod, the start of the executor in it, and what is
left beyond that start and the same work without a loss.

usage: python benchmarks/shuffle.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCALCLOUD = ROOT / "localcloud" / ".venv" / "bin" / "localcloud"
SESSION = """
import sys
import threading
import time

import astrok8s
from astrok8s._cloud import connection_of
from astrok8s._kubernetes import access_of

mode, service, lose = sys.argv[1], sys.argv[2], int(sys.argv[3])
cluster = astrok8s.get_cluster("bench")
conf = {"spark.shuffle.service.enabled": service} if mode == "client" else {}
spark = astrok8s.attach(cluster, mode=mode, quiet=True, conf=conf)
selector = "spark-role=executor,astrok8s/server" + ("!=connect" if mode == "client" else "=connect")


def rows(part):
    return ((number % 1000, 1) for number in range(1_250_000))


if mode == "client":  # where a second action finds the files of the first
    grouped = spark.sparkContext.parallelize(range(8), 8).flatMap(rows).groupByKey(8)
else:
    grouped = spark.range(0, 10_000_000, 1, 8).selectExpr("id % 1000 as key").groupBy("key").count()


def seconds():
    start = time.monotonic()
    assert grouped.count() == 1000
    return time.monotonic() - start


whole, again = seconds(), seconds()
with connection_of(cluster.cloud) as connection, access_of(connection, cluster).api() as api:

    def pods():
        found = api.list_namespaced_pod("spark", label_selector=selector).items
        return {pod.metadata.name: pod.status.phase for pod in found if pod.metadata.deletion_timestamp is None}

    known = pods()
    for name in sorted(known)[:lose]:
        api.delete_namespaced_pod(name, "spark", grace_period_seconds=0)
    start, after, seen = time.monotonic(), [], {}
    job = threading.Thread(target=lambda: after.append(seconds()))
    job.start()
    while job.is_alive():
        new = {name: phase for name, phase in pods().items() if name not in known}
        if new:
            seen.setdefault("asked", time.monotonic() - start)
        running = [name for name, phase in new.items() if phase == "Running"]
        if any("Successfully registered with driver" in api.read_namespaced_pod_log(name, "spark") for name in running):
            seen.setdefault("there", time.monotonic() - start)
        time.sleep(0.1)
print(f"  the first time {whole:.1f} s, again {again:.1f} s, after the loss of {lose} of {len(known)} {after[0]:.1f} s")
if "there" in seen:
    beyond = after[0] - (seen["there"] - seen["asked"]) - again
    print(f"    new pods asked for after {seen['asked']:.1f} s, the first one was there after {seen['there']:.1f} s; "
          f"beyond its start and the work itself: {beyond:.1f} s")
spark.stop()
"""


def main() -> None:
    """Prints what each session measures."""
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        os.environ["OS_CLOUD"] = name
        site = [str(Path(sys.executable).with_name("ansible-playbook")), "site.yml", "-e", f"cloud_name={name}"]
        try:
            subprocess.run([str(LOCALCLOUD), "up", "--name", name], stdout=subprocess.DEVNULL, check=True)
            variables = ("-e", "magnum_cluster_name=bench", "-e", "size=2")
            subprocess.run([*site, *variables], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            for mode, service in (("client", "true"), ("client", "false"), ("connect", "true")):
                for lose in ("1", "2"):
                    print(f"{mode}, {'with' if service == 'true' else 'without'} the shuffle service", flush=True)
                    session = [sys.executable, "-c", SESSION, mode, service, lose]
                    subprocess.run(session, stderr=subprocess.DEVNULL, check=True)
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", "--name", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
