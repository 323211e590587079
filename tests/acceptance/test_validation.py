"""All notebooks by one command, on a cluster that is made for them: what fails is told, and nothing is left."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from boxes import ROOT, SITE_BIN, Box, until

REPOSITORY = "sw.astro.example"
HANG = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)', output])"


def notebook(folder: Path, name: str, code: str, **metadata: str) -> None:
    v4: Any = nbformat.v4
    parameters = v4.new_code_cell("cluster = None\ncloud = None\noutput = None", metadata={"tags": ["parameters"]})
    content = v4.new_notebook(cells=[parameters, v4.new_code_cell(code)], metadata={"astrok8s": metadata})
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(nbformat.writes(content))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def output(box: Box) -> Path:
    return box.folder / "validation"


def command(box: Box, output: Path, *arguments: str) -> list[str]:
    return [
        *(str(SITE_BIN / "astrok8s"), "notebooks", "run", "--cloud", box.name, "--output", str(output)),
        *("--parallel", "2", *arguments),
    ]


def report(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "report.json").read_text())
    return found


def statuses(output: Path) -> dict[str, str]:
    return {result["name"]: result["status"] for result in report(output)["results"]}


def clusters(box: Box) -> str:
    run = box.openstack("coe", "cluster", "list", "-f", "value", "-c", "name")
    assert run.returncode == 0, run.stderr
    return run.stdout


def processes(output: Path) -> list[psutil.Process]:
    """Returns what a hanging notebook has started."""
    found = psutil.process_iter(["cmdline"])
    mark = f"{output.resolve()}/runs/"
    return [process for process in found if any(word.startswith(mark) for word in process.info["cmdline"] or [])]


def test_all_notebooks_pass(box: Box, output: Path) -> None:
    published = box.localcloud("cvmfs", "publish", REPOSITORY, str(ROOT / ".venv" / "software"))
    assert published.returncode == 0, published.stderr
    options = box.folder / "options.json"
    options.write_text(box.localcloud("cvmfs", "options").stdout)
    run = subprocess.run(
        command(box, output, "--option", f"@{options}"),
        cwd=ROOT,
        env=box.environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    names = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert statuses(output) == dict.fromkeys(names, "passed")
    assert report(output)["versions"]["Kubernetes"].startswith("v1.")
    assert clusters(box) == ""


def test_what_a_cluster_lacks_skips_a_notebook(box: Box, output: Path) -> None:
    run = box.run(*command(box, output, "--only", "cvmfs"))
    assert run.returncode == 2
    assert "Its cluster needs cvmfs_repositories" in " ".join(run.stderr.split())


def test_exactly_what_fails_is_red_and_the_cause_is_told(box: Box, output: Path) -> None:
    folder = box.folder / "bad"
    notebook(folder, "good", "assert cloud and output", cluster="none")
    notebook(folder, "wrong", "stars = 117_954\nassert stars == 117_955, stars", cluster="none")
    notebook(folder, "dies", "import os\nos._exit(1)", cluster="none")
    own = "import astrok8s\nastrok8s.provision(cluster, size=1, cloud=cloud, quiet=True)\n"
    notebook(folder, "hangs", own + HANG, cluster="own", timeout="100s")
    run = box.run(*command(box, output, "--folder", str(folder)))
    assert run.returncode == 1, run.stdout + run.stderr
    assert statuses(output) == {"good": "passed", "wrong": "failed", "dies": "failed", "hangs": "timed out"}
    told = {result["name"]: result["failure"] for result in report(output)["results"]}
    assert (told["wrong"]["cause"], told["wrong"]["cell"]) == ("AssertionError: 117954", 2)
    assert "Kernel died" in told["dies"]["cause"]
    assert (told["hangs"]["cause"], told["hangs"]["cell"]) == ("It took longer than 100 s.", 2)
    page = (output / "report.html").read_text()
    assert "AssertionError: 117954" in page
    assert (output / f"runs/{report(output)['id']}/wrong.ipynb").is_file()
    assert "destroying cluster" in run.stderr  # the notebook had come as far as that
    assert clusters(box) == ""
    assert processes(output) == []


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_a_run_that_is_ended_leaves_nothing(box: Box, output: Path, with_signal: signal.Signals) -> None:
    folder = box.folder / "hanging"
    notebook(folder, "hangs", HANG)
    ended = subprocess.Popen(
        command(box, output, "--folder", str(folder), "--option", "size=1"), cwd=ROOT, env=box.environment
    )
    until(lambda: subprocess.CompletedProcess([], len(processes(output))), lambda run: run.returncode > 0, 300)
    os.kill(ended.pid, with_signal)
    assert ended.wait(timeout=200) == (-signal.SIGKILL if with_signal == signal.SIGKILL else 1)
    # Its notebook ends with it.
    until(lambda: subprocess.CompletedProcess([], len(processes(output))), lambda run: run.returncode == 0)
    if with_signal == signal.SIGTERM:
        assert report(output)["status"] == "interrupted"
        assert clusters(box) == ""


def test_the_next_run_destroys_what_a_killed_one_left_and_tells(box: Box, output: Path) -> None:
    assert "-shared" in clusters(box)
    good = box.folder / "good"
    notebook(good, "good", "assert cloud", cluster="none")
    run = box.run(*command(box, output, "--folder", str(good)))
    assert run.returncode == 0, run.stdout + run.stderr
    assert clusters(box) == ""
    (told,) = report(output)["left"]
    assert "was killed; its clusters are destroyed: validation-" in told
    assert told in (output / "report.html").read_text()
    assert box.run(*command(box, output, "--folder", str(good))).returncode == 0
    assert report(output)["left"] == []  # once
