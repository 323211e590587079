"""What the shuffle promises: files that are needed outlive their executors, and what cannot work is refused."""

import os
import subprocess
import sys
from collections.abc import Iterator

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
    "spark.dynamicAllocation.initialExecutors": "2",
    "spark.dynamicAllocation.minExecutors": "0",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(f"f{os.getpid()}", tmp_path_factory.mktemp("shuffle"))
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    yield box
    box.localcloud("destroy")


def python(box: Box, code: str, **conf: str) -> subprocess.CompletedProcess[str]:
    attach = f"import astrok8s\nspark = astrok8s.attach('one', conf={conf!r})\n"
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


def test_a_service_that_does_not_come_is_told_with_the_reason(box: Box) -> None:
    image = "docker.io/astrok8s/spark:none"
    assert box.playbook("site.yml", clusters=["one"], size=2, spark_base_image=image).returncode == 0
    run = box.run(sys.executable, "-c", "import astrok8s; astrok8s.attach('one', timeout_s=20)", OS_CLOUD=box.name)
    assert "astrok8s.errors.AttachError: The shuffle service is not ready on all nodes after 20 s." in run.stderr
    assert image in run.stderr


def test_tracking_takes_the_service_away_and_keeps_the_files(box: Box) -> None:
    tracking = {"size": 2, "spark_shuffle_service": "tracking"}
    run = box.playbook("site.yml", clusters=["one"], **tracking)
    assert run.returncode == 0, run.stdout
    assert "changed=0" in box.playbook("site.yml", clusters=["one"], **tracking).stdout
    assert box.kubectl("one", "get", "daemonsets", "--namespace=spark", "--output=name").stdout == ""
    asked = python(box, "", **{"spark.shuffle.service.enabled": "true"})
    assert "astrok8s.errors.OptionError: spark.shuffle.service.enabled is true, and the cluster has no" in asked.stderr
    shrunk = python(box, SHUFFLE.format(between=""), **SHRINKING)
    assert shrunk.stdout.splitlines()[-1:] == ["6"], shrunk.stdout + shrunk.stderr
