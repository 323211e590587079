"""How long the main job takes on a cloud that is up: site.yml, again, and from attaching to the first result.

usage: python benchmarks/main_job.py
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LOCALCLOUD = ROOT / "localcloud" / ".venv" / "bin" / "localcloud"
# A notebook's first cells, the import of the package included; `plain` is PySpark on this machine, to compare.
ATTACH = """
import sys
import time
start = time.monotonic()
mode, label = sys.argv[1:]
if mode == "plain":
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.master("local[2]").getOrCreate()
else:
    import astrok8s
    spark = astrok8s.attach("bench", mode=mode, quiet=True)
attached = time.monotonic() - start
spark.range(1_000_000).selectExpr("sum(id)").first()
print(f"{label}: {time.monotonic() - start:.1f} s to the first result, {attached:.1f} s until attached", flush=True)
if mode == "client":
    context = spark.sparkContext._jsc.sc()
    known = context.statusStore().executorList(True)
    executors = [known.apply(number) for number in range(known.size())]
    came = max(each.addTime().getTime() for each in executors if each.id() != "driver")
    print(f"  of these, {(came - context.startTime()) / 1000:.1f} s until the executors had started", flush=True)
spark.stop()
"""
# As after an hour in which nobody used it.
STOPPED = """
import sys
import astrok8s
from astrok8s import history
from kubernetes import client
account = history._account(astrok8s.get_cluster("bench"), "spark")
apps = client.AppsV1Api(account.client().api_client)
apps.patch_namespaced_deployment_scale("spark-connect", "spark", {"spec": {"replicas": 0}})
"""


def timed(label: str, command: Sequence[str]) -> None:
    """Runs a command and prints how long it took."""
    start = time.monotonic()
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{label} failed:\n{run.stdout}{run.stderr}")
    print(f"{label}: {time.monotonic() - start:.1f} s", flush=True)


def attach(mode: str, label: str, cache: str | None = None) -> None:
    """Attaches in a process of its own, which prints how long it took; with a cache of its own, if one is named."""
    own = os.environ | ({"XDG_CACHE_HOME": cache} if cache else {})
    subprocess.run([sys.executable, "-c", ATTACH, mode, label], env=own, stderr=subprocess.DEVNULL, check=True)


def main() -> None:
    """Prints one line for each step."""
    name = f"bench{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "OS_CLIENT_CONFIG_FILE": f"{folder}/clouds.yaml"}
        os.environ["OS_CLOUD"] = name
        variables = ("-e", f"cloud_name={name}", "-e", "magnum_cluster_name=bench")
        try:
            subprocess.run([str(LOCALCLOUD), "up", "--name", name], stdout=subprocess.DEVNULL, check=True)
            for label, size in (("size 2", 2), ("unchanged", 2), ("size 4", 4), ("size 1", 1)):
                timed(
                    f"site.yml, {label}", [str(BIN / "ansible-playbook"), "site.yml", *variables, "-e", f"size={size}"]
                )
            attach("connect", "attach(mode='connect'), the server just declared")
            attach("connect", "attach(mode='connect'), warm")
            subprocess.run([sys.executable, "-c", STOPPED], check=True)
            attach("connect", "attach(mode='connect'), the server ended")
            attach("client", "attach(mode='client'), the first on this machine", folder)
            attach("plain", "plain PySpark on this machine")  # while Java writes down the classes of the one before
            attach("plain", "plain PySpark on this machine, again")
            attach("client", "attach(mode='client')", folder)
            timed("destroy.yml", [str(BIN / "ansible-playbook"), "playbooks/destroy.yml", *variables])
        finally:
            subprocess.run([str(LOCALCLOUD), "destroy", "--name", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
