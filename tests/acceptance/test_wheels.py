"""The wheels in a virtual environment of their own, with no Node in reach: JupyterLab has the panel and its server."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from boxes import ROOT


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has our wheels, and from this environment what they need."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "labextension"):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    found = folder / "venv" / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    wheels = [str(wheel) for wheel in folder.glob("*.whl")]
    install = [
        sys.executable,
        "-m",
        "pip",
        f"--python={found}",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        *wheels,
    ]
    subprocess.run(install, check=True, capture_output=True)
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


def run(python: Path, *arguments: str) -> str:
    """Runs Python elsewhere than in the checkout; returns all that it prints."""
    environment = {"PATH": "/nonexistent", "HOME": str(python.parent), "COLUMNS": "200"}
    command, cwd = [str(python), *arguments], python.parent
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_they_are_those_that_are_imported(python: Path) -> None:
    code = "import astrok8s, jupyterlab_astrok8s; print(astrok8s.__file__, jupyterlab_astrok8s.__file__)"
    assert run(python, "-c", code).count(str(python.parents[1])) == 2


def test_jupyterlab_has_the_panel(python: Path) -> None:
    (line,) = [
        line
        for line in run(python, "-m", "jupyterlab.labextensions", "list").splitlines()
        if "jupyterlab-astrok8s" in line
    ]
    assert "enabled" in line
    assert "OK" in line


def test_jupyter_has_the_server_extension(python: Path) -> None:
    listed = run(python, "-m", "jupyter_server.extension.serverextension", "list")
    assert "jupyterlab_astrok8s enabled" in " ".join(listed.replace("\x1b[32m", "").replace("\x1b[0m", "").split())
