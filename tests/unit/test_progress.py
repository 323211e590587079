"""What a long operation shows, and what an interrupt leaves to be read."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jupyter_client.manager import KernelManager

from astrok8s._progress import Progress, durations
from astrok8s._progress.state import State
from astrok8s._progress.watching import words
from astrok8s.provisioning import stages

PROGRAM = str(Path(sys.executable).with_name("astrok8s"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a cloud that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v3"
        auth = {"auth_url": url, "username": "u", "password": "p", "project_name": "p"}
        path = tmp_path / "clouds.yaml"
        path.write_text(yaml.safe_dump({"clouds": {"silent": {"auth": auth}}}))
        yield os.environ | {"OS_CLIENT_CONFIG_FILE": str(path), "OS_CLOUD": "silent"}


def test_a_stage_ends_where_the_next_begins() -> None:
    state = State(["cloud", "nodes"], {"nodes": 12.4})
    assert [stage.words() for stage in state.stages] == ["", "about 12 s"]
    state.begin("cloud")
    state.begin("nodes")
    assert state.now
    assert state.now.words() == "0 s of about 12 s"
    assert [*state.took()] == ["cloud"]
    state.begin("more")
    assert [stage.name for stage in state.stages] == ["cloud", "nodes", "more"]
    state.end()
    assert state.now is None
    assert [*state.took()] == ["cloud", "nodes", "more"]


def test_what_is_expected_is_the_median_of_the_last_times() -> None:
    assert durations.expected("site far/1") == {}
    for seconds in (100, 1, 2, 3, 4, 50):
        durations.keep("site far/1", {"cloud": seconds})
    assert durations.expected("site far/1") == {"cloud": 3}
    assert durations.expected("site far") == {}


@pytest.mark.parametrize("text", ["", "[]", '{"cloud": 1}', '{"cloud": ["soon"]}'])
def test_a_memory_that_is_not_ours_is_none(text: str) -> None:
    durations.keep("site", {"cloud": 1})
    (path,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("*.json")
    path.write_text(text)
    assert durations.expected("site") == {}


def test_only_what_went_well_is_remembered() -> None:
    def run(error: Exception | None) -> None:
        with Progress(operation="site", stages=["cloud"]) as progress:
            progress.begin("cloud")
            if error:
                raise error

    with pytest.raises(ValueError, match="no"):
        run(ValueError("no"))
    assert durations.expected("site") == {}
    run(None)
    assert [*durations.expected("site")] == ["cloud"]


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(stages=["cloud"]) as progress:
        progress.say("one")
        progress.say("one")
        progress.see("[two] of 3")
        progress.see("")
    assert re.sub(r" +\d+\.\d s  ", "", capsys.readouterr().err) == "one\n[two] of 3\n"


def test_nodes_are_told_as_they_come() -> None:
    body: dict[str, Any] = {"name": "one", "status": "CREATE_IN_PROGRESS", "node_count": 2, "node_addresses": None}
    assert words(body) == "one is CREATE_IN_PROGRESS, 0 of 2 workers"
    body["node_addresses"] = ["10.0.0.1"]
    assert words(body) == "one is CREATE_IN_PROGRESS, 1 of 2 workers: 10.0.0.1"
    assert words(None) == ""


def test_the_stages_are_the_roles() -> None:
    assert stages("site.yml")[:3] == ["cloud", "magnum_cluster", "lifecycle"]
    assert stages("playbooks/destroy.yml") == ["cloud", "spark_connect", "magnum_cluster", "lifecycle"]


def test_an_interrupt_ends_it_and_tells_what_is_done(silent: dict[str, str]) -> None:
    with subprocess.Popen([PROGRAM, "up", "one"], env=silent, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = next(line for line in process.stderr if "Check the cloud, before anything is made" in line)
        assert "cloud: " in line
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        told = process.stderr.read()
        process.wait()
        took = time.monotonic() - start
    assert process.returncode == 1
    assert "done is nothing, cloud was being done. The next run finishes cluster one" in told
    assert "Traceback" not in told
    assert took < 6  # three seconds, on a machine that does not do much else


# Whoever looks at a notebook says from which cell a request is.
@pytest.mark.parametrize(
    ("metadata", "kinds"), [({"cellId": "1"}, {"display_data", "update_display_data"}), ({}, set())]
)
def test_a_notebook_that_somebody_looks_at_has_html(metadata: dict[str, str], kinds: set[str]) -> None:
    code = """
from astrok8s._progress import Progress
with Progress(stages=["cloud", "<nodes>"]) as progress:
    progress.begin("cloud")
    progress.say("asking")
    progress.begin("<nodes>")
"""
    manager = KernelManager()
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        message = client.session.msg("execute_request", {"code": code, "silent": False}, metadata=metadata)
        client.shell_channel.send(message)
        told: list[dict[str, Any]] = []
        while not told or told[-1]["content"].get("execution_state") != "idle":
            told.append(client.get_iopub_msg(timeout=60))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "error" not in {one["msg_type"] for one in told}, told
    shown = [one for one in told if "display" in one["msg_type"]]
    assert {one["msg_type"] for one in shown} == kinds
    if kinds:
        last = json.dumps(shown[-1]["content"]["data"])
        assert "<td>done</td><td>&lt;nodes&gt;</td><td>0 s</td>" in last
        assert "asking" in last
    else:
        assert "asking" in "".join(one["content"].get("text", "") for one in told)
