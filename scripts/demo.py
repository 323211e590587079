"""The demonstration: a cluster of two workers, and the notebook about stars on it.

usage: make demo
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import papermill
from rich.console import Console
from rich.table import Table

import astrok8s
from astrok8s._cli import table
from astrok8s._cloud import cloud_name

REPOSITORY = Path(__file__).parents[1]
NOTEBOOK = REPOSITORY / "notebooks" / "stars.ipynb"
OUTPUT = REPOSITORY / "output"
NAME = "demo"

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run it; return the exit code."""
    stages: dict[str, float] = {}
    start = time.monotonic()
    try:
        cluster = astrok8s.provision(NAME, size=2)
        stages["cluster"] = time.monotonic() - start
        console.print(table([cluster]))
        console.print(f"running {NOTEBOOK.relative_to(REPOSITORY)} on it …")
        results = run_notebook(stages)
    except astrok8s.AstroK8sError as error:
        console.print(f"[red]error:[/] {error}", markup=True)
        return 1
    except papermill.PapermillExecutionError as error:
        console.print(f"the notebook failed: {error.ename}: {error.evalue}\nsee {OUTPUT / NOTEBOOK.name}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 1
    stages["all"] = time.monotonic() - start
    report(results, stages)
    return 0


def run_notebook(stages: dict[str, float]) -> dict[str, Any]:
    """Run the notebook and return its results; add how long its parts took to the stages."""
    OUTPUT.mkdir(exist_ok=True)
    # The kernel's own lines, such as Spark's warnings, are in the executed notebook.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    done = papermill.execute_notebook(
        NOTEBOOK,
        OUTPUT / NOTEBOOK.name,
        {"cluster": NAME, "cloud": cloud_name(None), "output": str(OUTPUT)},
        progress_bar=False,
        cwd=REPOSITORY,
        # the kernel listens on the loopback device only, whatever it warns of
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    parts = {cell.id: cell.metadata.papermill.duration or 0.0 for cell in done.cells if cell.cell_type == "code"}
    stages["attach"] = parts.pop("attach")
    stages["stars"] = sum(parts.values())
    results: dict[str, Any] = json.loads((OUTPUT / "results.json").read_text())
    return results


def report(results: dict[str, Any], stages: dict[str, float]) -> None:
    """Print what came out."""
    checks = Table("check", "here", "published", "passed", title="Hipparcos")
    for check in results["checks"]:
        ours = f"{check['ours']:.2f}" if isinstance(check["ours"], float) else str(check["ours"])
        checks.add_row(
            check["what"], ours, str(check["published"]), "[green]yes[/]" if check["passed"] else "[red]no[/]"
        )
    console.print(checks)
    console.print(f"{results['stars']:,} stars, on executors {', '.join(results['executors'])}")
    console.print(f"picture:  {results['picture']}")
    console.print(f"notebook: {OUTPUT / NOTEBOOK.name}")
    times = Table("stage", "seconds")
    times.columns[1].justify = "right"
    for stage, seconds in stages.items():
        times.add_row(stage, f"{seconds:.1f}")
    console.print(times)
    console.print(f"Next: astrok8s attach {NAME}, or take it away: astrok8s destroy {NAME}; localcloud destroy")


if __name__ == "__main__":
    sys.exit(main())
