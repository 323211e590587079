"""The panel in a browser, with a cloud."""

import re
import stat
from datetime import datetime, timedelta

from browser import MINUTES_MS, problems, ready, shoot
from jupyter import Jupyter
from playwright.sync_api import Locator, Page, expect


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
    expect(page.get_by_text("The cloud can make it: instances: 0 used, 2 more, ")).to_be_visible()
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
    page.reload()
    ready(page)
    expect(stars.get_by_text("Resizing to 2")).to_be_visible()
    expect(stars.get_by_text("Ready · 2 workers")).to_be_visible(timeout=MINUTES_MS)
    expect(stars.get_by_role("button", name="Resize stars")).to_be_visible(timeout=MINUTES_MS)


def test_it_is_told_when_it_ends_and_extended(page: Page, jupyter: Jupyter) -> None:
    stars = row(panel_of(page), "stars")
    before = jupyter.get("/astrok8s/clusters/stars/life").json()["end"]
    stars.get_by_role("button", name="When stars ends").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("ends at")
    shoot(page, "life")
    assert problems(page, ".jp-Dialog") == []
    with page.expect_response(lambda r: r.url.endswith("/stars/life") and r.request.method != "GET"):
        page.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    until = datetime.fromisoformat(before) + timedelta(hours=4)
    expect(stars.get_by_role("button", name="When stars ends")).to_be_visible()
    assert datetime.fromisoformat(jupyter.get("/astrok8s/clusters/stars/life").json()["end"]) == until
    stars.get_by_role("button", name="When stars ends").press("Enter")
    page.get_by_role("dialog").get_by_role("textbox").fill("9d")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("this site allows 7d")


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


def test_notebook_has_it_too(page: Page, jupyter: Jupyter) -> None:
    page.goto(f"http://127.0.0.1:{jupyter.port}/tree")
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="Show Clusters").click()
    panel = page.locator("#astrok8s-clusters")
    expect(row(panel, "stars").get_by_text("Ready")).to_be_visible()
    panel.get_by_role("button", name="New cluster").click()
    fill(page, "other", "1")
    expect(page.get_by_text("The cloud can make it: instances: 0 used, 2 more, ")).to_be_visible()
    shoot(page, "notebook")


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
    page.reload()
    ready(page)
    expect(stars.get_by_text("Destroying")).to_be_visible()
    expect(panel.get_by_text("No clusters yet.")).to_be_visible(timeout=MINUTES_MS)
