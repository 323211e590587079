"""Measure astrok8s on this machine, each figure against a floor measured in the same run.

usage: make bench
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cvmfs
import spark
from cloud import CLOUD, NUMBER, REPOSITORY, create, delete, folder_of, localcloud, resize, restart, scratch
from processes import components, idle_cpu, memory, pods
from rich.console import Console
from rich.table import Table

LOCALCLOUD_PYTHON = REPOSITORY / "localcloud/.venv/bin/python"
console = Console(stderr=True)


class Figures:
    """A table that is shown line by line while it grows."""

    def __init__(self) -> None:
        self.table = Table("what", "measured", "against", "target", title="astrok8s")

    def add(self, what: str, measured: str, against: str = "", target: str = "") -> None:
        """Add a line."""
        self.table.add_row(what, measured, against, target)
        console.print(f"{what}: {measured}  {against}", highlight=False)

    def against(self, floor: str, what: str, seconds: float, least: float, target: str) -> None:
        """Add a line for seconds that are held against others."""
        self.add(what, f"{seconds:.1f} s", f"{seconds / least:.1f} × {floor} {least:.1f} s", target)


def floor() -> dict[str, float]:
    """Return the figures of the bare floor."""
    with scratch("floor") as folder:
        script = str(REPOSITORY / "benchmarks/floor.py")
        command = [str(LOCALCLOUD_PYTHON), script, str(folder), str(REPOSITORY / "images")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def unchanged_site(*words: str) -> float:
    """Return the seconds of site.yml on a cluster that is as declared.

    Args:
        words: Of its command line, besides.
    """
    command = ["ansible-playbook", "site.yml", "-i", "inventory/local", "-e", "size=2", "-e", f"cloud_name={CLOUD}"]
    command += words
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    begun = time.monotonic()
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    seconds = time.monotonic() - begun
    if "changed=0" not in done.stdout:
        raise SystemExit(f"the second run of site.yml changed something:\n{done.stdout}")
    return seconds


def times(figures: Figures, base: dict[str, float], home: Path) -> None:
    """Measure how long clusters take."""
    bare = base["control_plane"] + base["node"]

    def row(what: str, seconds: float, target: str = "", against: float = bare) -> None:
        figures.against("bare", what, seconds, against, target)

    row("create, 2 workers", create("bench", workers=2), "≤ 3 ×")
    row("add one node", resize("bench", 3), against=base["node"])
    delete("bench")
    row("create, 8 workers", create("bench", workers=8), "≤ 30 s")
    delete("bench")
    names = ("bench-a", "bench-b", "bench-c")
    row("create, 3 clusters of 2 workers at once", create(*names, workers=2))
    delete(*names[1:])
    row("restart after all was killed, 2 workers", restart(home, folder_of(home, names[0])))
    row("2 to 8 workers", resize(names[0], 8), against=base["node"])
    delete(names[0])


def weights(figures: Figures, base: dict[str, float], home: Path) -> None:
    """Measure what a cluster of one worker, which does nothing, takes."""
    create("bench", workers=1)
    folder = folder_of(home, "bench")
    master, worker = sorted((folder / "nodes").iterdir(), key=lambda node: "master" not in node.name)
    first, second = components(master), components(worker)
    inside = pods(f"/lc{NUMBER}/{master.name}") + pods(f"/lc{NUMBER}/{worker.name}")

    def row(what: str, megabytes: float, against: float, target: str) -> None:
        figures.add(what, f"{megabytes:.0f} MB", f"{megabytes / against:.1f} × bare {against:.0f} MB", target)

    row("memory (PSS) of a control plane", memory(first), base["control_plane_memory"], "≤ 600 MB")
    row("memory (PSS) of a worker", memory(second), base["node_memory"], "≤ 200 MB")
    figures.add("memory (PSS) of its system pods", f"{memory(inside):.0f} MB")
    share = idle_cpu([*first, *second, *inside])
    against = f"{share / base['idle']:.1f} × bare {base['idle']:.1f} %"
    figures.add("idle CPU of 2 nodes with their system pods", f"{share:.1f} % of a core", against, "≤ 10 %")
    delete("bench")


def main() -> None:
    """Print the figures as a table."""
    figures = Figures()
    base = floor()
    for name in ("control_plane", "node"):
        figures.add(f"bare {name.replace('_', ' ')}", f"{base[name]:.1f} s")
    with localcloud() as home:
        times(figures, base, home)
        weights(figures, base, home)
        spark.measure(partial(figures.against, "plain"), home.parent)
        cvmfs.measure(figures, home.parent)
        alone = unchanged_site("--tags", "cloud,magnum_cluster,spark_base")
        figures.add("site.yml, unchanged, the cluster alone", f"{alone:.1f} s", "", "≤ 10 s")
        figures.add("site.yml, unchanged, with all services", f"{unchanged_site():.1f} s", "", "≤ 10 s")
    Console().print(figures.table)


if __name__ == "__main__":
    sys.exit(main())
