"""The button in a notebook's toolbar, in a browser, with a cluster of one worker."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import SITE_BIN, Box
from browser import MINUTES_MS, problems, shoot
from jupyter import Jupyter
from notebook_page import end_kernels, open_dialog, open_notebook, spark, write_notebook
from playwright.sync_api import Page, expect

BUNDLES = """
- name: Greenwich
  description: Times are shown as in Greenwich.
  clusters: ["st*"]
  conf: {spark.sql.session.timeZone: UTC}
- name: Small parts
  description: For little data.
  modes: [client]
  conf: {spark.sql.shuffle.partitions: 3, spark.sql.session.timeZone: Europe/Paris}
- name: Of others
  clusters: [elsewhere]
  conf: {spark.sql.session.timeZone: UTC}
"""
COUNT = "print(spark.range(10).count())"


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    """The box, with a cluster, and a site's bundles for the server."""
    folder = box.folder / "jupyter" / "config"
    folder.mkdir(parents=True)
    (folder / "bundles.yaml").write_text(BUNDLES)
    trait = {"AstroK8sExtension": {"bundles": str(folder / "bundles.yaml")}}
    (folder / "jupyter_server_config.json").write_text(json.dumps(trait))
    run = box.run(str(SITE_BIN / "astrok8s"), "provision", "stars", "--size", "1", OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    return box


@pytest.fixture
def file(box: Box, jupyter: Jupyter, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A notebook of one cell; its kernel ends with the test."""
    path = box.folder / "jupyter" / f"{request.node.name}.ipynb"
    write_notebook(path, COUNT)
    yield path
    end_kernels(jupyter)


def run_next(page: Page, result: str) -> None:
    """Runs the cell after the one that attaches, by the keyboard."""
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-output")
    expect(output).to_have_text(result, timeout=MINUTES_MS)


def save(page: Page, file: Path) -> dict[str, Any]:
    with page.expect_response(lambda r: file.name in r.url and r.request.method == "PUT"):
        page.keyboard.press("Control+S")
    notebook: dict[str, Any] = json.loads(file.read_text())
    return notebook


def test_a_notebook_is_attached_by_the_keyboard(page: Page, jupyter: Jupyter, file: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/astrok8s/" in request.url else None)
    open_notebook(page, jupyter, file)
    button = spark(page, "Not attached")
    assert asked == []
    dialog = open_dialog(page, button)
    shoot(page, "attach-dialog")
    expect(dialog.get_by_role("checkbox")).to_have_count(1)  # the others are of another cluster, or mode
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("radio", name="connect")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(dialog.get_by_role("checkbox", name="Greenwich")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.locator(".astrok8s-strip")).to_contain_text("stars")  # what attach() says that it does
    shoot(page, "attach-connecting")
    assert problems(page, ".astrok8s-strip") == []
    spark(page, "Connected")
    assert problems(page, ".astrok8s-spark") == []
    run_next(page, "10")
    shoot(page, "attach-connected")
    notebook = save(page, file)
    assert "".join(notebook["cells"][0]["source"]) == (
        'import astrok8s\n\nspark = astrok8s.attach("stars", conf={"spark.sql.session.timeZone": "UTC"})'
    )
    assert notebook["metadata"]["astrok8s"]["bundles"] == ["Greenwich"]

    open_notebook(page, jupyter, file)
    spark(page, "Connected")
    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Confirm Kernel Restart").click()
    dialog = open_dialog(page, spark(page, "Not attached"))
    expect(dialog.get_by_role("checkbox", name="Greenwich")).to_be_checked()
    page.keyboard.press("Escape")
    spark(page, "Not attached")
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached"
    )  # one that starts cannot be ended


def test_an_error_is_told_and_mended(page: Page, jupyter: Jupyter, file: Path) -> None:
    open_notebook(page, jupyter, file)
    dialog = open_dialog(page, spark(page, "Not attached"))
    dialog.get_by_label("Name of property 1").fill("spark.executor.memory")
    dialog.get_by_label("Value of property 1").fill("1g")
    page.keyboard.press("Enter")
    button = spark(page, "Error")
    fact = "spark.executor.memory cannot be set for a session of Spark Connect"
    expect(page.locator(".astrok8s-strip").get_by_role("alert")).to_contain_text(fact)
    shoot(page, "attach-error")
    assert problems(page, ".astrok8s-strip") == []
    dialog = open_dialog(page, button)
    expect(dialog.get_by_role("alert")).to_contain_text(fact)
    dialog.get_by_label("Name of property 1").fill("spark.sql.shuffle.partitions")
    dialog.get_by_label("Value of property 1").fill("5")
    page.keyboard.press("Enter")
    spark(page, "Connected")
    expect(page.locator(".jp-Cell")).to_have_count(2)  # the cell was written anew
    page.locator(".jp-Cell").nth(1).locator(".cm-content").fill("print(spark.conf.get('spark.sql.shuffle.partitions'))")
    run_next(page, "5")


def test_attaching_is_cancelled(page: Page, jupyter: Jupyter, file: Path, box: Box) -> None:
    # A server that has to start first takes its time.
    box.kubectl("stars", "-n", "spark", "scale", "deployment/spark-connect", "--replicas=0").check_returncode()
    gone = box.kubectl(
        "stars",
        "-n",
        "spark",
        "wait",
        "pod",
        "-l=app.kubernetes.io/name=spark-connect",
        "--for=delete",
        "--timeout=120s",
    )
    assert gone.returncode == 0, gone.stderr
    open_notebook(page, jupyter, file)
    open_dialog(page, spark(page, "Not attached"))
    page.keyboard.press("Enter")
    strip = page.locator(".astrok8s-strip")
    expect(strip).to_contain_text("server")
    strip.get_by_role("button", name="Cancel").press("Enter")
    button = spark(page, "Not attached")
    expect(page.locator(".jp-Cell").first).to_contain_text("KeyboardInterrupt")
    expect(strip).not_to_be_visible()
    open_dialog(page, button)
    page.keyboard.press("Enter")
    spark(page, "Connected")


def test_the_notebook_is_the_driver_and_is_detached(page: Page, jupyter: Jupyter, file: Path) -> None:
    open_notebook(page, jupyter, file)
    dialog = open_dialog(page, spark(page, "Not attached"))
    dialog.get_by_role("radio", name="client").check()
    dialog.get_by_role("checkbox", name="Small parts").check()
    dialog.get_by_role("checkbox", name="Greenwich").check()
    dialog.get_by_label("Packages of executors").press("Enter")
    spark(page, "Connected")
    zone = "spark.conf.get('spark.sql.session.timeZone')"
    page.locator(".jp-Cell").nth(1).locator(".cm-content").fill(
        f"print(spark.sparkContext.parallelize(range(10)).sum(), {zone})"
    )
    run_next(page, "45 Europe/Paris")  # of the bundle that comes later
    shoot(page, "attach-client")
    save(page, file)
    open_notebook(page, jupyter, file)
    spark(page, "Connected").press("Enter")
    expect(page.get_by_role("menuitem", name="Detach")).to_be_visible()
    shoot(page, "attach-menu")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    spark(page, "Not attached")
    page.locator(".jp-Cell").nth(1).locator(".cm-content").fill("print(spark.sparkContext._jsc)")
    run_next(page, "None")


def test_it_fits_a_narrow_notebook_in_the_dark(page: Page, jupyter: Jupyter, file: Path) -> None:
    theme = {"raw": '{"theme": "JupyterLab Dark"}'}
    jupyter.ask("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", json=theme).raise_for_status()
    open_notebook(page, jupyter, file)
    open_dialog(page, spark(page, "Not attached"))
    page.set_viewport_size({"width": 480, "height": 480})
    shoot(page, "attach-dialog-dark")
    assert problems(page, ".jp-Dialog") == []
    inside = page.evaluate("document.querySelector('.jp-Dialog-content').getBoundingClientRect().right <= 480")
    assert inside
