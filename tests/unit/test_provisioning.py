"""What is refused before anything is run, in Python and in a terminal."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import astrok8s
from astrok8s.cli import app
from astrok8s.provisioning import offered_options

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "cannot have the size 0"),
    ({"size": -1}, "cannot have the size -1"),
    ({"size": "eight"}, "magnum_cluster_size cannot be 'eight'"),
    ({"name": "9lives"}, "cannot have the name '9lives'"),
    ({"magnum_cluster_sise": 3}, "There is no option magnum_cluster_sise. Did you mean magnum_cluster_size?"),
    ({"magnum_cluster_size": 3}, "magnum_cluster_size is an argument here. Give size=…."),
    ({"magnum_cluster_state": "absent"}, "set by the playbooks. Cluster.destroy() takes a cluster away."),
    ({"magnum_cluster_timeout": "soon"}, "magnum_cluster_timeout cannot be 'soon'"),
]


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clouds.yaml"
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "p"}
    path.write_text(yaml.safe_dump({"clouds": {"far": {"auth": auth}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(astrok8s.OptionError) as caught:
        astrok8s.provision(**arguments)
    assert message in str(caught.value)


def test_what_the_playbooks_set_is_not_offered() -> None:
    offered = offered_options()
    assert {"spark_base_namespace", "magnum_cluster_template"} <= offered
    assert not offered & {"cloud_name", "cloud_cluster", "magnum_cluster_name", "magnum_cluster_state"}


@pytest.mark.usefixtures("clouds")
def test_a_cloud_that_cannot_be_used_is_told() -> None:
    with pytest.raises(astrok8s.CloudError, match=r"nowhere is not declared; clouds\.yaml declares: far\."):
        astrok8s.list_clusters(cloud="nowhere")
    with pytest.raises(astrok8s.CloudError, match=r"The cloud far does not answer"):
        astrok8s.attach("astro", cloud="far", quiet=True)


@pytest.mark.usefixtures("clouds")
def test_the_error_of_a_role_arrives_typed() -> None:
    with pytest.raises(astrok8s.ProvisionError, match=r"The cloud far does not answer") as caught:
        astrok8s.provision("astro", cloud="far", quiet=True)
    assert caught.value.role == "cloud"
    assert caught.value.task == "Check the cloud, before anything is made"
    assert "PLAY RECAP" in caught.value.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "telepathy"}, "There is no mode 'telepathy' to attach in. Give one of: connect, client."),
        ({"executors": 0, "mode": "client"}, "There cannot be 0 executors."),
        ({"executors": 2}, "A session of Spark Connect cannot have 2 executors: it shares those of its server."),
        (
            {"conf": {"spark.executor.memory": "9g"}},
            "spark.executor.memory cannot be set for a session of Spark Connect",
        ),
        ({"token_hours": 0.1}, "A token cannot be valid for 0.1 hours."),
    ],
)
def test_attach_refuses_what_it_cannot_do(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(astrok8s.OptionError) as caught:
        astrok8s.attach("astro", **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["provision", "--size", "0"], 2, "astrok8s: A cluster cannot have the size 0. Give at least 1 worker."),
        (["provision", "--size", "eight"], 2, "Invalid value for '--size'"),
        (["provision", "-o", "spark_base_namespace"], 2, "Give it: -o spark_base_namespace=VALUE."),
        (["provision", "-o", "spark_base_namespace={"], 2, "is no YAML"),
        (["list", "--cloud", "nowhere"], 1, "clouds.yaml declares: far."),
        (["destroy", "astro", "--cloud", "far"], 1, "The cloud far does not answer"),
    ],
)
@pytest.mark.usefixtures("clouds")
def test_the_command_tells_an_error_and_exits_by_its_kind(command: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_command_lists_the_options_with_their_whole_names(columns: str) -> None:
    result = CliRunner().invoke(app, ["options"], env={"COLUMNS": columns})
    assert result.exit_code == 0
    assert [name for name in offered_options() if name not in result.stdout] == []
