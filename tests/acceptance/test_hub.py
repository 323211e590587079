"""A JupyterHub whose users are each a user of the machine.

Ann and Bob have a project of their own on the cloud. Ann pastes her credential, and has a cluster; Bob's comes from the
Hub, and Ann shares her cluster with him. Carol has no account there: the Hub gives her access to the cluster.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from accounts import as_admin, new_user
from boxes import KUBECTL, Box
from browser import MINUTES_MS, open_browser, problems, ready, shoot
from hub import CLOUD, OPERATOR, PASSWORD, Hub
from playwright.sync_api import Locator, Page, expect

OPERATIONS = ".local/share/jupyter/astrok8s/operations"
ACCESSES = ".local/share/jupyter/astrok8s/accesses"
CREDENTIAL = ".config/openstack/secure.yaml"


def application_credential(box: Box, account: tuple[str, ...]) -> dict[str, Any]:
    """Has the cloud make one; returns the clouds.yaml that its dashboard offers then."""
    run = box.openstack(*account, "application", "credential", "create", "hub", "--unrestricted", "-f", "json")
    assert run.returncode == 0, run.stderr
    made = {name.lower(): value for name, value in json.loads(run.stdout).items()}
    site = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]
    auth = {"auth_url": site["auth"]["auth_url"], "application_credential_id": made["id"]}
    auth |= {"application_credential_secret": made["secret"]}
    entry = {"auth": auth, "auth_type": "v3applicationcredential", "region_name": site["region_name"]}
    return {"clouds": {"openstack": entry}}


@pytest.fixture(scope="module")
def credentials(box: Box) -> dict[str, dict[str, Any]]:
    """Those of the two users, each of a project of its own."""
    found = {}
    for user in ("ann", "bob"):
        as_admin(box, f"project create {user}s")
        account = new_user(box, user, f"{user}s", "member")
        keypair = box.openstack(*account, "keypair", "create", "astro", f"--private-key={box.folder / user}")
        assert keypair.returncode == 0, keypair.stderr
        found[user] = application_credential(box, account)
    return found


@pytest.fixture(scope="module")
def hub(box: Box, credentials: dict[str, dict[str, Any]]) -> Iterator[Hub]:
    """The Hub, for one file."""
    entries = {user: credentials[user]["clouds"]["openstack"] for user in ("ann", "bob")}
    declared = yaml.safe_load(box.clouds.read_text())
    declared["clouds"][OPERATOR] = entries["ann"]
    box.clouds.write_text(yaml.safe_dump(declared))
    hub = Hub(box, ("ann", "bob", "carol"), {"bob": {"openstack": entries["bob"]}}, guest="carol", shared="stars")
    hub.start()
    yield hub
    hub.stop()


@contextmanager
def page_of(hub: Hub, user: str, server: str = "") -> Iterator[Page]:
    """Logs in as a user, and opens JupyterLab of the user's server."""
    with open_browser(f"http://127.0.0.1:{hub.port}") as page:
        spawn = f"/hubs/hub/spawn/{user}" + (f"/{server}" if server else "")
        page.goto(f"http://127.0.0.1:{hub.port}/hubs/hub/login?next={spawn}")
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/hubs/user/{user}/**", timeout=MINUTES_MS)
        page.goto(f"http://127.0.0.1:{hub.port}/hubs/user/{user}/" + (f"{server}/" if server else "") + "lab?reset")
        ready(page)
        expect(page.locator(".jp-Launcher")).to_be_visible(timeout=MINUTES_MS)
        yield page


def panel_of(page: Page) -> Locator:
    panel = page.locator("#astrok8s-clusters")
    if not panel.is_visible():
        page.locator('[data-id="astrok8s-clusters"]').press("Enter")
    expect(panel).to_be_visible()
    return panel


def paste(page: Page, button: str, text: str) -> None:
    panel_of(page).get_by_role("button", name=button).press("Enter")
    field = page.get_by_role("dialog").locator("textarea")
    expect(field).to_be_focused()
    assert problems(page, ".jp-Dialog") == []
    field.fill(text)
    shoot(page, f"hub-{button.split()[0].lower()}")
    page.get_by_role("dialog").get_by_role("button").last.press("Enter")


def attach(page: Page, cluster: str) -> None:
    """Attaches a new notebook to a cluster of the list."""
    page.locator('.jp-LauncherCard[title*="Python 3"]').first.click()
    page.get_by_role("button", name="Spark: Not attached").press("Enter")
    page.get_by_role("dialog").get_by_label("Cluster", exact=True).select_option(label=cluster)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Spark: Connected", exact=True)).to_be_visible(timeout=MINUTES_MS)


def run_cell(page: Page, source: str) -> Locator:
    cells = page.locator(".jp-CodeCell")
    cell = cells.nth(cells.count() - 1)  # Shift+Enter adds another one
    cell.locator(".cm-content").fill(source)
    page.keyboard.press("Shift+Enter")
    # What the cell prints; progress goes to the other one.
    return cell.locator('[data-mime-type="application/vnd.jupyter.stdout"]')


def test_a_credential_is_pasted_and_a_wrong_one_refused(hub: Hub, credentials: dict[str, dict[str, Any]]) -> None:
    with page_of(hub, "ann") as page:
        panel = panel_of(page)
        expect(panel.get_by_role("alert")).to_contain_text(f"The cloud {CLOUD} is not declared")
        secret = credentials["ann"]["clouds"]["openstack"]["auth"]["application_credential_secret"]
        paste(page, "Credential for the cloud", yaml.safe_dump(credentials["ann"]).replace(secret, "wrong"))
        expect(panel.get_by_role("alert")).to_contain_text("refuses the credentials")
        assert not (hub.home("ann") / CREDENTIAL).exists()
        paste(page, "Credential for the cloud", yaml.safe_dump(credentials["ann"]))
        expect(panel.get_by_text("No clusters yet.")).to_be_visible()
        assert problems(page, ".astrok8s-panel") == []


def test_a_cluster_is_made_and_shared(hub: Hub) -> None:
    with page_of(hub, "ann") as page:
        panel = panel_of(page)
        panel.get_by_role("button", name="New cluster").press("Enter")
        expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
        page.keyboard.type("stars")
        page.get_by_label("Workers", exact=True).fill("1")
        page.keyboard.press("Enter")
        stars = panel.get_by_role("listitem", name="stars")
        expect(stars.get_by_role("button", name="Access to stars")).to_be_visible(timeout=2 * MINUTES_MS)
        stars.get_by_role("button", name="Access to stars").click()
        page.get_by_label("User", exact=True).fill("bob")
        page.keyboard.press("Enter")
        taking = page.get_by_role("button", name="Take the access of bob")
        expect(taking).to_be_visible(timeout=MINUTES_MS)


def test_the_owner_attaches_by_the_service_account_of_the_cluster(hub: Hub) -> None:
    with page_of(hub, "ann") as page:
        attach(page, "stars")
        expect(run_cell(page, "print(spark.range(10).count())")).to_have_text("10", timeout=MINUTES_MS)


def test_a_shared_cluster_is_used_in_the_own_namespace(hub: Hub, box: Box) -> None:
    with page_of(hub, "bob") as page:
        panel = panel_of(page)
        expect(panel.get_by_text("No clusters yet.")).to_be_visible()  # in a project of his own
        paste(page, "Add an access that I was granted", (hub.home("ann") / "stars-bob.kubeconfig").read_text())
        expect(panel.get_by_role("listitem", name="stars, shared")).to_contain_text("user-bob")
        shoot(page, "hub-shared")
        assert problems(page, ".astrok8s-panel") == []
        attach(page, "stars, as user-bob")
        expect(run_cell(page, "print(spark.range(20).count())")).to_have_text("20", timeout=MINUTES_MS)
        shoot(page, "hub-attached")
        (access,) = (hub.home("bob") / ACCESSES).glob("*.kubeconfig")
        seen = box.run(str(KUBECTL), f"--kubeconfig={access}", "auth", "whoami", "--output=json")
        assert json.loads(seen.stdout)["status"]["userInfo"]["username"].startswith("system:serviceaccount:user-bob:")


def test_the_hub_gives_access_to_a_cluster_of_the_site(hub: Hub) -> None:
    with page_of(hub, "carol") as page:
        panel = panel_of(page)
        expect(panel.get_by_role("listitem", name="stars, shared")).to_contain_text("user-carol")
        shoot(page, "hub-guest")
        attach(page, "stars, as user-carol")
        expect(run_cell(page, "print(spark.range(30).count())")).to_have_text("30", timeout=MINUTES_MS)


def test_nobody_sees_what_is_anothers(hub: Hub) -> None:
    ann, bob = hub.token_of("ann"), hub.token_of("bob")
    for route in ("clusters", "operations", "accesses", "events"):
        assert hub.ask("GET", f"user/ann/astrok8s/{route}", bob).status_code == 403
        assert hub.ask("GET", f"user/bob/astrok8s/{route}", ann).status_code == 403
    assert [c["name"] for c in hub.ask("GET", "user/ann/astrok8s/clusters", ann).json()["clusters"]] == ["stars"]
    assert hub.ask("GET", "user/bob/astrok8s/clusters", bob).json() == {"clusters": []}
    for path in (CREDENTIAL, OPERATIONS, "stars-bob.kubeconfig"):
        assert hub.run_as("ann", "ls", f"/home/ann/{path}").returncode == 0
        assert "Permission denied" in hub.run_as("bob", "cat", f"/home/ann/{path}").stderr
    for path in (CREDENTIAL, ACCESSES):
        assert hub.run_as("bob", "ls", f"/home/bob/{path}").returncode == 0
        assert "Permission denied" in hub.run_as("ann", "ls", f"/home/bob/{path}").stderr


def test_kernels_do_not_inherit_what_the_hub_gives(hub: Hub) -> None:
    with page_of(hub, "bob") as page:
        page.locator('.jp-LauncherCard[title*="Python 3"]').first.click()
        # JupyterLab drops a cell that is run before there is a kernel.
        expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=MINUTES_MS)
        found = run_cell(page, "import os; print([name for name in os.environ if name.startswith('ASTROK8S')])")
        expect(found).to_have_text("[]", timeout=MINUTES_MS)


def test_a_named_server_has_the_same_clusters(hub: Hub) -> None:
    with page_of(hub, "ann", "two") as page:
        stars = panel_of(page).get_by_role("listitem", name="stars", exact=True)
        expect(stars.get_by_text("Ready")).to_be_visible(timeout=MINUTES_MS)
