"""When a job that waits is explained."""

from types import SimpleNamespace
from typing import Any

import pytest

from astrok8s import ClusterNotFoundError
from astrok8s._watch import Watch


def watch(*reasons: str) -> Watch:
    return Watch(SimpleNamespace(why_missing=lambda: list(reasons)))  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock = SimpleNamespace(now=1.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_a_job_that_waits_for_long_is_explained_once(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    full = watch("exec-1 fits on no node: Insufficient cpu", "exec-2 fits on no node: Insufficient cpu")
    for _ in range(60):
        clock.now += 1
        full.see(waits=True)
    told = "astrok8s: the job waits for executors: exec-1 fits on no node: Insufficient cpu\n"
    assert capsys.readouterr().err == told


def test_a_job_whose_tasks_run_is_not(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    full = watch("exec-1 fits on no node: Insufficient cpu")
    for second in range(60):
        clock.now += 1
        full.see(waits=second % 10 != 0)
    assert capsys.readouterr().err == ""


def test_a_cluster_that_is_gone_is_told(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> list[str]:
        raise ConnectionError

    ended = ClusterNotFoundError("The cluster hyades ended at noon: its time was over.", remedy="Make it again.")
    watch = Watch(SimpleNamespace(why_missing=refuse), lambda: ended)  # type: ignore[arg-type]
    for _ in range(60):
        clock.now += 1
        watch.see(waits=True)
    told = capsys.readouterr().err
    assert told.count("its time was over. Make it again. Then call spark.stop(), and attach again.") == 1
