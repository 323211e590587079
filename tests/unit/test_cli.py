"""The command's exit codes: 0 done, 1 failed, 2 wrongly asked; and never a traceback."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from astrok8s import __version__
from astrok8s._cli import app


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command where there is a clouds.yaml with one cloud, which is down."""
    clouds = tmp_path / "clouds.yaml"
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "p"}
    auth |= {"user_domain_id": "d", "project_domain_id": "d"}
    clouds.write_text(json.dumps({"clouds": {"down": {"auth": auth}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, code, says, **options):
        done = CliRunner().invoke(app, list(arguments), **options)
        assert done.exit_code == code, done.output
        assert says in done.output
        assert "Traceback" not in done.output
        return done.output

    return run


def test_what_needs_no_cloud(run):
    run("version", code=0, says=__version__)
    run("--help", code=0, says="destroy")
    assert "magnum_cluster_size" not in run("options", code=0, says="spark_base_namespace")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--size", "eight"], "eight"),
        (["up", "--size", "0"], "size=0 is not a number of worker nodes"),
        (["resize", "x", "1.5"], "size='1.5' is not a number of worker nodes"),
        (["up", "8stars"], "cannot be the name of a cluster"),
        (["up", "-o", "spark_base_namespce=x"], "did you mean spark_base_namespace?"),
        (["up", "-o", "magnum_cluster_timeout=soon"], "is of type str, not int"),
        (["up", "-o", "spark_base_namespace"], "has no value"),
        (["up", "-o", "spark_base_namespace=[x"], "is not YAML"),
        (["show", "a b"], "cannot be the name of a cluster"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_arguments_are_code_2(run, arguments, says):
    run(*arguments, code=2, says=says)


@pytest.mark.parametrize(
    "command", [["list"], ["show", "x"], ["attach", "x"], ["resize", "x", "3"], ["destroy", "x", "--yes"]]
)
def test_an_unknown_cloud_or_one_that_is_down_is_code_1(run, command):
    run(*command, "--cloud", "nosuch", code=1, says="cloud nosuch is in no clouds.yaml")
    run(*command, "--cloud", "down", code=1, says="cloud down ")
