"""The panel with a hundred clusters, and a log of 10 MB."""

import os
import signal
from collections.abc import Iterator

import pytest
from accounts import as_admin
from boxes import Box
from browser import MINUTES_MS, problems, shoot
from jupyter import Jupyter
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from playwright.sync_api import Page, expect
from processes import in_box

CLUSTERS = 100
LINE = b"TASK [what was done before]\n"


@pytest.fixture(scope="module")
def box(box: Box) -> Iterator[Box]:
    """The box, in which whoever makes clusters is held: they are asked for, and cost nothing."""
    (rack,) = in_box(box, "localcloud.clusters.rack")
    os.kill(rack, signal.SIGSTOP)
    show = ("coe", "cluster", "template", "show", "kubernetes", "--format=value", "--column=uuid")
    template = box.openstack(*show).stdout.strip()
    region = OpenStackConfig(config_files=[str(box.clouds)]).get_one(box.name)
    with Connection(config=region) as cloud:
        project = cloud.current_project_id
        as_admin(box, f"coe quotas create --resource Cluster --hard-limit {CLUSTERS} --project-id {project}")
        magnum = {"service_type": "container-infra", "region_name": region.get_region_name()}
        for number in range(CLUSTERS):
            asked = {"name": f"c{number:03}", "cluster_template_id": template, "node_count": 1}
            assert cloud.session.post("/clusters", json=asked, endpoint_filter=magnum).status_code == 202
    yield box
    os.kill(rack, signal.SIGCONT)


@pytest.mark.usefixtures("box")
def test_a_hundred_clusters_are_shown_and_one_is_made_beside_them(page: Page) -> None:
    page.locator('[data-id="astrok8s-clusters"]').press("Enter")
    panel = page.locator("#astrok8s-clusters")
    expect(panel.get_by_role("listitem")).to_have_count(CLUSTERS)
    panel.get_by_role("listitem", name="c099").scroll_into_view_if_needed()
    shoot(page, "hundred")
    assert problems(page, ".astrok8s-panel") == []
    panel.get_by_role("button", name="Declare c099, to finish it").press("Enter")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("c099")
    page.get_by_label("Workers", exact=True).fill("100000")
    expect(page.get_by_text("The quota does not allow size 100000")).to_be_visible()


def test_of_a_long_log_the_end_is_shown(page: Page, jupyter: Jupyter) -> None:
    declared = jupyter.ask("POST", "/astrok8s/clusters", json={"name": "broken", "size": 100_000})
    operation = declared.json()["id"]
    page.locator('[data-id="astrok8s-clusters"]').press("Enter")
    broken = page.locator("#astrok8s-clusters").get_by_role("listitem", name="broken")
    expect(broken.get_by_text("Failed to create")).to_be_visible(timeout=MINUTES_MS)
    log = jupyter.box.folder / "jupyter" / "data" / "astrok8s" / "operations" / operation / "log"
    log.write_bytes(LINE * (10_000_000 // len(LINE)) + log.read_bytes())
    broken.get_by_role("button", name="Log of broken").press("Enter")
    expect(page.locator(".astrok8s-log")).to_contain_text("PLAY RECAP")
    shoot(page, "long-log")
    assert len(page.locator(".astrok8s-log").inner_text()) <= 100_000
