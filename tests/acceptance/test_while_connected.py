"""What a notebook that is attached shows of Spark, in a browser, at an address as a hub gives one."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from accesses import MARIA, grant
from boxes import SITE_BIN, Box
from browser import MINUTES_MS, problems, ready, shoot
from jupyter import Jupyter
from playwright.sync_api import Page, Response, expect

BASE = "/user/alice"
TABS = {"Stages": "Stages for All Jobs", "Environment": "Environment", "Executors": "Executors", "Jobs": "Spark Jobs"}
WORK = """
from pyspark.sql.functions import udf

@udf("long")
def slow(x):
    import time
    time.sleep(SECONDS)
    return x

spark.range(0, 8, 1, 8).select(slow("id").alias("x")).groupBy().sum("x").show()
"""


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    """The box, with a cluster."""
    run = box.run(str(SITE_BIN / "astrok8s"), "provision", "one", "--size", "1", OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    return box


@pytest.fixture(params=["connect", "client"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def file(box: Box, jupyter: Jupyter, mode: str) -> Iterator[Path]:
    """A notebook that attaches, works, and works for long; its kernel ends with the test."""
    path = box.folder / "jupyter" / f"{mode}.ipynb"
    attach = f"import astrok8s\nspark = astrok8s.attach('one', mode={mode!r})"
    cells = [
        _cell("attach", attach, "astrok8s-attach"),
        _cell("work", WORK.replace("SECONDS", "1")),
        _cell("long", WORK.replace("SECONDS", "100")),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells})
    )
    yield path
    for session in jupyter.get("/api/sessions").json():
        jupyter.ask("DELETE", f"/api/sessions/{session['id']}").raise_for_status()


def _cell(identity: str, source: str, *tags: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"id": identity, "cell_type": "code", "metadata": {"tags": list(tags)}, "source": source}
    return cell | {"outputs": [], "execution_count": None}


def wait(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def open_attached(page: Page, jupyter: Jupyter, file: Path) -> None:
    """Opens a notebook, and runs its first cell by the keyboard."""
    page.goto(f"{jupyter.url}/lab/tree/{file.name}?reset")
    ready(page)
    # What is run before there is a kernel, JupyterLab drops.
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=MINUTES_MS)
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("link", name="Spark UI")).to_be_visible(timeout=MINUTES_MS)


def test_progress_executors_and_the_pages_of_spark(page: Page, jupyter: Jupyter, file: Path, mode: str) -> None:
    asked: list[float] = []
    page.on("request", lambda r: asked.append(time.monotonic()) if r.url.endswith("/executors") else None)
    if mode == "client":
        theme = {"raw": '{"theme": "JupyterLab Dark"}'}
        jupyter.ask("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", json=theme).raise_for_status()
    open_attached(page, jupyter, file)
    strip, bar = page.locator(".astrok8s-strip"), page.locator(".astrok8s-jobs")
    expect(strip).to_contain_text(re.compile(r"\d executors?$" if mode == "connect" else "1 of 1 executors"))
    page.keyboard.press("Shift+Enter")
    expect(bar).to_have_text(re.compile(r"^stage 1 of \d, [1-7] of \d+ tasks$"), timeout=MINUTES_MS)
    shoot(page, f"connected-{mode}")
    assert problems(page, ".astrok8s-jobs") == []
    assert problems(page, ".astrok8s-strip") == []
    expect(bar.get_by_role("status")).to_have_text(re.compile(r"^\d+ s, 9 tasks$"), timeout=MINUTES_MS)

    with page.expect_response(lambda r: file.name in r.url and r.request.method == "PUT"):
        page.keyboard.press("Control+S")
    (_, work, _) = json.loads(file.read_text())["cells"]
    assert [output["output_type"] for output in work["outputs"]] == ["stream"]
    assert " tasks" not in file.read_text()

    walk(page, jupyter)
    page.set_viewport_size({"width": 320, "height": 480})
    page.keyboard.press("Control+B")  # room for the notebook
    shoot(page, f"connected-{mode}-narrow")
    assert problems(page, ".astrok8s-strip") == []
    for part in (strip, bar):
        box = part.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 320
    assert all(later - before > 9 for before, later in pairwise(asked)), asked


def walk(page: Page, jupyter: Jupyter) -> None:
    """Opens Spark's pages by the keyboard, and goes from one to the other: nothing is missing, or leads elsewhere."""
    refused: list[str] = []
    link = page.get_by_role("link", name="Spark UI")
    link.focus()
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    ui = opened.value
    ui.on("response", lambda r: refused.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    ui.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    prefix = urljoin(f"{jupyter.url}/", link.get_attribute("href"))
    expect(ui).to_have_title(re.compile("Spark Jobs$"))
    for tab, title in TABS.items():
        ui.get_by_role("link", name=tab, exact=True).click()
        expect(ui).to_have_title(re.compile(f"{title}$"))
        if tab == "Executors":  # which a script fills in, from Spark's REST API
            expect(ui.locator("#active-executors-table").get_by_text("driver")).to_be_visible()
        links = ui.eval_on_selector_all("a[href], link[href]", "found => found.map(each => each.href)")
        assert [each for each in links if not each.startswith(prefix)] == []
    shoot(ui, "spark-ui")
    assert refused == []
    ui.close()


def test_interrupting_a_cell_ends_its_job(page: Page, jupyter: Jupyter, file: Path) -> None:
    open_attached(page, jupyter, file)
    href = page.get_by_role("link", name="Spark UI").get_attribute("href") or ""
    api = urljoin(f"{jupyter.url}/", href).removeprefix(jupyter.url) + "api/v1/applications"

    def running() -> list[Any]:
        (application,) = jupyter.get(api).json()
        return list(jupyter.get(f"{api}/{application['id']}/jobs?status=running").json())

    page.locator(".jp-Cell").nth(2).click()
    page.keyboard.press("Shift+Enter")
    bar = page.locator(".astrok8s-jobs")
    expect(bar).to_have_text("stage 1 of 1, 0 of 8 tasks", timeout=MINUTES_MS)
    assert len(running()) == 1
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    page.keyboard.press("i")
    expect(page.locator(".jp-Cell").nth(2)).to_contain_text("KeyboardInterrupt", timeout=MINUTES_MS)
    expect(bar.get_by_role("status")).to_have_text(re.compile(r"^\d+ s, 0 of 8 tasks$"))
    wait(lambda: running() == [])


def test_a_session_that_has_ended_opens_from_the_history(box: Box, page: Page, jupyter: Jupyter) -> None:
    code = "import astrok8s; s = astrok8s.attach('one', mode='client', quiet=True); s.range(9).count(); s.stop()"
    run = box.run(sys.executable, "-c", code, OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    path = "/astrok8s/clusters/one/history"
    wait(lambda: any(each["completed"] for each in jupyter.get(path).json()["applications"]))
    page.get_by_role("tab", name="Clusters").click()
    page.get_by_role("button", name="History of one").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="astrok8s one").first.press("Enter")
    pages = opened.value
    expect(pages).to_have_title("astrok8s one - Spark Jobs")
    refused: list[Response] = []
    pages.on("response", lambda response: refused.append(response) if response.status >= 400 else None)
    pages.get_by_role("link", name="Executors", exact=True).click()
    expect(pages.locator("#active-executors-table").get_by_text("driver")).to_be_visible()
    assert [each.url for each in refused] == []
    pages.goto(f"{jupyter.url}/astrok8s/clusters/one/pages/")
    pages.locator("#history-summary-table").get_by_role("link", name="spark-").first.click()
    expect(pages).to_have_title(re.compile("Spark Jobs$"))
    pages.close()
    # What was opened for it, nobody else on this machine reaches.
    assert jupyter.process
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    mine = [line.split()[3] for line in listening.splitlines() if f"pid={jupyter.process.pid}," in line]
    assert mine == [f"127.0.0.1:{jupyter.port}"]


def test_the_pages_of_a_granted_access(box: Box, jupyter: Jupyter) -> None:
    access = grant(box, MARIA)
    code = f"""
import astrok8s, sys
from astrok8s import pages
print(pages.name(astrok8s.attach(kubeconfig={str(access)!r}, quiet=True)), flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=box.environment | {"OS_CLIENT_CONFIG_FILE": "/nonexistent"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        name = process.stdout.readline().strip()
        found = jupyter.get(f"/astrok8s/sessions/{name}/pages/jobs/")
        assert (found.status_code, "astrok8s connect - Spark Jobs" in found.text) == (200, True)
        told = jupyter.get(f"/astrok8s/sessions/{name}/executors").json()
        assert (type(told["now"]), told["max"]) == (int, None)
        assert jupyter.get(f"/astrok8s/sessions/{name}/pages/jobs/job/kill/?id=0").status_code == 403
        process.communicate()
    assert jupyter.get(f"/astrok8s/sessions/{name}/pages/jobs/").status_code == 404
