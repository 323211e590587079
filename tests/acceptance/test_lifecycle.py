"""What the role lifecycle promises: a cluster ends by itself, by a credential that can do nothing else."""

import json
import os
import re
import signal
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import yaml
from boxes import SITE_BIN, Box, until
from processes import in_box

WATCHER = ("--namespace=astrok8s", "--selector=app.kubernetes.io/name=lifecycle")


def declare(box: Box, cluster: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Declares a cluster of which nothing is looked at but its end."""
    tags = "--tags=cloud,magnum_cluster,lifecycle"
    return box.playbook("site.yml", tags, clusters=[cluster], size=1, **options)


def astrok8s(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.run(str(SITE_BIN / "astrok8s"), *arguments, OS_CLOUD=box.name)


def told(box: Box, cluster: str) -> dict[str, Any]:
    """Returns what a cluster tells of its end."""
    run = box.kubectl(cluster, "get", "configmap", "lifecycle", "--namespace=astrok8s", "--output=json")
    data: dict[str, Any] = json.loads(run.stdout)["data"]
    return data


def end(box: Box, cluster: str) -> datetime:
    return datetime.fromisoformat(told(box, cluster)["end"])


def credentials(box: Box) -> dict[str, str]:
    """Returns the names of the user's application credentials, by their identities."""
    run = box.openstack("application", "credential", "list", "--format=json")
    return {entry["ID"]: entry["Name"] for entry in json.loads(run.stdout)}


def wait_until_gone(box: Box, cluster: str) -> None:
    until(lambda: box.openstack("coe", "cluster", "show", cluster), lambda run: run.returncode != 0, timeout_s=300)


@pytest.fixture(scope="module")
def one(box: Box) -> str:
    """A cluster that lives for long enough."""
    run = declare(box, "one")
    assert run.returncode == 0, run.stdout
    return "one"


def credential_of(box: Box, cluster: str) -> dict[str, str]:
    """Returns the credential with which a cluster ends."""
    run = box.kubectl(cluster, "get", "secret", "lifecycle", "--namespace=astrok8s", "--output=json")
    return {name: b64decode(value).decode() for name, value in json.loads(run.stdout)["data"].items()}


@pytest.fixture(scope="module")
def credential(box: Box, one: str) -> dict[str, str]:
    """The credential with which it would end."""
    return credential_of(box, one)


def test_it_ends_in_twelve_hours_unless_something_else_is_said(box: Box, one: str) -> None:
    data = told(box, one)
    assert end(box, one) - datetime.fromisoformat(data["since"]) == timedelta(hours=12)
    assert "changed=0" in declare(box, one).stdout
    assert told(box, one) == data
    assert len(credentials(box)) == 1


def test_check_foretells_another_end(box: Box, one: str) -> None:
    before = told(box, one)
    command = box.playbook_command(
        "site.yml", "--tags=cloud,magnum_cluster,lifecycle", "--check", clusters=[one], size=1, ttl="1d"
    )
    run = box.run(*command)
    assert run.returncode == 0, run.stdout
    assert "changed=0" not in run.stdout
    assert told(box, one) == before


def test_it_is_extended_within_what_the_site_allows(box: Box, one: str) -> None:
    before = end(box, one)
    run = astrok8s(box, "extend", one, "4h")
    assert run.returncode == 0, run.stderr
    assert end(box, one) == before + timedelta(hours=4)
    assert "changed=0" in declare(box, one).stdout
    assert end(box, one) == before + timedelta(hours=4)
    (held,) = credentials(box)
    run = astrok8s(box, "extend", one, "3d")  # longer than its credential lives
    assert run.returncode == 0, run.stderr
    assert told(box, one)["credential"] != held
    assert told(box, one)["credential"] in credentials(box)


WRONG = {
    "zero": (["provision", "one", "--ttl", "0s"], "A cluster cannot live for 0s."),
    "too long": (["provision", "one", "--ttl", "8d"], "A cluster cannot live for 8d: this site allows 7d."),
    "for ever": (["provision", "one", "--ttl", "forever"], "'forever' is no duration."),
    "a time": (["provision", "one", "--ttl", "2020-01-01"], "'2020-01-01' is no duration."),
    "extended": (["extend", "one", "soon"], "'soon' is no duration."),
    "extended too far": (["extend", "one", "7d"], "this site allows 7d, until"),
    "no cluster": (["extend", "two", "4h"], "has no cluster two; it has: one."),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("one")
def test_bad_input_is_refused_and_nothing_changed(box: Box, arguments: list[str], message: str) -> None:
    before = told(box, "one")
    run = astrok8s(box, *arguments)
    assert run.returncode in (1, 2)
    assert message in " ".join((run.stdout + run.stderr).split())
    assert told(box, "one") == before


def test_a_shorter_life_that_is_over_is_refused(box: Box, one: str) -> None:
    run = declare(box, one, ttl="61s")
    assert run.returncode == 2
    assert "With ttl=61s the cluster would end at once: it lives since" in run.stdout


def authenticate(credential: dict[str, str]) -> requests.Response:
    """Asks Keystone for a token of a credential."""
    own = {"id": credential["id"], "secret": credential["secret"]}
    identity: dict[str, Any] = {"methods": ["application_credential"], "application_credential": own}
    url = credential["auth_url"].removesuffix("/v3") + "/v3/auth/tokens"
    return requests.post(url, json={"auth": {"identity": identity}}, timeout=30)


@pytest.fixture(scope="module")
def token(credential: dict[str, str]) -> dict[str, Any]:
    """A token of the credential: what Keystone says, and its text as `X-Auth-Token`."""
    answer = authenticate(credential)
    answer.raise_for_status()
    return {"X-Auth-Token": answer.headers["X-Subject-Token"], **answer.json()["token"]}


def endpoint(token: dict[str, Any], kind: str) -> str:
    (service,) = [entry for entry in token["catalog"] if entry["type"] == kind]
    return str(next(entry["url"] for entry in service["endpoints"] if entry["interface"] == "public"))


FORBIDDEN = [
    ("GET", "container-infra", "/clusters"),
    ("GET", "container-infra", "/clusters/one"),
    ("GET", "container-infra", "/clusters/{other}"),
    ("DELETE", "container-infra", "/clusters/{other}"),
    ("POST", "container-infra", "/clusters"),
    ("PATCH", "container-infra", "/clusters/{uuid}"),
    ("POST", "container-infra", "/clusters/{uuid}/actions/resize"),
    ("GET", "container-infra", "/certificates/{uuid}"),
    ("POST", "container-infra", "/certificates"),
    ("GET", "container-infra", "/clustertemplates"),
    ("GET", "compute", "/servers"),
    ("GET", "image", "/v2/images"),
    ("GET", "network", "/v2.0/networks"),
    ("GET", "object-store", ""),
    ("PUT", "object-store", "/mine"),
    ("GET", "object-store", "{record}"),
    ("DELETE", "object-store", "{record}"),
    ("PUT", "object-store", "{record}.bak"),
    ("PUT", "object-store", "/astrok8s/ended/{other}.json"),
    ("PUT", "object-store", "/astrok8s"),
    ("GET", "identity", "/v3/users/{user}"),
    ("GET", "identity", "/v3/users/{user}/application_credentials"),
    ("POST", "identity", "/v3/users/{user}/application_credentials"),
    ("DELETE", "identity", "/v3/users/{user}/application_credentials/{id}"),
    ("POST", "identity", "/v3/users/{user}/credentials/OS-EC2"),
]


@pytest.mark.parametrize(("method", "service", "path"), FORBIDDEN, ids=lambda value: str(value))
def test_the_credential_can_do_nothing_else(
    box: Box, token: dict[str, Any], credential: dict[str, str], method: str, service: str, path: str
) -> None:
    names = {"uuid": told(box, "one")["uuid"], "other": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}
    names |= {"user": token["user"]["id"], "id": credential["id"]}
    names["record"] = told(box, "one")["record"].removeprefix(endpoint(token, "object-store"))
    url = endpoint(token, service).removesuffix("/v3") + path.format(**names)
    headers = {"X-Auth-Token": token["X-Auth-Token"]}
    answer = requests.request(method, url, headers=headers, json={}, timeout=30)
    assert answer.status_code in (401, 403), (answer.status_code, answer.text)
    own = f"{endpoint(token, 'container-infra')}/clusters/{names['uuid']}"
    assert requests.get(own, headers=headers, timeout=30).json()["name"] == "one"


LIMITS = [
    ({"cloud_most_clusters": 1}, "This site allows a user 1 cluster; with more you would have 2 (one of size 1)."),
    ({"cloud_most_workers": 1}, "with size 1 of more you would have 2 (one of size 1). Destroy one of them"),
    ({"cloud_most_workers": -1}, "A site cannot allow a user -1 workers. Give a whole number, or nothing."),
]


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(("limit", "message"), LIMITS, ids=str)
def test_a_site_limits_what_a_user_has(box: Box, limit: dict[str, int], message: str) -> None:
    run = declare(box, "more", **limit)
    assert run.returncode == 2
    assert message in " ".join(run.stdout.split())
    assert box.openstack("coe", "cluster", "list", "--format=value", "--column=name").stdout == "one\n"


BELOW = [
    ({"cloud_most_clusters": 0}, "This site allows a user 0 clusters; with one you would have 1 (one)."),
    ({"cloud_most_workers": 0}, "with size 1 of one you would have 1."),
    ({"lifecycle_longest": "1d"}, "that is longer than 1d, which this site allows now"),  # it was extended
]


@pytest.mark.parametrize(("limit", "message"), BELOW, ids=str)
def test_a_limit_below_what_runs_is_told_and_changes_nothing(
    box: Box, one: str, limit: dict[str, object], message: str
) -> None:
    before = told(box, one)
    run = declare(box, one, **limit)
    assert run.returncode == 2
    assert message in " ".join(run.stdout.split())
    assert told(box, one) == before
    assert "changed=0" in declare(box, one, cloud_most_clusters=1, cloud_most_workers=1).stdout


@pytest.mark.usefixtures("one")
def test_sessions_cannot_read_the_credential(box: Box) -> None:
    who = "--as=system:serviceaccount:spark:spark"
    for what in ("secrets", "configmaps", "pods"):
        run = box.kubectl("one", "auth", "can-i", "get", what, "--namespace=astrok8s", who)
        assert run.stdout.strip() == "no"


def use(box: Box, cluster: str) -> None:
    """Uses a cluster, as a kernel does that has a session."""
    spec = {"renewTime": datetime.now(UTC).isoformat(timespec="microseconds"), "leaseDurationSeconds": 3600}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    lease["metadata"] = {"name": "kernel", "namespace": "default", "labels": {"astrok8s/use": "kernel"}}
    run = box.kubectl(cluster, "apply", "--filename=-", stdin=json.dumps(lease))
    assert run.returncode == 0, run.stderr


def test_a_cluster_whose_time_is_over_is_gone_and_its_credential_goes_with_the_next_call(box: Box) -> None:
    run = declare(box, "brief", ttl="90s")
    assert run.returncode == 0, run.stdout
    use(box, "brief")  # its time is over all the same
    until(lambda: astrok8s(box, "show", "brief"), lambda run: "in use" in run.stdout)
    over, credential = end(box, "brief"), credential_of(box, "brief")
    assert authenticate(credential).status_code == 201
    assert box.kubectl("brief", "delete", "pod", *WATCHER, "--wait=false").returncode == 0  # another one goes on
    wait_until_gone(box, "brief")
    assert datetime.now(over.tzinfo) >= over
    left = set(credentials(box).values())
    assert len(left) == 3  # that of `brief`, and both of `one`: the one before may be used yet
    assert declare(box, "one").returncode == 0
    assert len(credentials(box)) == 2
    assert authenticate(credential).status_code in (401, 404)


def test_why_it_ended_is_told_afterwards(box: Box) -> None:
    run = box.openstack("object", "list", "astrok8s", "--format=value")
    assert run.stdout.startswith("ended/")
    listed = astrok8s(box, "list", "--ended")
    assert re.search(r"brief .* its time of 90s was over .* itself", listed.stdout), listed.stdout + listed.stderr
    told = astrok8s(box, "attach", "brief")
    assert told.returncode == 1
    message = r"astrok8s: The cluster brief ended at \S+ \S+ UTC: its time of 90s was over. Make it again: "
    assert re.match(message, told.stderr), told.stderr


def test_it_ends_after_the_cloud_was_away(box: Box) -> None:
    run = declare(box, "late", ttl="90s")
    assert run.returncode == 0, run.stdout
    assert end(box, "late")  # by a kubeconfig that Magnum gives, as long as it does
    (magnum,) = in_box(box, "localcloud.cloud.magnum_server")
    os.kill(magnum, signal.SIGSTOP)
    try:
        log = ("logs", *WATCHER, "--tail=1")
        until(lambda: box.kubectl("late", *log), lambda run: "does not delete it" in run.stdout, timeout_s=240)
    finally:
        os.kill(magnum, signal.SIGCONT)
    wait_until_gone(box, "late")


def test_a_restricted_credential_is_refused_before_anything_is_made(box: Box) -> None:
    made = box.openstack("application", "credential", "create", "mine", "--format=json")
    own = {name.lower(): value for name, value in json.loads(made.stdout).items()}
    site = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]
    auth = {"auth_url": site["auth"]["auth_url"], "application_credential_id": own["id"]}
    auth |= {"application_credential_secret": own["secret"]}
    entry = {"auth": auth, "auth_type": "v3applicationcredential", "region_name": site["region_name"]}
    file = box.folder / "restricted.yaml"
    file.write_text(yaml.safe_dump({"clouds": {box.name: entry}}))
    command = box.playbook_command("site.yml", clusters=["two"], size=1, cloud_localcloud=False)
    run = box.run(*command, OS_CLIENT_CONFIG_FILE=str(file))
    assert run.returncode == 2
    assert "Your application credential mine is a restricted one" in run.stdout
    assert box.openstack("coe", "cluster", "show", "two").returncode != 0
    assert box.openstack("application", "credential", "delete", "mine").returncode == 0


def test_a_cluster_is_kept_where_the_site_allows_that(box: Box, one: str) -> None:
    before = len(credentials(box))
    run = declare(box, one, keep=True, lifecycle_may_keep=True)
    assert run.returncode == 0, run.stdout
    assert "It stays until somebody destroys it." in astrok8s(box, "show", one).stdout
    assert box.kubectl(one, "get", "namespace", "astrok8s").returncode != 0
    assert len(credentials(box)) < before
    assert "changed=0" in declare(box, one, keep=True, lifecycle_may_keep=True).stdout
    assert declare(box, one).returncode == 0
    assert end(box, one)


def test_destroy_takes_the_credentials_along_and_says_who_did_it(box: Box) -> None:
    assert box.playbook("playbooks/destroy.yml", clusters=["one"]).returncode == 0
    assert credentials(box) == {}
    latest = astrok8s(box, "list", "--ended").stdout.splitlines()[3]
    user = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]["auth"]["username"]
    assert re.search(rf"one .* it was destroyed .* {user} ", latest)
    again = box.playbook("playbooks/destroy.yml", clusters=["one"])
    assert "changed=0" in again.stdout
