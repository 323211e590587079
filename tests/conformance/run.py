"""Upstream's own conformance tests, against a cluster of two workers on localcloud.

usage: make test-conformance [arguments="--focus REGEX --skip REGEX --procs N --cluster NAME"]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build import IMAGES as STAGES
from build import TESTS, archives, binaries
from localcloud.build import golden, programs
from localcloud.build.errors import BuildError
from localcloud.build.store import locked
from localcloud.cluster.config import MACHINE
from localcloud.cluster.node import NodeBook
from localcloud.lifecycle import clusters
from localcloud.settings import Settings

REPOSITORY = Path(__file__).parents[2]
OUTPUT = REPOSITORY / "output" / "conformance"
WORKERS = 2
TIMEOUT = "4h"
OTHER_SHELL = "when scheduling a read only busybox container should not write to root filesystem"
"""Left out: it compares the words of the shell in upstream's busybox, and ours has another one (see Containerfile)."""


def say(line: str) -> None:
    """Tell how far we are."""
    print(line, flush=True)


def command(*words: str | Path) -> str:
    """Run a command of the repository's environment; return what it prints."""
    path = f"{REPOSITORY / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SHELL": os.environ.get("SHELL", "/bin/bash")}
    done = subprocess.run([*words], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


@contextmanager
def cluster(name: str | None) -> Iterator[str]:
    """Give the name of a cluster: an existing one, or a new one for as long as it is used."""
    if name:
        yield name
        return
    name = "conformance"
    say(f"making a cluster of {WORKERS} workers")
    command("astrok8s", "up", name, "--size", str(WORKERS))
    try:
        yield name
    finally:
        command("astrok8s", "destroy", name)


def hand_out(settings: Settings, name: str, built: dict[str, Path], references: list[str]) -> None:
    """Import the images into every node of a cluster, under the names that the tests use."""
    (spec,) = (spec for spec in clusters(settings) if spec.name == name)
    for node in NodeBook(settings, spec.uuid).nodes:
        say(f"importing {len(built)} images into {node.name}")
        inside = ["sh", str(MACHINE / "enter.sh"), str(node.folder(settings))]
        ctr = [*inside, "ctr", "--namespace", golden.NAMESPACE, "images"]
        for stage, archive in built.items():
            local = f"localhost/conformance/{stage}"
            with archive.open("rb") as file:
                importing = [*ctr, "import", "--snapshotter", "overlayfs", "--base-name", local, "-"]
                subprocess.run(importing, stdin=file, stdout=subprocess.DEVNULL, check=True)
            names = [reference for reference in references if _short(reference) in STAGES[stage]]
            subprocess.run([*ctr, "tag", "--force", f"{local}:1", *names], stdout=subprocess.DEVNULL, check=True)


def _short(reference: str) -> str:
    """Return the last word of an image's name, empty for those that no node may have."""
    name = reference.rpartition(":")[0]
    return name.rpartition("/")[2] if name.startswith("registry.k8s.io/") else ""


def test(folder: Path, settings: argparse.Namespace, kubeconfig: Path) -> int:
    """Run the tests; return the exit code."""
    report = OUTPUT / "report.json"
    report.unlink(missing_ok=True)
    ginkgo = [folder / "ginkgo", "run", f"--procs={settings.procs}", f"--timeout={TIMEOUT}"]
    ginkgo += [f"--focus={settings.focus}", f"--output-dir={OUTPUT}", f"--json-report={report.name}", "--no-color"]
    ginkgo += [f"--skip={pattern}" for pattern in (OTHER_SHELL, settings.skip) if pattern]
    ours = programs.entry().path
    tests = [
        folder / TESTS,
        "--",
        "--provider=skeleton",
        f"--kubeconfig={kubeconfig}",
        f"--kubectl-path={ours / 'kubectl'}",
    ]
    tests += [f"--num-nodes={WORKERS}", "--disable-log-dump", f"--report-dir={OUTPUT}"]
    with (OUTPUT / "log.txt").open("w") as log:
        done = subprocess.run([*ginkgo, *tests], cwd=OUTPUT, stdout=log, stderr=log, check=False)
    if not report.exists():
        say(f"the tests did not run; see {OUTPUT / 'log.txt'}")
        return done.returncode or 1
    tell(report)
    return done.returncode


def tell(report: Path) -> None:
    """Print how many tests passed and failed, and the reason of each failure."""
    specs = [spec for suite in json.loads(report.read_text()) for spec in suite["SpecReports"] or []]
    specs = [spec for spec in specs if spec["LeafNodeType"] == "It"]
    for spec in specs:
        if spec["State"] not in ("passed", "skipped", "pending"):
            name = " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])
            reason = re.sub(r"\s+", " ", spec.get("Failure", {}).get("Message", ""))[:300]
            say(f"{spec['State']}: {name}\n    {reason}")
    counts = Counter(spec["State"] for spec in specs)
    say(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + f"; see {OUTPUT}")


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--focus", default=r"\[Conformance\]", help="tests to run")
    parser.add_argument("--skip", default="", help=r"tests to leave out, as \[Serial\]|\[Slow\]")
    parser.add_argument("--procs", type=int, default=3, help="tests at once; those that want to be alone come last")
    parser.add_argument("--cluster", help="one that is there already; the tests want two workers")
    arguments = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        command("localcloud", "up")
        with locked(say):
            folder = binaries(say)
            built = archives(folder, programs.entry().path, say)
        references = command(folder / TESTS, "--list-images").split()
        with cluster(arguments.cluster) as name:
            hand_out(Settings.load(), name, built, references)
            command("openstack", "coe", "cluster", "config", name, "--dir", OUTPUT, "--force")
            return test(folder, arguments, OUTPUT / "config")
    except (BuildError, subprocess.CalledProcessError) as error:
        say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
