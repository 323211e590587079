"""What the history of sessions promises: it outlives clusters, and never costs a session."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from boxes import Box, until
from processes import in_box


def python(box: Box, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return box.run(sys.executable, "-c", f"import astrok8s\n{code}", OS_CLOUD=box.name, **environment)


def session(box: Box, cluster: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a session that computes something and prints its name."""
    code = f"""
spark = astrok8s.attach({cluster!r}, mode="client")
assert spark.range(100).count() == 100
print(spark.sparkContext.applicationId)
spark.stop()
"""
    run = python(box, code, **environment)
    assert run.returncode == 0, run.stderr
    return run


def history(box: Box, cluster: str) -> subprocess.CompletedProcess[str]:
    """Lists the sessions that are complete; the server may see a log before its end."""
    code = f"""
import json
listed = [a for a in astrok8s.get_cluster({cluster!r}).history() if a.completed]
told = {{a.id: [a.name, a.user, a.start.isoformat(), a.duration.total_seconds(), a.completed] for a in listed}}
print(json.dumps(told))
"""
    return python(box, code)


def test_a_session_of_a_cluster_that_is_gone_is_listed_by_a_new_one(box: Box) -> None:
    made = box.playbook("site.yml", clusters=["old"], size=1)
    assert made.returncode == 0, made.stdout
    ended = session(box, "old").stdout.strip()
    listed = until(lambda: history(box, "old"), lambda run: ended in run.stdout)
    assert box.playbook("playbooks/destroy.yml", clusters=["old"]).returncode == 0
    assert box.playbook("site.yml", clusters=["new"], size=1).returncode == 0
    again = until(lambda: history(box, "new"), lambda run: ended in run.stdout)
    # The server of Spark Connect has ended with its cluster, and is in it, too.
    assert json.loads(again.stdout)[ended] == json.loads(listed.stdout)[ended]
    assert "astrok8s connect" in again.stdout
    name, _, start, seconds, _ = json.loads(again.stdout)[ended]
    assert name == "astrok8s old"
    assert start.startswith("20")
    assert seconds > 0


def test_again_changes_nothing(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["new"], size=1)
    assert "changed=0" in run.stdout


def test_its_pages_open_on_this_machine(box: Box) -> None:
    code = """
import json, urllib.request
open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
cluster = astrok8s.get_cluster("new")
base = cluster.history_url()
assert cluster.history_url() == base
ended = next(a.id for a in cluster.history() if a.completed)
print(open_(f"{base}/history/{ended}/jobs/").read().decode())
"""
    run = python(box, code)
    assert run.returncode == 0, run.stderr
    assert "astrok8s old - Spark Jobs" in run.stdout


def test_only_the_service_account_and_the_key_of_spark_are_used(box: Box) -> None:
    def may(verb: str, resource: str, namespace: str) -> bool:
        account = "--as=system:serviceaccount:spark:spark"
        return box.kubectl("new", "auth", "can-i", verb, resource, "-n", namespace, account).stdout.strip() == "yes"

    assert may("get", "pods/portforward", "spark")
    assert not may("get", "pods/portforward", "kube-system")
    assert not may("get", "secrets", "spark")


def test_a_session_goes_on_while_the_object_storage_does_not_answer(box: Box) -> None:
    (swift,) = in_box(box, "localcloud.cloud.swift_server")
    os.kill(swift, signal.SIGSTOP)
    try:
        run = session(box, "new")
    finally:
        os.kill(swift, signal.SIGCONT)
    assert "this session will not be in the history: The cloud's object storage does not answer" in run.stderr


def test_a_bucket_that_is_gone_is_told(box: Box) -> None:
    assert box.openstack("container", "delete", "--recursive", "spark-events").returncode == 0
    run = session(box, "new")
    assert "bucket spark-events is gone; provision the cluster again" in run.stderr
    made = box.playbook("site.yml", clusters=["new"], size=1)
    assert "changed=1" in made.stdout
    ended = session(box, "new").stdout.strip()
    until(lambda: history(box, "new"), lambda run: ended in run.stdout)


def test_a_cloud_without_s3_has_no_history(box: Box) -> None:
    clouds = yaml.safe_load(box.clouds.read_text())
    clouds["clouds"][box.name]["s3_region_name"] = "nowhere"  # the catalogue's entry is for another region
    without = box.folder / "without.yaml"
    without.write_text(yaml.safe_dump(clouds))
    command = box.playbook_command("site.yml", clusters=["new"], size=1)
    run = box.run(*command, OS_CLIENT_CONFIG_FILE=str(without))
    assert run.returncode == 0, run.stdout
    session(box, "new", OS_CLIENT_CONFIG_FILE=str(without))


WRONG: list[tuple[dict[str, object], str]] = [
    ({"spark_history_bucket": "Nights"}, "A bucket cannot have the name 'Nights'. S3 wants 3 to 63 small letters"),
    ({"spark_history_retention_days": "soon"}, "unable to convert to int"),
    (
        {"spark_history_buckets": "nights"},
        "There is no option spark_history_buckets. Did you mean spark_history_bucket?",
    ),
]


@pytest.mark.parametrize(("variables", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused(box: Box, variables: dict[str, object], message: str) -> None:
    run = box.playbook("site.yml", clusters=["new"], size=1, **variables)
    assert run.returncode == 2
    assert message in run.stdout


def test_a_history_server_that_does_not_come_is_told_with_the_reason(box: Box) -> None:
    image = "docker.io/astrok8s/spark:none"
    assert box.playbook("site.yml", clusters=["new"], size=1, spark_base_image=image).returncode == 0
    run = python(box, "astrok8s.get_cluster('new').history(timeout_s=20)")
    assert "astrok8s.errors.HistoryError: The history server of new is not ready after 20 s." in run.stderr
    assert image in run.stderr


def test_a_cluster_may_be_declared_without(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["new"], size=1, spark_history_state="absent")
    assert run.returncode == 0, run.stdout
    assert (
        box.kubectl("new", "get", "deployments,secrets,configmaps", "-n", "spark", "-o", "name").stdout.count("history")
        == 0
    )
    told = history(box, "new")
    assert "The cluster new has no history server" in told.stderr
    session(box, "new")
