"""A browser for tests: Debian's chromium, driven by Playwright. Pictures go to ASTROK8S_SHOTS."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxes import ROOT
from jupyter import Jupyter
from playwright.sync_api import Page, Route, expect, sync_playwright

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
MINUTES_MS = 180_000
expect.set_options(timeout=30_000)


@contextmanager
def open_page(jupyter: Jupyter) -> Iterator[Page]:
    """Opens a page of JupyterLab with nothing in it."""
    with open_browser(jupyter.url) as page:
        page.goto(f"{jupyter.url}/lab?token={jupyter.token}&reset")
        ready(page)
        expect(page.locator(".jp-Launcher")).to_be_visible()  # which takes the focus when it comes
        yield page


@contextmanager
def open_browser(url: str) -> Iterator[Page]:
    """Opens an empty page of a browser that asks nobody but one server, and has no error of ours."""
    elsewhere: list[str] = []
    errors: list[str] = []

    def only_the_server(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
        page.route("**/*", only_the_server)
        yield page
        browser.close()
    assert elsewhere == [], elsewhere
    # JupyterLab itself says so while its server is away; the other one is of Notebook's own code.
    known = ("Failed to fetch", "Cannot read properties of undefined (reading 'schema')")
    assert [error for error in errors if not any(text in error for text in known)] == []


def ready(page: Page) -> None:
    """Waits until JupyterLab is there."""
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=MINUTES_MS)


def shoot(page: Page, name: str) -> None:
    """Takes a picture, if somebody wants it."""
    folder = os.environ.get("ASTROK8S_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def problems(page: Page, selector: str) -> list[str]:
    """Returns what axe finds that is serious."""
    page.add_script_tag(path=str(AXE))
    found: dict[str, Any] = page.evaluate(f"axe.run({selector!r})")
    serious = (entry for entry in found["violations"] if entry["impact"] in ("serious", "critical"))
    return [f"{entry['id']}: {entry['help']}: {entry['nodes'][0]['html']}" for entry in serious]
