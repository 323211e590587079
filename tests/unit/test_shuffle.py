"""What a session is told of the shuffle of its cluster."""

from pathlib import Path

from astrok8s._shuffle import properties

FILE = "spark.kubernetes.executor.podTemplateFile"


def test_a_cluster_without_either_is_told_nothing() -> None:
    assert properties({}) == {}


def test_executors_get_the_template_that_the_cluster_has() -> None:
    found = {"service": "external", "session.conf": "spark.shuffle.service.port 7337\n", "executor.yaml": "kind: Pod\n"}
    told = properties(found)
    assert Path(told.pop(FILE)).read_text() == "kind: Pod\n"
    assert told == {"spark.shuffle.service.port": "7337"}
    assert FILE not in properties({"service": "tracking", "session.conf": "spark.decommission.enabled true\n"})
