"""The end-to-end tests' own cloud, in a folder of its own, beside any other localcloud."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from machine import NUMBER, snapshot
from scene import scene
from sniffer import Sniffer

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RANGES = [
    IPv4Network(f"10.{200 + NUMBER}.0.0/16"),
    IPv4Network(f"10.{208 + 4 * NUMBER}.0.0/14"),
    IPv4Network("10.96.0.0/16"),
]
"""Addresses of the cloud's nodes, pods and Services, as docs/architecture.md tells them."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Cloud:
    """The tests' localcloud."""

    home: Path
    name: str
    before: dict[str, set[str]]
    strays: Sniffer


def run(
    *command: str, check: bool = True, timeout: float = 600, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment's ``bin`` in the repository; return what it said."""
    done = subprocess.run(
        [str(BIN / command[0]) if (BIN / command[0]).exists() else command[0], *command[1:]],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done


def settings(folder: Path) -> dict[str, str]:
    """Return the variables that tell every program the tests' cloud, which is in this folder."""
    return {
        "LOCALCLOUD_HOME": str(folder / "home"),
        "LOCALCLOUD_NUMBER": str(NUMBER),
        "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"),
        "OS_CLOUD": f"local{NUMBER}",
    }


@contextmanager
def place() -> Iterator[Path]:
    """Give the cloud a folder, and the number to itself; take away what a run that was killed has left of its own."""
    # beside the cache, so that nodes get their images by hard links
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s"
    with (base / f"e2e-{NUMBER}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"these tests run already as number {NUMBER}; set ASTROK8S_E2E_NUMBER to another (0 to 7)", 2)
        for left in base.glob(f"e2e-{NUMBER}-*"):
            run("localcloud", "destroy", "--yes", **settings(left))
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix=f"e2e-{NUMBER}-", dir=base))
        try:
            yield folder
        finally:
            run("localcloud", "destroy", "--yes", check=False, **settings(folder))
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Bring up the tests' cloud, and take it down whatever happened."""
    if os.geteuid() != 0:
        pytest.skip("localcloud makes namespaces and mounts, which needs root")
    with place() as folder:
        os.environ.update(
            settings(folder),
            COLUMNS="200",
            SHELL=os.environ.get("SHELL", "/bin/bash"),  # `openstack coe cluster config` asks for it
            KUBECACHEDIR=str(folder / "kubectl"),  # where a user's kubectl keeps its cache
            PATH=f"{BIN}:{os.environ['PATH']}",
        )
        before = snapshot(folder / "home")
        # nothing of ours may ever be on an interface that was there before us
        with Sniffer(before["links"] - {"lo"}, RANGES) as strays:
            run("localcloud", "up")
            yield Cloud(folder / "home", f"local{NUMBER}", before, strays)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the cloud looked like to the first failures: the tests after them may fail for no fault of their own."""
    report = yield
    session = item.session
    if report.failed and session.testsfailed < 3 and "LOCALCLOUD_HOME" in os.environ:
        report.sections.append(("the cloud at that time", scene()))
    return report
