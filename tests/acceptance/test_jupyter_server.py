"""The server extension with a cloud: clusters are made and taken away in processes that outlive the server."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from boxes import ROOT, SITE_BIN, Box
from jupyter import Jupyter

OPENAPI = ROOT / "labextension" / "jupyterlab_astrok8s" / "openapi.yaml"


@pytest.fixture(scope="module")
def jupyter(box: Box) -> Iterator[Jupyter]:
    jupyter = Jupyter(box)
    jupyter.start()
    yield jupyter
    jupyter.stop()


def post(jupyter: Jupyter, **declared: Any) -> dict[str, Any]:
    answer = jupyter.ask("POST", "/astrok8s/clusters", json=declared)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def operation(jupyter: Jupyter, identity: str) -> dict[str, Any]:
    answer = jupyter.get(f"/astrok8s/operations/{identity}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def wait(
    jupyter: Jupyter, identity: str, predicate: Callable[[dict[str, Any]], bool], timeout_s: float = 300
) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while not predicate(told := operation(jupyter, identity)):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def end(jupyter: Jupyter, identity: str) -> dict[str, Any]:
    return wait(jupyter, identity, lambda told: told["state"] != "running")


def clusters(jupyter: Jupyter) -> dict[str, tuple[int, str]]:
    answer = jupyter.get("/astrok8s/clusters")
    assert answer.status_code == 200, answer.text
    return {cluster["name"]: (cluster["size"], cluster["status"]) for cluster in answer.json()["clusters"]}


def begin(jupyter: Jupyter, name: str) -> str:
    """Has a cluster made, and waits until Magnum knows it; returns the operation."""
    identity = str(post(jupyter, name=name, size=1)["id"])
    wait(jupyter, identity, lambda _: name in clusters(jupyter))
    return identity


def worker(jupyter: Jupyter, identity: str) -> int:
    """Returns the process of an operation."""
    events = jupyter.box.folder / "jupyter" / "data" / "astrok8s" / "operations" / identity / "events.jsonl"
    return int(json.loads(events.read_text().splitlines()[0])["process"])


def test_a_cluster_is_made_while_the_server_is_started_again(jupyter: Jupyter) -> None:
    assert clusters(jupyter) == {}
    made = begin(jupyter, "one")
    jupyter.stop()
    jupyter.start()
    again = jupyter.ask("POST", "/astrok8s/clusters", json={"name": "one"})
    assert again.status_code == 409, again.text
    assert again.json()["fact"] == f"An operation works on one: provision, {made}."
    told = end(jupyter, made)
    assert (told["state"], told["error"]) == ("succeeded", None)
    assert clusters(jupyter) == {"one": (1, "CREATE_COMPLETE")}


def test_posting_it_again_converges(jupyter: Jupyter) -> None:
    told = end(jupyter, post(jupyter, name="one", size=2)["id"])
    assert told["state"] == "succeeded", told
    assert clusters(jupyter) == {"one": (2, "UPDATE_COMPLETE")}


def test_a_failure_is_told_by_the_task_that_failed(jupyter: Jupyter) -> None:
    told = end(jupyter, post(jupyter, name="one", size=10_000)["id"])
    assert told["state"] == "failed"
    assert "The quota does not allow size 10000" in told["error"]["fact"]
    assert "PLAY RECAP" in jupyter.get(f"/astrok8s/operations/{told['id']}/log").text
    assert clusters(jupyter) == {"one": (2, "UPDATE_COMPLETE")}


def test_one_that_is_cancelled_is_finished_by_the_next(jupyter: Jupyter) -> None:
    made = begin(jupyter, "two")
    jupyter.ask("POST", f"/astrok8s/operations/{made}/cancel").raise_for_status()
    told = wait(jupyter, made, lambda told: told["state"] != "running", timeout_s=20)
    assert told["state"] == "cancelled"
    told = end(jupyter, post(jupyter, name="two")["id"])
    assert told["state"] == "succeeded", told
    assert clusters(jupyter)["two"] == (1, "CREATE_COMPLETE")


def test_a_cluster_is_found_again_where_all_was_lost_with_the_pod_of_the_server(jupyter: Jupyter) -> None:
    """The process is killed, the server too, and the home of its pod is gone: the cloud knows."""
    made = begin(jupyter, "three")
    jupyter.stop()
    os.kill(worker(jupyter, made), signal.SIGKILL)
    shutil.rmtree(jupyter.box.folder / "jupyter")
    jupyter.start()
    assert jupyter.get("/astrok8s/operations").json() == {"operations": []}
    assert "three" in clusters(jupyter)
    told = end(jupyter, post(jupyter, name="three")["id"])
    assert told["state"] == "succeeded", told
    assert clusters(jupyter)["three"] == (1, "CREATE_COMPLETE")


def test_a_process_that_is_killed_is_told(jupyter: Jupyter) -> None:
    made = post(jupyter, name="three", size=2)
    wait(jupyter, made["id"], lambda told: bool(told["steps"]))
    os.kill(worker(jupyter, made["id"]), signal.SIGKILL)
    told = end(jupyter, made["id"])
    assert told["state"] == "lost"
    assert told["error"]["fact"] == "The process that was to provision was killed; three was left as it was then."


def test_access_is_given_listed_and_taken(jupyter: Jupyter) -> None:
    path = "/astrok8s/clusters/one/grants"
    granted = jupyter.ask("POST", path, json={"user": "maria"})
    assert granted.status_code == 202, granted.text
    told = end(jupyter, granted.json()["id"])
    assert told["state"] == "succeeded", told
    assert Path(told["arguments"]["file"]) == jupyter.box.folder / "jupyter" / "one-maria.kubeconfig"
    listed = jupyter.get(path).json()["grants"]
    assert [(grant["user"], grant["namespace"], grant["until"]) for grant in listed] == [("maria", "user-maria", None)]
    # The token is in the file, and nowhere in what the operation tells.
    (token,) = re.findall(r"token: (\S+)", Path(told["arguments"]["file"]).read_text())
    assert token not in json.dumps(told) + jupyter.get(f"/astrok8s/operations/{told['id']}/log").text
    told = end(jupyter, jupyter.ask("DELETE", f"{path}/maria").json()["id"])
    assert told["state"] == "succeeded", told
    assert jupyter.get(path).json() == {"grants": []}


def test_the_history_is_told(jupyter: Jupyter) -> None:
    answer = jupyter.get("/astrok8s/clusters/one/history")
    assert answer.status_code == 200, answer.text
    assert "astrok8s connect" in {application["name"] for application in answer.json()["applications"]}


def test_a_resize_keeps_what_the_cluster_was_declared_with(jupyter: Jupyter) -> None:
    declared = post(jupyter, name="one", size=2, options={"spark_connect_idle_minutes": 7})
    assert end(jupyter, declared["id"])["state"] == "succeeded"
    resized = jupyter.ask("PATCH", "/astrok8s/clusters/one", json={"size": 1})
    assert resized.status_code == 202, resized.text
    told = end(jupyter, resized.json()["id"])
    assert told["state"] == "succeeded", told
    assert clusters(jupyter)["one"] == (1, "UPDATE_COMPLETE")
    minutes = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='IDLE_MINUTES')].value}"
    server = ("--namespace=spark", "deployment/spark-connect")
    assert jupyter.box.kubectl("one", "get", *server, f"--output={minutes}").stdout == "7.0"


def test_clusters_are_taken_away(jupyter: Jupyter) -> None:
    for name in ("two", "three"):
        answer = jupyter.ask("DELETE", f"/astrok8s/clusters/{name}")
        assert answer.status_code == 202, answer.text
        told = end(jupyter, answer.json()["id"])
        assert told["state"] == "succeeded", told
    gone = jupyter.ask("DELETE", "/astrok8s/clusters/two")
    assert gone.status_code == 404
    assert re.fullmatch(r"The cluster two ended at \S+ \S+ UTC: it was destroyed by \S+\.", gone.json()["fact"])


def test_one_stream_leaves_the_browser_its_connections(jupyter: Jupyter) -> None:
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"token {jupyter.token}"}
        url = f"http://127.0.0.1:{jupyter.port}/astrok8s/events"
        with session.get(url, headers=headers, stream=True, timeout=10) as stream:
            lines = stream.iter_lines(decode_unicode=True)
            told = [json.loads(line[6:]) for line in (next(lines) for _ in range(3)) if str(line).startswith("data: ")]
    assert told[0]["id"] == jupyter.get("/astrok8s/operations").json()["operations"][0]["id"]


CHANGES = ("declare", "resize", "grant")
ENDS = ("destroy", "revoke")  # of whatever there is: what has no body cannot be wrong


@pytest.mark.parametrize(
    "which",
    [
        # The stream has no end.
        ["--exclude-path=/astrok8s/events", *(f"--exclude-operation-id={each}" for each in CHANGES + ENDS)],
        # What fits would change the cloud.
        [*(f"--include-operation-id={change}" for change in CHANGES), "--mode=negative"],
    ],
    ids=["others", "changes"],
)
def test_nothing_that_is_sent_is_an_error_of_the_server(jupyter: Jupyter, tmp_path: Path, which: list[str]) -> None:
    """schemathesis makes requests from openapi.yaml, right ones and wrong ones: no answer is a 5xx."""
    command = [str(SITE_BIN / "schemathesis"), "run", str(OPENAPI), f"--url=http://127.0.0.1:{jupyter.port}", *which]
    command += [
        "--phases=coverage,fuzzing",
        "--max-examples=30",
        "--request-timeout=120",
    ]  # for the server of the history, and two answers
    command += ["--checks=not_a_server_error,response_schema_conformance"]
    command += [f"--header=Authorization: token {jupyter.token}"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout[-5000:]
