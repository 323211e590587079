"""What the shuffle promises: files that are needed outlive their executors, and what cannot work is refused."""

import re
import subprocess
import sys

import pytest
from boxes import KUBECTL, Box

# Counts how often a map task ran, with what happens between map and reduce in the middle.
SHUFFLE = """
import time
from astrok8s._driver import executors_here
context, ran = spark.sparkContext, spark.sparkContext.accumulator(0)
def mapped(part):
    ran.add(1)
    return [(number % 1000, 1) for number in range(50_000)]
grouped = context.parallelize(range(6), 6).flatMap(mapped).groupByKey(6)
assert grouped.count() == 1000
{between}
sums = grouped.mapValues(len).collectAsMap()
assert len(sums) == 1000 and sum(sums.values()) == 6 * 50_000
print(ran.value)
spark.stop()
"""
LOSE_ALL = """
import subprocess
pods = ["{kubectl}", "--kubeconfig={kubeconfig}", "--namespace=spark"]
subprocess.run([*pods, "delete", "pods", "--selector=spark-role=executor", "--grace-period=0", "--force"], check=True)
"""
WAIT_FOR_NONE = """
deadline = time.monotonic() + 120
while executors_here(context):
    assert time.monotonic() < deadline, "executors stay"
    time.sleep(0.2)
"""
SHRINKING = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.executorIdleTimeout": "2s",
}


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    return box


def python(box: Box, code: str, **conf: str) -> subprocess.CompletedProcess[str]:
    attach = f"import astrok8s\nspark = astrok8s.attach('one', mode='client', conf={conf!r})\n"
    return box.run(sys.executable, "-c", attach + code, OS_CLOUD=box.name)


def lose_all(box: Box) -> str:
    box.kubectl("one", "version")  # which writes its kubeconfig
    return LOSE_ALL.format(kubectl=KUBECTL, kubeconfig=box.folder / f"{box.name}-one" / "config")


@pytest.mark.parametrize(("service", "tasks"), [("true", "6"), ("false", "12")])
def test_only_without_a_shuffle_service_a_lost_executors_work_is_done_again(box: Box, service: str, tasks: str) -> None:
    code = SHUFFLE.format(between=lose_all(box))
    run = python(box, code, **{"spark.shuffle.service.enabled": service})
    assert run.stdout.splitlines()[-1:] == [tasks], run.stdout + run.stderr


def test_no_executor_need_stay_for_its_files(box: Box) -> None:
    run = python(box, SHUFFLE.format(between=WAIT_FOR_NONE), **SHRINKING)
    assert run.stdout.splitlines()[-1:] == ["6"], run.stdout + run.stderr


def test_executors_come_with_work_and_no_more_than_there_are_workers(box: Box) -> None:
    code = """
properties = dict(spark.sparkContext.getConf().getAll())
print(properties["spark.dynamicAllocation.maxExecutors"], "spark.executor.instances" in properties)
print(spark.range(100, numPartitions=8).count())
spark.stop()
"""
    run = python(box, code, **SHRINKING)
    assert run.stdout.splitlines() == ["2 False", "100"], run.stdout + run.stderr
    assert "executors are here" not in run.stderr  # nobody waited for any


def test_executors_may_share_a_node(box: Box) -> None:
    code = "spark = astrok8s.attach('one', mode='client', executors=4); print(spark.range(100).count()); spark.stop()"
    run = box.run(sys.executable, "-c", f"import astrok8s; {code}", OS_CLOUD=box.name)
    assert run.stdout == "100\n", run.stdout + run.stderr


CANNOT = [
    (
        {"spark.kubernetes.executor.podTemplateFile": "mine.yaml"},
        "spark.kubernetes.executor.podTemplateFile is mine.yaml, which cannot be read as YAML",
    ),
    (
        {
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.shuffleTracking.enabled": "false",
            "spark.shuffle.service.enabled": "false",
        },
        "spark.dynamicAllocation.shuffleTracking.enabled is false, and the session has no shuffle service",
    ),
]


@pytest.mark.parametrize(("conf", "message"), CANNOT, ids=["template", "untracked"])
def test_what_cannot_work_is_refused(box: Box, conf: dict[str, str], message: str) -> None:
    run = python(box, "", **conf)
    assert run.returncode == 1
    assert "astrok8s.errors.OptionError: " in run.stderr
    assert message in run.stderr


WRONG: list[tuple[dict[str, object], str]] = [
    ({"spark_shuffle_port": 80}, "The option spark_shuffle_port cannot be 80: it is at least 1024."),
    ({"spark_shuffle_folder": "here"}, "The shuffle service cannot use the folder here of its node."),
]


@pytest.mark.parametrize(("variables", "message"), WRONG, ids=["port", "folder"])
def test_bad_input_is_refused(box: Box, variables: dict[str, object], message: str) -> None:
    run = box.playbook("site.yml", clusters=["one"], size=2, **variables)
    assert run.returncode == 2
    assert "changed=0" in run.stdout
    assert message in run.stdout


def test_check_foretells_tracking_where_there_is_no_cluster(box: Box) -> None:
    command: dict[str, object] = {"size": 1, "spark_shuffle_service": "tracking"}
    foretold, run = (box.playbook("site.yml", *mode, clusters=["two"], **command) for mode in (["--check"], []))
    assert (foretold.returncode, run.returncode) == (0, 0), foretold.stdout + run.stdout
    counts = [re.findall(r"changed=\d+", ran.stdout)[-1] for ran in (foretold, run)]
    assert counts[0] == counts[1] != "changed=0"
    assert box.playbook("playbooks/destroy.yml", clusters=["two"]).returncode == 0


def test_a_service_that_does_not_come_is_told_with_the_reason(box: Box) -> None:
    image = "docker.io/astrok8s/spark:none"
    assert box.playbook("site.yml", clusters=["one"], size=2, spark_base_image=image).returncode == 0
    code = "import astrok8s; astrok8s.attach('one', mode='client', timeout_s=20)"
    run = box.run(sys.executable, "-c", code, OS_CLOUD=box.name)
    assert "astrok8s.errors.AttachError: The shuffle service is not ready on all nodes after 20 s." in run.stderr
    assert image in run.stderr


def test_tracking_takes_the_service_away_and_keeps_the_files(box: Box) -> None:
    tracking = {"size": 2, "spark_shuffle_service": "tracking"}
    run = box.playbook("site.yml", clusters=["one"], **tracking)
    assert run.returncode == 0, run.stdout
    assert "changed=0" in box.playbook("site.yml", clusters=["one"], **tracking).stdout
    assert box.kubectl("one", "get", "daemonsets", "--namespace=spark", "--output=name").stdout == ""
    # The server of Spark Connect has been told, too.
    code = "import astrok8s; print(astrok8s.attach('one').range(100).groupBy().sum('id').first()[0])"
    connected = box.run(sys.executable, "-c", code, OS_CLOUD=box.name)
    assert connected.stdout == "4950\n", connected.stderr
    asked = python(box, "", **{"spark.shuffle.service.enabled": "true"})
    assert "astrok8s.errors.OptionError: spark.shuffle.service.enabled is true, and the cluster has no" in asked.stderr
    shrunk = python(box, SHUFFLE.format(between=""), **SHRINKING)
    assert shrunk.stdout.splitlines()[-1:] == ["6"], shrunk.stdout + shrunk.stderr
    assert "WARN" not in shrunk.stderr.replace("WARNING: Using incubator", "")
