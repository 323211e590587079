"""The notebooks as they are committed, and the versions that belong together."""

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest

from astrok8s import load_options
from astrok8s._environment import _OF_IMAGE

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IMAGE = ROOT / "images" / "spark"


def cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return list(notebook.cells)


def locked(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    code = [cell for cell in cells(path) if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_papermill_finds_the_parameters(path: Path) -> None:
    (parameters,) = [cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", [])]
    for name in ("cluster", "cloud", "output"):
        assert re.search(rf"^{name} = ", parameters.source, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("stars", ("A&A 474, 653", "A&A 497, 209", "A&A 331, 81")),
        ("gaia", ("A&A 474, 653", "A&A 497, 209", "A&A 616, A10", "A&A 674, A1")),
    ],
)
def test_what_stars_are_checked_against_is_cited(name: str, sources: tuple[str, ...]) -> None:
    text = "\n".join(cell.source for cell in cells(ROOT / f"notebooks/{name}.ipynb"))
    assert [source for source in sources if source not in text] == []


def test_there_is_one_version_of_spark() -> None:
    version = load_options()["spark_base_version"].default
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert re.findall(r"^ARG SPARK_VERSION=(\S+)", (IMAGE / "Containerfile").read_text(), re.MULTILINE) == [version]
    assert [line for line in dependencies if line.startswith("pyspark")] == [f"pyspark[connect]=={version}"]


def test_executors_have_the_packages_of_the_notebook() -> None:
    pins = [line.split("==") for line in (IMAGE / "requirements.txt").read_text().splitlines() if "==" in line]
    assert {name for name, _ in pins} | {"pyspark", "py4j"} == _OF_IMAGE
    assert dict(pins) == {name: locked(name) for name, _ in pins}


def test_there_is_one_version_of_the_client_of_cvmfs() -> None:
    (version,) = re.findall(
        r"^ARG CVMFS_VERSION=(\S+)", (ROOT / "images/cvmfs/Containerfile").read_text(), re.MULTILINE
    )
    assert load_options()["cvmfs_image"].default.endswith(f":{version}")
