"""What the Python package promises beside the main job: provision, attach, and what they say when they cannot."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from boxes import KUBECTL, ROOT, Box, until


def python(box: Box, code: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a notebook does, in a process of its own, since a process has one JVM."""
    return box.run(sys.executable, "-c", f"import astrok8s\n{code}", OS_CLOUD=box.name)


def test_an_interrupted_provision_is_finished_by_the_next(box: Box) -> None:
    code = "import astrok8s; astrok8s.provision('one', size=1)"
    temporary = box.folder / "temporary"
    temporary.mkdir()
    own = {"OS_CLOUD": box.name, "TMPDIR": str(temporary)}
    first = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=box.environment | own, stderr=subprocess.PIPE)
    until(lambda: box.cluster_status("one"), lambda run: run.stdout.startswith("CREATE_IN_PROGRESS"))
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=60)
    assert first.returncode != 0
    assert b"The next run finishes cluster one" in told
    assert b"done is cloud, magnum_cluster was being done" in told
    assert not any(b"AnsiballZ" in path.read_bytes() for path in processes_of(box))
    assert list(temporary.iterdir()) == []
    done = python(box, "print(astrok8s.provision('one', size=1))")
    assert done.returncode == 0, done.stderr
    assert "Cluster(name='one'" in done.stdout
    assert "status='CREATE_COMPLETE'" in done.stdout


def processes_of(box: Box) -> list[Path]:
    """Returns the command lines of the processes that were started in the environment of the box."""
    mark, found = str(box.clouds).encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(path.with_name("cmdline"))
        except OSError:
            continue
    return found


def test_the_clusters_are_listed_by_python_and_command(box: Box) -> None:
    assert python(box, "print([c.name for c in astrok8s.list_clusters()])").stdout == "['one']\n"
    listed = box.run(str(Path(sys.executable).with_name("astrok8s")), "list", OS_CLOUD=box.name)
    assert "CREATE_COMPLETE" in listed.stdout
    cell = box.run(str(Path(sys.executable).with_name("astrok8s")), "attach", "one", OS_CLOUD=box.name).stdout
    assert cell.endswith(f"spark = astrok8s.attach('one', cloud='{box.name}')\n")


def test_a_process_attaches_again_and_has_one_session(box: Box) -> None:
    run = python(
        box,
        """
first = astrok8s.attach("one", mode="client")
print(first.range(100).selectExpr("sum(id)").first()[0])
print(astrok8s.attach("one") is not None, first.sparkContext.applicationId)
first.stop()
second = astrok8s.attach(astrok8s.get_cluster("one"), mode="client", conf={"spark.app.name": "second"})
print(second.sparkContext.appName, second.sparkContext.applicationId)
second.stop()
""",
    )
    assert run.returncode == 0, run.stderr
    total, again, renamed = run.stdout.splitlines()
    assert total == "4950"
    assert again.startswith("True spark-")
    assert renamed.startswith("second spark-")
    assert again.split()[1] != renamed.split()[1]
    # Its executors have gone with it.
    selector = "--selector=spark-role=executor,astrok8s/server!=connect"
    executors = ("get", "pods", "--namespace=spark", selector, "--output=name")
    pods = until(lambda: box.kubectl("one", *executors), lambda run: run.stdout == "")
    assert pods.returncode == 0


def test_the_driver_maps_the_archive_of_classes_that_another_has_made(box: Box) -> None:
    code = """
import os, pathlib
spark = astrok8s.attach("one", mode="client", quiet=True)
print(spark.range(100).count())
spark.stop()
"""
    # Java's own word for each class, and where it came from.
    log, cache = box.folder / "classes.log", box.folder / "cache"
    own = {"JAVA_TOOL_OPTIONS": f"-Xlog:class+load:file={log}:none:filesize=0", "XDG_CACHE_HOME": str(cache)}
    mapped = []
    for _ in range(2):
        run = box.run(sys.executable, "-c", f"import astrok8s\n{code}", OS_CLOUD=box.name, **own)
        assert run.stdout == "100\n", run.stderr
        assert "[warning]" not in run.stderr
        loaded = [line for line in log.read_text().splitlines() if line.startswith("org.apache.spark.")]
        mapped.append(sum("source: shared objects file (top)" in line for line in loaded) / len(loaded))
    assert mapped[0] == 0
    assert mapped[1] > 0.5  # the others are made while Java runs


def test_the_token_goes_with_a_process_that_is_killed(box: Box) -> None:
    temporary = box.folder / "killed"
    temporary.mkdir()
    attach = "astrok8s.attach('one', mode='client')"
    code = f"import astrok8s, os, signal; {attach}; print('here'); os.kill(os.getpid(), signal.SIGKILL)"
    run = box.run(sys.executable, "-u", "-c", code, OS_CLOUD=box.name, TMPDIR=str(temporary))
    assert run.stdout == "here\n", run.stderr
    until(lambda: box.run("find", str(temporary), "-name", "token"), lambda found: found.stdout == "")


def test_the_session_may_do_nothing_outside_its_namespace(box: Box) -> None:
    def may(verb: str, resource: str, namespace: str) -> bool:
        account = "--as=system:serviceaccount:spark:spark"
        answer = box.kubectl("one", "auth", "can-i", verb, resource, f"--namespace={namespace}", account)
        return answer.stdout.strip() == "yes"

    assert may("create", "pods", "spark")
    assert not may("create", "pods", "default")
    assert not may("get", "secrets", "spark")
    assert not may("list", "pods", "default")
    assert may("list", "nodes", "default")  # whose sizes executors' follow from
    assert not may("get", "nodes", "default")


CANNOT = [
    (
        "'nowhere'",
        "ClusterNotFoundError",
        "has no cluster nowhere; it has: one. Name one of these, or make it: astrok8s.provision('nowhere').",
    ),
    (
        "'one', namespace='default'",
        "ClusterNotReadyError",
        "The namespace default of the cluster has no ConfigMap astrok8s",
    ),
    ("'one', mode='client', executors=50", "AttachError", "50 executors on 1 nodes would have"),
    (
        "'one', mode='client', timeout_s=60, conf={'spark.kubernetes.container.image': 'astrok8s/spark:none'}",
        "AttachError",
        "astrok8s/spark:none",
    ),
    (
        "'one', mode='client', timeout_s=20, conf={'spark.kubernetes.executor.label.a/b/c': 'x'}",
        "AttachError",
        "Kubernetes refuses their pods: Pod ",
    ),
    (
        "'one', mode='client', timeout_s=20, conf={'spark.executor.memory': '900g'}",
        "AttachError",
        "fits on no node: 0/2 nodes are available: 1 Insufficient memory",
    ),
    (
        "'one', mode='client', timeout_s=20, conf={'spark.kubernetes.executor.request.cores': '1000'}",
        "AttachError",
        "fits on no node: 0/2 nodes are available: 1 Insufficient cpu",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CANNOT, ids=[call for call, _, _ in CANNOT])
def test_what_keeps_from_attaching_is_told(box: Box, arguments: str, error: str, message: str) -> None:
    run = python(box, f"astrok8s.attach({arguments})")
    assert run.returncode == 1
    assert f"astrok8s.errors.{error}: " in run.stderr
    assert message in run.stderr


def test_executors_that_could_not_reach_the_notebook_are_not_waited_for(box: Box) -> None:
    left = ("run", "left", "--labels=astrok8s/way=left", "--image=localcloud/busybox:1", "--restart=Never", "true")
    assert box.kubectl("one", *left, "--namespace=spark").returncode == 0  # as if of a process that was killed
    phase = ("get", "pod", "left", "--namespace=spark", "--output=jsonpath={.status.phase}")
    until(lambda: box.kubectl("one", *phase), lambda run: run.stdout == "Succeeded")
    nobody = ".".join(box.network.split(".")[:2]) + ".255.254"
    run = python(box, f"astrok8s.attach('one', mode='client', conf={{'spark.driver.host': {nobody!r}}})")
    assert (
        f"AttachError: The pods of the cluster do not reach this machine at {nobody}, as executors must" in run.stderr
    )
    assert "or attach with mode='connect'." in run.stderr
    ways = ("get", "pods", "--namespace=spark", "--selector=astrok8s/way", "--output=name")
    until(lambda: box.kubectl("one", *ways), lambda run: run.stdout == "")


def test_a_token_that_is_not_valid_any_more_is_told(box: Box) -> None:
    box.kubectl("one", "version")  # which writes its kubeconfig
    kubectl = [str(KUBECTL), f"--kubeconfig={box.folder / f'{box.name}-one' / 'config'}", "--namespace=spark"]
    # Kubernetes knows no token of an account that was made anew, as it knows none that has expired.
    code = f"""
import subprocess
def kubectl(*command):
    subprocess.run([*{kubectl}, *command], check=True, capture_output=True)
spark = astrok8s.attach("one", mode="client", quiet=True)
for verb in ("delete", "create"):
    kubectl(verb, "serviceaccount", "spark")
while True:  # the API server remembers for a while which tokens were valid
    kubectl("delete", "pods", "--selector=spark-role=executor,astrok8s/server!=connect", "--grace-period=0", "--force")
    spark.range(100).selectExpr("sum(id)").first()
"""
    own = box.environment | {"OS_CLOUD": box.name}
    command = [sys.executable, "-c", f"import astrok8s\n{code}"]
    with subprocess.Popen(command, env=own, text=True, stderr=subprocess.PIPE) as waits:
        assert waits.stderr
        told = next((line for line in waits.stderr if "astrok8s:" in line), "")
        waits.kill()
    assert told.startswith("astrok8s: the job waits for executors: Kubernetes refuses to tell why: Unauthorized (401)")
    assert "attach again" in told
    # The server of Spark Connect gets a token of the new account.
    assert box.kubectl("one", "delete", "pods", "--namespace=spark", "--all").returncode == 0


def test_an_image_with_another_spark_is_refused(box: Box) -> None:
    changed = json.dumps({"data": {"sparkVersion": "3.5.0"}})
    patch = ("patch", "configmap", "astrok8s", "--namespace=spark", "--patch")
    assert box.kubectl("one", *patch, changed).returncode == 0
    run = python(box, "astrok8s.attach('one')")
    assert "has Spark 3.5.0, and this Python has pyspark 4.1.4. Install pyspark==3.5.0" in run.stderr
    changed = json.dumps({"data": {"python": "3.14"}})
    assert box.kubectl("one", *patch, changed).returncode == 0
    run = python(box, "astrok8s.attach('one')")
    assert "has Python 3.14, and this is Python 3.11: functions of one do not run in the other." in run.stderr


def test_provision_mends_what_it_made_and_tells_what_it_cannot(box: Box) -> None:
    again = python(box, "astrok8s.provision('one', size=1, quiet=True); astrok8s.attach('one', quiet=True).stop()")
    assert again.returncode == 0, again.stderr
    refused = python(box, "astrok8s.provision('one', size=1000)")
    assert (
        "astrok8s.errors.ProvisionError: cloud: Check the cloud, before anything is made: The quota" in refused.stderr
    )


def test_destroy_takes_the_cluster_away(box: Box) -> None:
    run = python(box, "astrok8s.get_cluster('one').destroy(); print(astrok8s.list_clusters())")
    assert run.stdout == "[]\n", run.stderr
