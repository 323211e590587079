"""What a run came to, as a page, as JUnit XML and as JSON."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from astrok8s import _private
from astrok8s.validation.records import KEPT, Records
from astrok8s.validation.results import Result, Run, readable

PAGE = "report.html"
"""The page of the latest run."""

_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(records: Records, run: Run) -> None:
    """Writes the reports of a run.

    Args:
        records: The folder of runs.
        run: What it came to.
    """
    contents = {
        PAGE: page(run, records.runs()),
        "junit.xml": junit(run),
        "report.json": (records.folder(run) / "report.json").read_text(encoding="utf-8"),
    }
    for name, content in contents.items():
        _private.replace(records.output / name, content.encode())


def began(run: Run) -> datetime:
    """Returns when a run began, UTC."""
    return datetime.strptime(run.id.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def page(run: Run, runs: Sequence[Run]) -> str:
    """Returns a page that needs no other file.

    Args:
        run: What the run came to.
        runs: The last runs, this one among them, the latest last.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    before = {result.name: history(result.name, runs) for result in run.results}
    return template.render(run=run, began=began(run), before=before, bars=bars, duration=duration)


def history(name: str, runs: Sequence[Run]) -> list[Result]:
    """Returns what a notebook came to in the last runs, the latest last."""
    found = [result for run in runs for result in run.results if result.name == name]
    return [result for result in found if result.status not in ("skipped", "not run")][-KEPT:]


def bars(results: Sequence[Result], height: float) -> list[tuple[float, str]]:
    """Returns a height for the duration of each result, the longest of which is as high as that, and its status."""
    longest = max((result.seconds for result in results), default=0) or 1
    return [(max(height * result.seconds / longest, 1), result.status) for result in results]


def duration(seconds: float) -> str:
    """Returns a duration as people read it.

    Example:
        >>> duration(184)
        '3 min 04 s'
    """
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def junit(run: Run) -> str:
    """Returns JUnit XML, with one test case for each notebook, and one for what else went wrong."""
    count = [result.status for result in run.results]
    failed = len(count) - count.count("passed") - count.count("skipped")
    suite = ET.Element(
        "testsuite",
        name="astrok8s.notebooks",
        tests=str(len(count) + bool(run.problems)),
        failures=str(failed),
        errors=str(int(bool(run.problems))),
        skipped=str(count.count("skipped")),
        time=f"{run.seconds:.3f}",
        timestamp=f"{began(run):%Y-%m-%dT%H:%M:%S}",
    )
    for result in run.results:
        case = ET.SubElement(suite, "testcase", classname="notebooks", name=result.name, time=f"{result.seconds:.3f}")
        if failure := result.failure:
            kind = "skipped" if result.status == "skipped" else "failure"
            told = ET.SubElement(case, kind, type=result.status, message=readable(failure.cause))
            where = f"cell {failure.cell}:\n{failure.source}\n\n" if failure.cell else ""
            told.text = readable(f"{where}{failure.traceback}") or None
    if run.problems:
        case = ET.SubElement(suite, "testcase", classname="notebooks", name="clusters", time="0.000")
        ET.SubElement(case, "error", type="problem", message=readable("\n".join(run.problems)))
    whole = ET.Element("testsuites")
    whole.append(suite)
    ET.indent(whole)
    return ET.tostring(whole, encoding="unicode", xml_declaration=True) + "\n"
