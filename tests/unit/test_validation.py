"""What validation chooses, keeps and reports, from made-up notebooks and results."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from astrok8s import OptionError
from astrok8s.validation import Failure, Plan, Result, Run, choose, find
from astrok8s.validation.records import KEPT, Records
from astrok8s.validation.reporting import bars, duration, history, junit, page
from astrok8s.validation.results import failure_of

NASTY = "<script>alert('&')</script>\x1b[31m\x00"
BAD = Failure("ValueError: " + NASTY, 3, NASTY, NASTY)


def write(folder: Path, name: str, parameters: str = "cluster = 1", **metadata: Any) -> None:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": [parameters], "outputs": []}
    heading = {"cell_type": "markdown", "metadata": {}, "source": f"# The {name}\n"}
    content = {"cells": [heading, cell], "metadata": {"astrok8s": metadata}, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(content))


def run_of(number: int, *results: Result) -> Run:
    return Run(f"20261224T18{number:02}00-{number:06x}", "site", "failed", 12.5, {"Python": "3"}, list(results))


def test_a_notebook_says_what_it_needs(tmp_path: Path) -> None:
    write(tmp_path, "sky", "cluster = 1\ncloud = 2", cluster="own", needs=["cvmfs_repositories"], timeout="90s")
    (notebook,) = find(tmp_path)
    assert (notebook.name, notebook.title, notebook.cluster, notebook.timeout_s) == ("sky", "The sky", "own", 90)
    assert notebook.parameters == {"cluster", "cloud"}
    plan = Plan([notebook], tmp_path)
    assert plan.skipped(notebook) == "Its cluster needs cvmfs_repositories: give -o cvmfs_repositories=…."
    assert replace(plan, options={"cvmfs_repositories": []}).skipped(notebook) == ""


def test_who_names_a_cluster_knows_what_it_has(tmp_path: Path) -> None:
    write(tmp_path, "sky", needs=["cvmfs_repositories"])
    (notebook,) = find(tmp_path)
    assert Plan([notebook], tmp_path, cluster="mine").skipped(notebook) == ""


@pytest.mark.parametrize("metadata", [{"cluster": "mine"}, {"time": "1h"}, {"timeout": "soon"}])
def test_what_nobody_understands_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    write(tmp_path, "sky", **metadata)
    with pytest.raises(OptionError, match=r"mine|time|soon"):
        find(tmp_path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="There is no notebook in"):
        find(tmp_path)
    write(tmp_path, "sky")
    write(tmp_path, "sea")
    there = find(tmp_path)
    assert [notebook.name for notebook in choose(there, ["sky.ipynb"], {"cluster": 1})] == ["sky"]
    with pytest.raises(OptionError, match=r"no notebook moon. There are: sea, sky\."):
        choose(there, ["moon"], {})
    with pytest.raises(OptionError, match="a parameter bucket"):
        choose(there, [], {"bucket": 1})


def executed(**metadata: Any) -> dict[str, Any]:
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'hip'\nmore", "traceback": ["\x1b[31mA\nB", "C"]}
    state = {"id": "b", "cell_type": "code", "metadata": {"papermill": metadata}, "source": ["x =", " 1"]}
    return {"cells": [{"id": "new", "source": ""}, state | {"outputs": [error] if metadata.get("exception") else []}]}


def test_the_cell_that_failed_is_found() -> None:
    original = {"cells": [{"id": "a"}, {"id": "b"}]}
    found = failure_of(executed(exception=True, status="failed"), original)
    assert found == Failure("KeyError: 'hip'", 2, "x = 1", "A\nB\nC")
    assert failure_of(executed(exception=None, status="running"), original) == Failure("", 2, "x = 1", "")
    # A kernel that has died leaves the cell as if it had ended well.
    assert failure_of(executed(exception=None, status="completed"), original) == Failure("", 2, "x = 1", "")
    assert failure_of(executed(exception=None, status="pending"), original) is None


class Page(HTMLParser):
    """Notes the elements of a page that are open, and the text that is shown."""

    VOID = ("meta", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in self.VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_shows_what_was_said() -> None:
    run = run_of(1, Result("sky", NASTY, "failed", 3.0, "runs/x/sky.ipynb", BAD), Result("sea", "Sea", "passed", 61.0))
    run.problems, run.left = [f"problem {NASTY}"], ["The run y was killed."]
    shown = Page(page(run, [run]))
    assert shown.open == []
    assert "script" not in shown.tags
    assert shown.tags.count("rect") == 2
    for text in ("alert('&')", "Cell 3", "1 min 01 s", "The run y was killed.", "24 18:01 UTC"):
        assert text in shown.text


def test_junit_has_a_case_for_each_notebook() -> None:
    skipped = Result("sea", "Sea", "skipped", failure=Failure("Its cluster needs x."))
    run = run_of(1, Result("sky", "Sky", "timed out", 3.0, failure=BAD), skipped, Result("sun", "Sun", "passed", 1.5))
    run.problems = ["Clusters may be left."]
    (suite,) = ElementTree.fromstring(junit(run))  # noqa: S314 - it is our own
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    cases = {case.get("name"): [(child.tag, child.get("type")) for child in case] for case in suite}
    assert cases == {
        "sky": [("failure", "timed out")],
        "sea": [("skipped", "skipped")],
        "sun": [],
        "clusters": [("error", "problem")],
    }


def test_a_sparkline_is_of_the_last_runs_that_ran_it() -> None:
    runs = [run_of(number, Result("sky", "", "passed", number)) for number in range(KEPT + 5)]
    runs[-1].results = [Result("sky", "", "skipped", 0)]
    found = history("sky", runs)
    assert len(found) == KEPT
    assert bars(found, 10)[-1] == (10, "passed")
    assert bars([], 10) == []
    assert (duration(59.94), duration(184)) == ("59.9 s", "3 min 04 s")


def test_runs_are_kept_and_those_that_were_killed_are_known(tmp_path: Path) -> None:
    records = Records(tmp_path)
    with records.begin("site") as killed:
        assert records.killed() == []  # its process is there
    assert [run.id for run in records.killed()] == [killed.id]
    assert killed.owns(f"{killed.prefix}-shared")
    assert not killed.owns(f"{killed.prefix}x")
    with records.begin("site") as run:
        run.results = [Result("sky", "", "passed"), Result("sea", "", "failed", failure=BAD)]
        run.status = "failed"
        records.write(run)
        for name in ("sky.ipynb", "sea.ipynb"):
            (records.folder(run) / name).touch()
    assert run in records.runs()
    records.prune(run)
    assert (records.folder(run) / "sky.ipynb").exists()
    records.prune(killed)
    assert {path.name for path in records.folder(run).iterdir()} == {"sea.ipynb", "report.json"}


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for number in range(KEPT + 2):
        run = run_of(number)
        records.folder(run).mkdir(parents=True)
        records.write(run)
    records.prune(run)
    assert [entry.id for entry in records.runs()] == [run_of(number).id for number in range(2, KEPT + 2)]
