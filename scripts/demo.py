"""The main job on this machine: a cloud, a cluster of two workers in it, and the notebook about stars on the cluster.

usage: make demo
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import papermill
from rich.console import Console
from rich.table import Table

import astrok8s
from astrok8s.cli import table

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "stars.ipynb"
OUTPUT = ROOT / "output"
CLOUD, NAME = "local", "demo"

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Runs the demonstration.

    Returns:
        The exit code.
    """
    stages: dict[str, float] = {}
    start = time.monotonic()
    try:
        cluster = astrok8s.provision(NAME, size=2, cloud=CLOUD)
        stages["cloud and cluster"] = time.monotonic() - start
        console.print(table([cluster]))
        console.print(f"Running {NOTEBOOK.relative_to(ROOT)} on it.")
        results = run_notebook(stages)
    except astrok8s.AstroK8sError as error:
        console.print(f"[red]demo:[/] {error}")
        return 1
    except papermill.PapermillExecutionError as error:
        console.print(f"[red]demo:[/] the notebook failed: {error.ename}: {error.evalue}")
        console.print(f"See {OUTPUT / NOTEBOOK.name}.")
        return 1
    except KeyboardInterrupt:
        return 1
    stages["all"] = time.monotonic() - start
    tell(results, stages)
    return 0


def run_notebook(stages: dict[str, float]) -> dict[str, Any]:
    """Runs the notebook.

    Args:
        stages: Gets the seconds that its parts took, by what they do.

    Returns:
        What it found.
    """
    OUTPUT.mkdir(exist_ok=True)
    parameters = {"cluster": NAME, "cloud": CLOUD, "output": str(OUTPUT)}
    # The kernel listens on the loopback device only; it warns that it does.
    quiet = ["--IPKernelApp.log_level=ERROR"]
    done = papermill.execute_notebook(
        NOTEBOOK, OUTPUT / NOTEBOOK.name, parameters, progress_bar=False, log_output=False, extra_arguments=quiet
    )
    seconds = {cell.id: cell.metadata.papermill.duration or 0.0 for cell in done.cells if cell.cell_type == "code"}
    stages["attach"] = seconds.pop("attach")
    stages["stars"] = sum(seconds.values())
    results: dict[str, Any] = json.loads((OUTPUT / "results.json").read_text())
    return results


def tell(results: dict[str, Any], stages: dict[str, float]) -> None:
    """Tells what came out, and how long it took."""
    checks = Table("check", "here", "published", "within", "passed", title="Hipparcos")
    for check in results["checks"]:
        ours = f"{check['ours']:.2f}" if isinstance(check["ours"], float) else str(check["ours"])
        passed = "[green]yes[/]" if check["passed"] else "[red]no[/]"
        checks.add_row(check["what"], ours, str(check["published"]), str(check["within"]), passed)
    console.print(checks)
    console.print(f"{results['stars']:,} stars, on executors {', '.join(results['executors'])}")
    console.print(f"picture:  {results['picture']}\nnotebook: {OUTPUT / NOTEBOOK.name}")
    times = Table("stage", "seconds")
    times.columns[1].justify = "right"
    for stage, seconds in stages.items():
        times.add_row(stage, f"{seconds:.1f}")
    console.print(times)
    console.print(f"Use it: .venv/bin/astrok8s attach {NAME}. Take it away: .venv/bin/astrok8s destroy {NAME}.")


if __name__ == "__main__":
    sys.exit(main())
