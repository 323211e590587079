"""The user's credential, and accesses to clusters of others."""

import base64
import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from contract import conforms
from jupyterlab_astrok8s import hub
from jupyterlab_astrok8s.accesses import Accesses
from tornado.httpclient import HTTPClientError

from astrok8s import OptionError

CREDENTIAL = {
    "auth": {
        "auth_url": "http://127.0.0.1:1/v3",
        "application_credential_id": "an id",
        "application_credential_secret": "a secret",
    },
    "auth_type": "v3applicationcredential",
}


def kubeconfig(cluster: str = "one", server: str = "https://10.0.0.1:6443", end: int = 4_000_000_000) -> str:
    """An access as `astrok8s grant` writes it; its token is nobody's."""
    claims = base64.urlsafe_b64encode(json.dumps({"iat": end - 86400, "exp": end}).encode()).decode()
    context = {"cluster": cluster, "user": "user-ann", "namespace": "user-ann"}
    content = {
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": "YQ=="}}],
        "users": [{"name": "user-ann", "user": {"token": f"a.{claims}.c"}}],
        "contexts": [{"name": cluster, "context": context}],
    }
    return yaml.safe_dump(content)


async def accept(jp_fetch: Any, text: str) -> dict[str, str]:
    answer = await jp_fetch("astrok8s", "accesses", method="POST", body=json.dumps({"kubeconfig": text}))
    told: dict[str, str] = json.loads(answer.body)
    conforms(told, "Access")
    return told


async def listed(jp_fetch: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((await jp_fetch("astrok8s", "accesses")).body)["accesses"]
    return found


async def test_an_access_is_kept_replaced_and_forgotten(jp_fetch: Any) -> None:
    told = await accept(jp_fetch, kubeconfig())
    assert (told["cluster"], told["namespace"]) == ("one", "user-ann")
    file = Path(told["file"]).expanduser()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await listed(jp_fetch) == [told]
    again = await accept(jp_fetch, kubeconfig(end=4_000_000_001))
    assert again["id"] == told["id"]
    assert await listed(jp_fetch) == [again]
    other = await accept(jp_fetch, kubeconfig(server="https://10.0.0.2:6443"))
    assert len(await listed(jp_fetch)) == 2
    await jp_fetch("astrok8s", "accesses", told["id"], method="DELETE")
    assert await listed(jp_fetch) == [other]
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "accesses", told["id"], method="DELETE")
    assert caught.value.code == 404


async def test_the_name_of_a_cluster_leads_nowhere_else(jp_fetch: Any, accesses_dir: Path) -> None:
    told = await accept(jp_fetch, kubeconfig(cluster="../../../one"))
    assert Path(told["file"]).expanduser().parent == accesses_dir


@pytest.mark.parametrize("text", ["", "text", "a: [", "clusters: []", kubeconfig().replace("token", "tokem")])
async def test_what_is_no_access_is_refused(text: str, jp_fetch: Any, accesses_dir: Path) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await accept(jp_fetch, text)
    assert caught.value.response
    answer = json.loads(caught.value.response.body)
    assert (caught.value.code, answer["fact"]) == (400, "What was given holds no access to a cluster.")
    assert list(accesses_dir.glob("*")) + list(accesses_dir.glob(".*")) == []


async def authenticate(jp_fetch: Any, clouds: object) -> tuple[int, str]:
    """Returns how a credential is refused."""
    body = json.dumps({"clouds": yaml.safe_dump({"clouds": clouds})})
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "credential", method="PUT", body=body)
    assert caught.value.response
    answer = json.loads(caught.value.response.body)
    conforms(answer, "Error")
    return caught.value.code, answer["fact"]


WRONG: list[tuple[object, str]] = [
    ({}, "ValueError"),
    (None, "TypeError"),
    ({"a": CREDENTIAL, "b": CREDENTIAL}, "ValueError"),
    ({"a": {"auth": {"username": "u", "password": "p"}}}, "'auth_type'"),
    (
        {"a": {"auth": CREDENTIAL["auth"], "auth_type": "password"}},
        "is of type password, and no application credential",
    ),
]


@pytest.mark.parametrize(("clouds", "fact"), WRONG, ids=lambda value: str(value)[:30])
async def test_what_is_no_application_credential_is_refused(
    clouds: object, fact: str, jp_fetch: Any, secure: Path
) -> None:
    status, told = await authenticate(jp_fetch, clouds)
    assert (status, fact in told) == (400, True), told
    assert not secure.exists()


@pytest.mark.parametrize("before", [None, "clouds: {other: {}}  # mine\n"])
async def test_a_credential_that_the_cloud_does_not_take_is_not_kept(
    before: str | None, jp_fetch: Any, secure: Path, tmp_path: Path
) -> None:
    (tmp_path / "clouds.yaml").unlink()
    if before is not None:
        secure.write_text(before)
    status, told = await authenticate(jp_fetch, {"openstack": CREDENTIAL})
    assert status == 502
    assert "The cloud far " in told
    assert (secure.read_text() if secure.exists() else None) == before


async def test_a_credential_beside_a_password_is_refused(jp_fetch: Any, secure: Path) -> None:
    status, told = await authenticate(jp_fetch, {"openstack": CREDENTIAL})
    assert (status, "has password, project_name, username for the cloud far" in told) == (400, True), told
    assert not secure.exists()


def test_what_the_hub_gives_is_kept_and_not_inherited(tmp_path: Path, secure: Path) -> None:
    of_all = {"OS_CLOUD": "far"}
    spawner = SimpleNamespace(environment=of_all)
    hub.give_credential(spawner, None)
    assert spawner.environment == {"OS_CLOUD": "far"}
    hub.give_credential(spawner, {"openstack": CREDENTIAL})
    assert of_all == {"OS_CLOUD": "far"}  # other users' servers have it, too
    environment = spawner.environment | {"ASTROK8S_ACCESS": kubeconfig()}
    accesses = Accesses(tmp_path / "accesses")
    hub.take(environment, accesses, "far")
    assert environment == {"OS_CLOUD": "far"}
    assert yaml.safe_load(secure.read_text()) == {"clouds": {"far": CREDENTIAL}}
    assert stat.S_IMODE(secure.stat().st_mode) == 0o600
    assert [access.cluster for access in accesses.all().values()] == ["one"]
    with pytest.raises(OptionError):
        hub.take({"ASTROK8S_CREDENTIAL": "text"}, accesses, "far")
