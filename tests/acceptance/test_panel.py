"""The panel in a browser, with a cloud: Debian's chromium, driven by Playwright. Pictures go to ASTROK8S_SHOTS."""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import ROOT, Box
from jupyter import Jupyter
from playwright.sync_api import Locator, Page, Route, expect, sync_playwright

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
NOTIFICATION = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
MINUTES_MS = 180_000
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def jupyter(box: Box) -> Iterator[Jupyter]:
    # Else JupyterLab asks the user about news, and the network about updates.
    settings = box.folder / "jupyter" / "settings" / NOTIFICATION
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    jupyter = Jupyter(box)
    jupyter.start()
    yield jupyter
    jupyter.stop()


@pytest.fixture
def page(jupyter: Jupyter) -> Iterator[Page]:
    """A page of JupyterLab with nothing open, which asks nobody but its server, and has no error of ours."""
    elsewhere: list[str] = []
    errors: list[str] = []

    def only_the_server(route: Route) -> None:
        if route.request.url.startswith(f"http://127.0.0.1:{jupyter.port}/"):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route("**/*", only_the_server)
        page.goto(f"http://127.0.0.1:{jupyter.port}/lab?token={jupyter.token}&reset")
        ready(page)
        expect(page.locator(".jp-Launcher")).to_be_visible()  # which takes the focus when it comes
        yield page
        browser.close()
    assert elsewhere == []
    # JupyterLab itself says so while its server is away.
    assert [error for error in errors if "Failed to fetch" not in error] == []


def ready(page: Page) -> None:
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=MINUTES_MS)


def panel_of(page: Page) -> Locator:
    """Opens the panel by the keyboard, and waits until JupyterLab has noted that it is open."""
    panel = page.locator("#astrok8s-clusters")
    if not panel.is_visible():
        with page.expect_response(lambda r: "/api/workspaces/" in r.url and r.request.method == "PUT"):
            page.locator('[data-id="astrok8s-clusters"]').press("Enter")
    expect(panel).to_be_visible()
    return panel


def row(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("listitem", name=name)


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("ASTROK8S_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def problems(page: Page, selector: str) -> list[str]:
    """Returns what axe finds that is serious."""
    page.add_script_tag(path=str(AXE))
    found: dict[str, Any] = page.evaluate(f"axe.run({selector!r})")
    serious = (entry for entry in found["violations"] if entry["impact"] in ("serious", "critical"))
    return [f"{entry['id']}: {entry['help']}: {entry['nodes'][0]['html']}" for entry in serious]


def fill(page: Page, name: str, workers: str) -> None:
    """Fills in the form by the keyboard alone."""
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(workers)


def test_a_cluster_is_created_by_the_keyboard_through_a_reload_and_a_restart(page: Page, jupyter: Jupyter) -> None:
    panel = panel_of(page)
    expect(panel.get_by_text("No clusters yet.")).to_be_visible()
    shoot(page, "empty")
    assert problems(page, ".astrok8s-panel") == []
    panel.get_by_role("button", name="New cluster").press("Enter")
    fill(page, "stars", "100000")
    expect(page.get_by_text("The quota does not allow size 100000")).to_be_visible()
    shoot(page, "quota")
    page.get_by_label("Workers", exact=True).fill("1")
    expect(page.get_by_text("The cloud can make it: 2 of ")).to_be_visible()
    page.get_by_text("Advanced").press("Enter")
    expect(page.get_by_text("Spark Connect", exact=True)).to_be_visible()
    assert problems(page, ".astrok8s-form") == []
    shoot(page, "form")
    page.get_by_label("Workers", exact=True).press("Enter")
    stars = row(panel, "stars")
    expect(stars.get_by_text("Creating")).to_be_visible()
    page.reload()
    ready(page)
    expect(stars.get_by_text(re.compile(r"(Creating|Changing) · \d"))).to_be_visible()
    shoot(page, "creating")
    assert problems(page, ".astrok8s-panel") == []
    jupyter.stop()
    jupyter.start()
    expect(stars.get_by_role("button", name="Destroy stars")).to_be_visible(timeout=MINUTES_MS)
    expect(stars.get_by_text("Ready · 1 worker")).to_be_visible(timeout=MINUTES_MS)
    shoot(page, "ready")


def test_it_is_resized(page: Page) -> None:
    stars = row(panel_of(page), "stars")
    stars.get_by_role("button", name="Resize stars").click()
    page.get_by_role("spinbutton").fill("2")
    page.keyboard.press("Enter")
    expect(stars.get_by_text("Resizing to 2")).to_be_visible()
    expect(stars.get_by_text("Ready · 2 workers")).to_be_visible(timeout=MINUTES_MS)
    expect(stars.get_by_role("button", name="Resize stars")).to_be_visible(timeout=MINUTES_MS)


def test_access_is_given_and_taken(page: Page, jupyter: Jupyter) -> None:
    stars = row(panel_of(page), "stars")
    stars.get_by_role("button", name="Access to stars").click()
    expect(page.get_by_text("Nobody but you.")).to_be_visible()
    page.get_by_label("User", exact=True).fill("maria")
    page.keyboard.press("Enter")
    expect(stars.get_by_text("Giving maria access")).to_be_visible()
    taking = page.get_by_role("button", name="Take the access of maria")
    expect(taking).to_be_visible(timeout=MINUTES_MS)
    file = jupyter.box.folder / "jupyter" / "stars-maria.kubeconfig"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shoot(page, "access")
    assert problems(page, ".astrok8s-page") == []
    taking.press("Enter")
    page.get_by_role("button", name="Take it", exact=True).last.press("Enter")
    expect(page.get_by_text("Nobody but you.")).to_be_visible(timeout=MINUTES_MS)


def test_the_history_is_shown(page: Page) -> None:
    row(panel_of(page), "stars").get_by_role("button", name="History of stars").click()
    expect(page.get_by_role("cell", name="astrok8s connect")).to_be_visible(timeout=MINUTES_MS)
    shoot(page, "history")
    assert problems(page, ".astrok8s-page") == []


def test_an_error_is_told_with_its_remedy_and_its_log_in_the_dark(page: Page, jupyter: Jupyter) -> None:
    theme = {"raw": '{"theme": "JupyterLab Dark"}'}
    jupyter.ask("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", json=theme).raise_for_status()
    page.reload()
    ready(page)
    panel = panel_of(page)
    panel.get_by_role("button", name="New cluster").press("Enter")
    fill(page, "broken", "100000")
    expect(page.get_by_text("The quota does not allow size 100000")).to_be_visible()
    page.get_by_label("Workers", exact=True).press("Enter")  # whoever insists is told by the operation
    broken = row(panel, "broken")
    expect(broken.get_by_role("alert")).to_contain_text("Size ", timeout=MINUTES_MS)
    expect(broken.get_by_text("Failed to create")).to_be_visible()
    shoot(page, "error-dark")
    assert problems(page, ".astrok8s-panel") == []
    page.reload()
    ready(page)
    broken.get_by_role("button", name="Log of broken").press("Enter")
    expect(page.locator(".astrok8s-log")).to_contain_text("PLAY RECAP")
    shoot(page, "log-dark")
    broken.get_by_role("button", name="Dismiss what is told of broken").press("Enter")
    expect(broken).not_to_be_visible()


def test_it_fits_a_narrow_window(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 720})
    panel = panel_of(page)
    expect(row(panel, "stars").get_by_text("Ready")).to_be_visible()
    shoot(page, "narrow")
    widths: dict[str, int] = page.evaluate(
        "(({scrollWidth, clientWidth}) => ({scrollWidth, clientWidth}))(document.querySelector('.astrok8s-panel'))"
    )
    assert widths["scrollWidth"] <= widths["clientWidth"]


def test_an_idle_panel_asks_once_in_ten_seconds(page: Page) -> None:
    panel = panel_of(page)
    expect(row(panel, "stars").get_by_text("Ready")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/astrok8s/" in request.url else None)
    page.wait_for_timeout(30_500)  # what is measured is the time between requests
    assert 2 <= len(asked) <= 3, asked


def test_a_cluster_that_went_behind_our_back_goes_from_the_panel(page: Page, jupyter: Jupyter) -> None:
    panel = panel_of(page)
    panel.get_by_role("button", name="New cluster").press("Enter")
    fill(page, "second", "1")
    page.keyboard.press("Enter")
    second = row(panel, "second")
    second.get_by_role("button", name="Cancel second").click()
    expect(second.get_by_text("Cancelled: ")).to_be_visible(timeout=MINUTES_MS)
    expect(second.get_by_role("alert")).to_contain_text("Make it again under the same name to finish it")
    shoot(page, "cancelled")
    second.get_by_role("button", name="Try second again").click()
    expect(second.get_by_role("button", name="Destroy second")).to_be_visible(timeout=MINUTES_MS)
    jupyter.box.delete_cluster("second")
    expect(second).not_to_be_visible(timeout=MINUTES_MS)


def test_the_cloud_is_away_for_a_while(page: Page, jupyter: Jupyter) -> None:
    panel = panel_of(page)
    expect(row(panel, "stars").get_by_text("Ready")).to_be_visible()
    assert jupyter.box.localcloud("down").returncode == 0
    expect(panel.get_by_role("alert")).to_contain_text("does not answer", timeout=MINUTES_MS)
    expect(row(panel, "stars")).to_be_visible()
    shoot(page, "away")
    assert jupyter.box.localcloud("up").returncode == 0
    expect(panel.get_by_role("alert")).not_to_be_visible(timeout=MINUTES_MS)


def test_destroy_asks_first(page: Page) -> None:
    panel = panel_of(page)
    stars = row(panel, "stars")
    stars.get_by_role("button", name="Destroy stars").press("Enter")
    shoot(page, "destroy")
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(stars.get_by_text("Ready")).to_be_visible()
    stars.get_by_role("button", name="Destroy stars").press("Enter")
    page.get_by_role("button", name="Destroy", exact=True).press("Enter")
    expect(stars.get_by_text("Destroying")).to_be_visible()
    expect(panel.get_by_text("No clusters yet.")).to_be_visible(timeout=MINUTES_MS)
