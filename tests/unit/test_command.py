"""What the command gives to programs and shells, and what it costs to start."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

import astrok8s
from astrok8s.cli._shown import show_json
from astrok8s.history import Application

PROGRAM = str(Path(sys.executable).with_name("astrok8s"))


def test_json_has_times_in_utc_and_durations_in_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    ran = Application(id="a", name="étoiles", user="u", start=start, duration=timedelta(minutes=2), completed=True)
    show_json([ran])
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "a",
            "name": "étoiles",
            "user": "u",
            "start": "2026-01-01T00:00:00+00:00",
            "duration": 120.0,
            "completed": True,
        }
    ]
    assert start.astimezone(UTC) == start


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("astrok8s notebo", ["notebooks"]),
        ("astrok8s up -o spark_history_r", ["spark_history_retention_days="]),
        ("astrok8s list --cloud f", ["far"]),
        ("astrok8s show o", []),  # its cloud does not answer
    ],
)
def test_a_shell_completes(words: str, completed: list[str], tmp_path: Path) -> None:
    clouds = tmp_path / "clouds.yaml"
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "p"}
    clouds.write_text(yaml.safe_dump({"clouds": {"far": {"auth": auth}, "near": {}}}))
    asked = {"_ASTROK8S_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    environment = os.environ | asked | {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": "far"}
    run = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == completed


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_an_import_takes_a_moment() -> None:
    # Processor time, since the machine may have other things to do; and the least of some, since caches may be cold.
    took = "import time; start = time.process_time(); import astrok8s; print(time.process_time() - start)"
    assert min(float(python(took)) for _ in range(3)) < 0.1


@pytest.mark.parametrize("module", ["astrok8s", "astrok8s.cli"])
def test_what_is_heavy_is_imported_where_it_is_used(module: str) -> None:
    heavy = {"ansible", "ansible_runner", "kubernetes", "openstack", "pandas", "pyspark", "yaml"}
    assert python(f"import sys, {module}; print(*sys.modules.keys() & {heavy})").split() == []


def test_all_that_is_offered_is_there() -> None:
    for name in astrok8s.__all__:
        assert getattr(astrok8s, name).__name__ == name
    assert {*astrok8s.__all__, "history", "orphans"} <= set(dir(astrok8s))
    assert "lifetimes" in python("import astrok8s; print(astrok8s.lifetimes.ended.__module__)")
    with pytest.raises(AttributeError, match="has no attribute 'spark'"):
        getattr(astrok8s, "spark")  # noqa: B009 - types know that it is not there
