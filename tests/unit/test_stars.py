"""The notebook as it is committed, and the version pins that belong together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(REPOSITORY / "notebooks" / "stars.ipynb", as_version=4)


def test_the_notebook_is_valid_and_has_no_outputs(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, cell.id, "exec")


def test_papermill_finds_the_parameters_and_the_demo_its_stage(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    values: dict[str, object] = {}
    exec(tagged[0].source, values)  # as papermill does
    assert {"cluster", "cloud", "output", "executors"} <= values.keys()
    assert "attach" in [cell.id for cell in notebook.cells]


def test_every_published_value_is_cited(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    for citation in ("A&A 474, 653", "A&A 497, 209", "A&A 331, 81", "46.45", "771.64", "10.36", "117_955"):
        assert citation in text


def test_one_version_of_spark_everywhere():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pin = next(line for line in project["dependencies"] if line.startswith("pyspark[connect]=="))
    containerfile = (REPOSITORY / "images/spark/Containerfile").read_text()
    default = (REPOSITORY / "roles/spark_base/defaults/main.yml").read_text()
    assert re.findall(r"^ARG SPARK_VERSION=(\S+)", containerfile, re.M) == [pin.removeprefix("pyspark[connect]==")]
    assert re.findall(r"^spark_base_image: \S+:(\S+)", default, re.M) == [pin.removeprefix("pyspark[connect]==")]


def test_executors_have_the_notebooks_python_packages():
    locked = tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
    for line in (REPOSITORY / "images/spark/requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert version in [package["version"] for package in locked if package["name"] == name]


def test_the_package_and_the_project_have_one_version():
    import astrok8s

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == astrok8s.__version__
