"""What users get wrong: each is told by its type, with the fact, the values and the remedy, and no traceback."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import astrok8s
from astrok8s import granting, lifetimes, logs
from astrok8s.cli import app
from astrok8s.provisioning import resize

SECRET = "s3cret"  # noqa: S105 - to be searched for
ONE = astrok8s.Cluster.from_magnum(
    {
        "name": "one",
        "uuid": "1",
        "node_count": 1,
        "status": "CREATE_COMPLETE",
        "created_at": "2026-01-01T00:00:00+00:00",
        "cluster_template_id": "2",
    },
    "far",
)


@dataclass(frozen=True)
class Wrong:
    """A wrong use, and what it is told by."""

    use: Callable[[], Any]
    error: type[astrok8s.AstroK8sError]
    fact: str
    remedy: str


def provision(**arguments: Any) -> Callable[[], Any]:
    return lambda: astrok8s.provision(**arguments)


def attach(**arguments: Any) -> Callable[[], Any]:
    return lambda: astrok8s.attach("one", **arguments)


OPTION, UNKNOWN, INVALID = astrok8s.OptionError, astrok8s.UnknownOptionError, astrok8s.InvalidOptionError

ARGUMENTS = [
    Wrong(provision(name="9lives"), OPTION, "cannot have the name '9lives'", "Magnum wants a letter"),
    Wrong(provision(size=0), OPTION, "cannot have the size 0", "at least 1 worker"),
    Wrong(provision(size="eight"), INVALID, "magnum_cluster_size cannot be 'eight'", "It is of type int"),
    Wrong(provision(sise=8), UNKNOWN, "There is no option sise", ""),
    Wrong(provision(spark_connect_memory=1), UNKNOWN, "no option spark_connect_memory", "spark_connect_memory_mib?"),
    Wrong(provision(magnum_cluster_size=3), OPTION, "magnum_cluster_size is an argument here", "Give size=…"),
    Wrong(provision(magnum_cluster_state="absent"), OPTION, "magnum_cluster_state is set by", "Cluster.destroy()"),
    Wrong(provision(spark_shuffle_service="fast"), INVALID, "cannot be 'fast'", "It is of type str"),
    Wrong(provision(ttl="forever"), OPTION, "'forever' is no duration", "such as 12h"),
    Wrong(provision(ttl="99d"), OPTION, "cannot live for 99d: this site allows 7d", "Give less"),
    Wrong(provision(ttl="1h", idle="13h"), OPTION, "lives for 1h is not idle for 13h", "a longer ttl"),
    Wrong(lambda: resize("one", 0), OPTION, "cannot have the size 0", "at least 1 worker"),
    Wrong(lambda: lifetimes.extend(ONE, "4y"), OPTION, "'4y' is no duration", "such as 12h"),
    Wrong(attach(mode="telepathy"), OPTION, "no mode 'telepathy'", "Give one of: connect, client"),
    Wrong(attach(executors=2), OPTION, "cannot have 2 executors", "mode='client'"),
    Wrong(attach(executors=0, mode="client"), OPTION, "cannot be 0 executors", "at least 1"),
    Wrong(attach(token_hours=0.1), OPTION, "valid for 0.1 hours", "from 10 minutes to a week"),
    Wrong(attach(environment="no.txt"), OPTION, "no.txt", "Give the path of one"),
    Wrong(attach(kubeconfig="no.kubeconfig"), OPTION, "no.kubeconfig", ""),
    Wrong(lambda: granting.grant(ONE, "@" * 20), OPTION, "There cannot be a user", ""),
    Wrong(lambda: granting.grant(ONE, "maria", until="soon"), OPTION, "'soon' is no time", ""),
    Wrong(lambda: granting.grant(ONE, "maria", file="/no/such/file"), OPTION, "no folder /no/such", "Make it"),
    Wrong(lambda: logs.logs(ONE, "spark"), OPTION, "no service 'spark'", "Give one of: connect, history"),
]  # fmt: skip

ENTRY = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": SECRET, "project_name": "p"}


def entry(**changes: Any) -> str:
    auth = {key: value for key, value in (ENTRY | changes).items() if value is not None}
    return json.dumps({"clouds": {"far": {"auth": auth}}})


CLOUDS = {
    "no file": (None, "The cloud far is not declared", "OS_CLIENT_CONFIG_FILE names"),
    "no YAML": (f"clouds: {{far: {{password: {SECRET} [", "is no YAML", "Correct that."),
    "no mapping": ("hello", "is empty or not a valid mapping", ""),
    "another name": (json.dumps({"clouds": {"near": {}}}), "clouds.yaml declares: near.", "Name one of these"),
    "no password": (entry(password=None), "entry far of clouds.yaml cannot be used", "--os-cloud far token issue"),
    "no address": (entry(auth_url=None), "entry far of clouds.yaml cannot be used", "--os-cloud far token issue"),
    "nothing after a name": (
        "clouds: {far: {auth: {auth_url: }}}",
        "entry far of clouds.yaml cannot be used",
        "Correct it",
    ),
    "no type": (
        entry(application_credential_secret=SECRET),
        "entry far of clouds.yaml cannot be used",
        "needs `auth_type: v3applicationcredential`",
    ),
    "no scheme": (entry(auth_url="127.0.0.1:1"), "The cloud far does not answer", "that its auth_url is right"),
    "nobody there": (entry(), "The cloud far does not answer", "that its auth_url is right"),
}


@pytest.mark.parametrize("wrong", ARGUMENTS, ids=lambda wrong: wrong.fact)
def test_a_wrong_argument_is_told(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")  # nothing of it needs a cloud
    with pytest.raises(wrong.error) as caught:
        wrong.use()
    error = caught.value
    assert wrong.fact in error.fact
    assert wrong.remedy in error.remedy
    assert error.remedy[-1] in ".?"


@pytest.fixture(params=CLOUDS, name="cloud")
def _cloud(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    text, fact, remedy = CLOUDS[request.param]
    path = tmp_path / "clouds.yaml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return fact, remedy


def test_a_cloud_that_cannot_be_used_is_told(cloud: tuple[str, str]) -> None:
    with pytest.raises(astrok8s.CloudError) as caught:
        astrok8s.list_clusters(cloud="far")
    fact, remedy = cloud
    assert fact in caught.value.fact
    assert remedy in str(caught.value)
    assert SECRET not in str(caught.value)
    result = CliRunner().invoke(app, ["show", "one", "--cloud", "far"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # and nothing that has a traceback
    assert fact in result.stderr


COMMANDS = {
    "up 9lives": "cannot have the name '9lives'",
    "up --size 0": "cannot have the size 0",
    "up --size eight": "Invalid value for '--size'",
    "up --sise 8": "No such option: --sise",
    "up -o sise=8": "There is no option sise",
    "up -o @none.yaml": "none.yaml cannot be read",
    "up -o spark_base_namespace": "Give it: -o spark_base_namespace=VALUE",
    "resize one": "Missing argument",
    "resize one 0": "cannot have the size 0",
    "extend one 4y": "'4y' is no duration",
    "logs one spark": "There is no service 'spark'",
    "logs one --lines 0": "Invalid value for '--lines'",
    "destroy": "Missing argument",
    "notebooks run --only nothing": "There is no notebook nothing",
    "notebooks run --timeout soon": "'soon' is no duration",
    "pack none.txt out": "There is no file none.txt",
    "frobnicate": "No such command 'frobnicate'",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_wrong_exits_with_2(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")
    result = CliRunner().invoke(app, command.split(), env={"COLUMNS": "200", "TERM": "dumb"})
    assert COMMANDS[command] in result.stderr
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
