"""The button of a notebook where something goes wrong: it says what is so, and one click mends it."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from accesses import grant
from boxes import ROOT, SITE_BIN, Box
from browser import MINUTES_MS, shoot
from jupyter import Jupyter
from notebook_page import end_kernels, open_dialog, open_notebook, spark, write_notebook
from playwright.sync_api import Locator, Page, expect
from processes import command_of, descendants

COUNT = "print(spark.range(10).count())"


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    """The box, with a cluster."""
    run = box.run(str(SITE_BIN / "astrok8s"), "provision", "one", "--size", "1", OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    return box


@pytest.fixture
def file(box: Box, jupyter: Jupyter, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A notebook of one cell; its kernel ends with the test."""
    path = box.folder / "jupyter" / f"{request.node.name}.ipynb"
    write_notebook(path, COUNT)
    yield path
    end_kernels(jupyter)


def count(page: Page) -> Locator:
    """Runs the cell that counts; returns what it shows."""
    cell = page.locator(".jp-CodeCell").filter(has_text=COUNT)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    return cell.locator(".jp-OutputArea-output")


def attach(page: Page, state: str = "Not attached", cluster: str = "") -> None:
    """Attaches by one click, and what the dialog offers then."""
    dialog = open_dialog(page, spark(page, state))
    if cluster:
        dialog.get_by_label("Cluster", exact=True).select_option(label=cluster)
    dialog.get_by_label("Packages of executors").press("Enter")
    spark(page, "Connected")


def test_a_kernel_that_is_killed_is_attached_again(page: Page, jupyter: Jupyter, file: Path) -> None:
    open_notebook(page, jupyter, file)
    attach(page)
    expect(count(page)).to_have_text("10", timeout=MINUTES_MS)
    assert jupyter.process
    kernels = [process for process in descendants(jupyter.process.pid) if "ipykernel_launcher" in command_of(process)]
    assert len(kernels) == 1
    os.kill(kernels[0], signal.SIGKILL)
    button = spark(page, "Not attached")
    if (told := page.get_by_role("dialog")).is_visible():  # JupyterLab says that the kernel restarts
        told.get_by_role("button").last.click()
    expect(button).to_be_enabled()
    attach(page)
    expect(count(page)).to_have_text("10", timeout=MINUTES_MS)


def test_an_access_that_is_revoked_is_told_and_another_one_used(
    page: Page, jupyter: Jupyter, file: Path, box: Box
) -> None:
    access = grant(box, "maria")
    jupyter.ask("POST", "/astrok8s/accesses", json={"kubeconfig": access.read_text()}).raise_for_status()
    open_notebook(page, jupyter, file)
    attach(page, cluster="one, as user-maria")
    expect(count(page)).to_have_text("10", timeout=MINUTES_MS)
    revoked = box.run(str(SITE_BIN / "astrok8s"), "revoke", "one", "maria", "-y", OS_CLOUD=box.name)
    assert revoked.returncode == 0, revoked.stderr
    expect(count(page)).to_contain_text("has ended or was revoked", timeout=MINUTES_MS)
    spark(page, "Error")
    expect(page.locator(".astrok8s-strip").get_by_role("alert")).to_contain_text("has ended or was revoked")
    shoot(page, "attach-revoked")
    attach(page, "Error", cluster="one")
    expect(count(page)).to_have_text("10", timeout=MINUTES_MS)


def test_a_cloud_that_is_down_is_told_by_the_button(page: Page, jupyter: Jupyter, file: Path, box: Box) -> None:
    for access in jupyter.get("/astrok8s/accesses").json()["accesses"]:
        jupyter.ask("DELETE", f"/astrok8s/accesses/{access['id']}").raise_for_status()
    assert box.localcloud("down").returncode == 0
    open_notebook(page, jupyter, file)
    spark(page, "Not attached").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("does not answer", timeout=MINUTES_MS)
    shoot(page, "attach-away")
    dialog.get_by_role("button").last.click()
    assert box.localcloud("up").returncode == 0
    attach(page)


def test_the_notebook_of_the_stars_runs_in_the_browser(page: Page, jupyter: Jupyter, box: Box) -> None:
    notebook = json.loads((ROOT / "notebooks" / "stars.ipynb").read_text())
    (parameters,) = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    output = box.folder / "jupyter" / "output"
    parameters["source"] = (
        f"cluster, cloud, output = 'one', {box.name!r}, {str(output)!r}\nmode, bucket = 'connect', None"
    )
    file = box.folder / "jupyter" / "stars.ipynb"
    file.write_text(json.dumps(notebook))
    open_notebook(page, jupyter, file)
    attach(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    spark(page, "Not attached")  # its last cell ends the session
    shoot(page, "stars")
    results = json.loads((output / "results.json").read_text())
    assert results["stars"] == 117_955
    assert [check["what"] for check in results["checks"] if not check["passed"]] == []
    end_kernels(jupyter)
