"""What notebooks/cvmfs.ipynb promises: executors of all workers import from a repository what each fetches once."""

import json
from typing import Any

import pytest
from boxes import ROOT, SITE_BIN, Box

REPOSITORY = "sw.astro.example"


@pytest.fixture(scope="module")
def cluster(box: Box) -> str:
    """A cluster of two workers that has the repository."""
    published = box.localcloud("cvmfs", "publish", REPOSITORY, str(ROOT / ".venv" / "software"))
    assert published.returncode == 0, published.stderr
    options = json.loads(box.localcloud("cvmfs", "options").stdout)
    run = box.playbook("site.yml", clusters=["one"], size=2, **options)
    assert run.returncode == 0, run.stdout
    return "one"


def results(box: Box, cluster: str, mode: str) -> dict[str, Any]:
    """Runs the notebook, which compares its answers with published ones; returns what it found."""
    output = box.folder / mode
    parameters = {"cluster": cluster, "cloud": box.name, "output": str(output), "mode": mode}
    options = [word for name, value in parameters.items() for word in ("-p", name, value)]
    run = box.run(str(SITE_BIN / "papermill"), "notebooks/cvmfs.ipynb", str(box.folder / f"{mode}.ipynb"), *options)
    assert run.returncode == 0, run.stderr
    assert (output / "sky.png").stat().st_size > 50_000
    found: dict[str, Any] = json.loads((output / "cvmfs.json").read_text())
    return found


def test_each_worker_fetches_the_packages_once(box: Box, cluster: str) -> None:
    found = results(box, cluster, "connect")
    assert found["paths"] == [f"/cvmfs/{REPOSITORY}/python/lib/astropy/__init__.py"]
    assert len(found["imports"]) == 2
    for worker, rows in found["imports"].items():
        # astropy, healpy and numpy are more than 20 MB, compressed.
        assert rows["first"]["kilobytes"] > 10_000, worker
        assert rows["last"]["kilobytes"] == 0, worker


def test_another_session_has_what_they_have_fetched(box: Box, cluster: str) -> None:
    found = results(box, cluster, "client")
    assert len(found["imports"]) == 2
    assert [rows["first"]["kilobytes"] for rows in found["imports"].values()] == [0, 0]
