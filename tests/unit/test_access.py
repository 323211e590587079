"""Users and their namespaces, and the files of accesses."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.astrok8s.magnum.plugins.filter.access import endpoints, executor_size, user_namespace
from ansible_collections.astrok8s.magnum.plugins.module_utils import access
from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
from ansible_collections.astrok8s.magnum.plugins.module_utils.users import namespace_of
from kubernetes.client import ApiException

from astrok8s._granted import Granted
from astrok8s.errors import OptionError

USERS = ["maria", "Maria", "maria.rossi@example.org", "maria-rossi", "maria-2d", "étoile", "a b", "0", "名"]


@pytest.mark.parametrize("user", USERS)
def test_a_namespace_is_named_as_kubernetes_takes_it(user: str) -> None:
    namespace = namespace_of(user)
    assert namespace.replace("-", "a").isalnum()
    assert namespace.isascii()
    assert namespace == namespace.lower()
    assert namespace[-1] != "-"


def test_no_two_users_have_the_same() -> None:
    assert len({namespace_of(user) for user in USERS}) == len(USERS)


@pytest.mark.parametrize("user", ["", " ", "x" * 59, "@" * 20, "a\nb"])
def test_who_cannot_have_one_is_refused(user: str) -> None:
    with pytest.raises(MagnumError, match="There cannot be a user"):
        namespace_of(user)
    with pytest.raises(AnsibleFilterError, match="There cannot be a user"):
        user_namespace(user)


def test_a_lifetime_ends_as_given() -> None:
    assert access.lifetime("", 24) == 86_400
    assert access.lifetime("2999-01-01", 24) > 86_400
    assert access.lifetime("2999-01-01T00:00:00+02:00", 24) == access.lifetime("2998-12-31T22:00:00+00:00", 24)


@pytest.mark.parametrize(
    ("until", "hours", "message"),
    [
        ("2020-01-01", 24, "An access cannot end 2020-01-01"),
        ("", 0, "An access cannot end after 0 hours"),
        ("soon", 24, "'soon' is no time"),
    ],
)
def test_a_lifetime_that_cannot_be_is_refused(until: str, hours: float, message: str) -> None:
    with pytest.raises(MagnumError, match=message):
        access.lifetime(until, hours)


def test_what_a_url_leads_to_is_an_address_and_a_port() -> None:
    assert endpoints("http://10.64.0.2:8080") == [{"cidr": "10.64.0.2/32", "port": 8080}]
    assert endpoints("https://10.64.0.2/s3") == [{"cidr": "10.64.0.2/32", "port": 443}]
    assert endpoints("http://[::1]") == [{"cidr": "::1/128", "port": 80}]
    assert endpoints("") == []
    with pytest.raises(AnsibleFilterError, match=r"The address of http://none\.invalid is not found"):
        endpoints("http://none.invalid")


def test_executors_of_users_share_the_nodes_that_take_pods() -> None:
    worker = {"spec": {}, "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}}
    master = {
        "spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "1", "memory": "1Gi"}},
    }
    assert executor_size([worker, master], 1)["spark.kubernetes.executor.request.cores"] == "1.2"
    shared = executor_size([worker, master], 4)
    assert (shared["spark.kubernetes.executor.request.cores"], shared["spark.executor.cores"]) == ("0.3", "1")
    with pytest.raises(AnsibleFilterError, match="no worker node"):
        executor_size([master], 4)


ADMIN = {"clusters": [{"cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": "Q0E="}}]}


def bearer(seconds: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iat": 1000, "exp": 1000 + seconds}).encode()).decode().rstrip("=")
    return f"head.{claims}.signature"


def test_a_file_is_of_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "maria.kubeconfig"
    access.write(path, access.granted(ADMIN, "hyades", "user-maria", bearer(3600)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    found = Granted.read(path)
    assert (found.name, found.namespace, found.account.server) == ("hyades", "user-maria", "https://10.0.0.1:6443")
    assert found.lifetime_s == 3600
    assert found.account.authority == b"CA"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        access.write(tmp_path / "file", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [None, "{", "a: 1", "- 1"])
def test_what_is_no_access_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "file"
    if text:
        path.write_text(text)
    with pytest.raises(OptionError, match="Give the file that `astrok8s grant` has made"):
        Granted.read(path)


@pytest.mark.parametrize("token", ["", "secret", "a.b.c", "a.e30.c", "a.W10.c", 5, None])
def test_a_token_that_tells_of_no_life_is_refused(tmp_path: Path, token: object) -> None:
    path = tmp_path / "file"
    path.write_text(yaml.safe_dump(access.granted(ADMIN, "hyades", "user-maria", token)))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="holds no access with a token"):
        Granted.read(path)


@pytest.mark.parametrize(("status", "ended"), [(401, True), (403, True), (404, False), (500, False)])
def test_who_is_refused_is_told_that_the_access_has_ended(tmp_path: Path, status: int, ended: bool) -> None:
    path = tmp_path / "file"
    access.write(path, access.granted(ADMIN, "hyades", "user-maria", bearer(3600)))
    told = Granted.read(path).account.refused(ApiException(status=status, reason="No"))
    assert ("hyades has ended or was revoked: No. Ask whoever granted it" in str(told)) == ended
