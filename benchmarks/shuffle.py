"""What a shuffle of ten million rows takes, with the shuffle service and without, and what the loss of executors adds.

Executors are deleted by force between map and reduce: one of two, or both. Then no work can go on before a new one has
started; told apart are the time until Spark asks for its pod, the start, and what is left beyond a reduce without loss.

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

service, lose = sys.argv[1], int(sys.argv[2])
cluster = astrok8s.get_cluster("bench")
spark = astrok8s.attach(cluster, mode="client", quiet=True, conf={"spark.shuffle.service.enabled": service})
context = spark.sparkContext
selector = f"spark-app-selector={context.applicationId},spark-role=executor"


def rows(part):
    return ((number % 1000, 1) for number in range(1_250_000))


def seconds():
    start = time.monotonic()
    assert grouped.count() == 1000
    return time.monotonic() - start


def registered():
    return set(str(context._jsc.sc().getExecutorMemoryStatus().keySet().toString())[4:-1].split(", "))


grouped = context.parallelize(range(8), 8).flatMap(rows).groupByKey(8)
whole, reduce = seconds(), seconds()
with connection_of(cluster.cloud) as connection, access_of(connection, cluster).api() as api:

    def pods():
        return {pod.metadata.name for pod in api.list_namespaced_pod("spark", label_selector=selector).items}

    lost, before, seen = sorted(pods())[:lose], registered(), {}
    for name in lost:
        api.delete_namespaced_pod(name, "spark", grace_period_seconds=0)
    start, after = time.monotonic(), []
    known = pods() | set(lost)
    job = threading.Thread(target=lambda: after.append(seconds()))
    job.start()
    while job.is_alive():
        if pods() - known:
            seen.setdefault("asked", time.monotonic() - start)
        if registered() - before:
            seen.setdefault("there", time.monotonic() - start)
        time.sleep(0.05)
print(f"service {service}: map and reduce {whole:.1f} s, reduce {reduce:.1f} s; "
      f"after the loss of {lose} {after[0]:.1f} s")
if lose == 2:
    beyond = after[0] - (seen["there"] - seen["asked"]) - reduce
    print(f"  new pods asked for after {seen['asked']:.1f} s, first executor there after {seen['there']:.1f} s; "
          f"beyond its start and the reduce: {beyond:.1f} s")
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
            for service in ("true", "false"):
                for lose in ("1", "2"):
                    session = [sys.executable, "-c", SESSION, service, lose]
                    subprocess.run(session, stderr=subprocess.DEVNULL, check=True)
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", "--name", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
