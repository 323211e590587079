"""What the doctor finds without a cloud, and that its report has no secret."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from astrok8s import doctor
from astrok8s.cli import app
from astrok8s.doctor import Finding, cloud, machine
from astrok8s.doctor.reporting import redacted

SECRETS = {
    "password": "pa55word",
    "application": "appl1cation",
    "variable": "vari4ble",
    "url": "ur1secret",
    "fernet": "gAAAAABm" + "x-_9" * 30 + "==",
    "bearer": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzcGFyayJ9.c2lnbmF0dXJl",
    "key": "MIIEvQIBADANBgkqhkiG",
}


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clouds.yaml of which nothing answers, with a secure.yaml beside it."""
    path, secure = tmp_path / "clouds.yaml", tmp_path / "secure.yaml"
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": SECRETS["password"], "project_name": "p"}
    path.write_text(yaml.safe_dump({"clouds": {"far": {"auth": auth}}}))
    application = {"application_credential_secret": SECRETS["application"]}
    secure.write_text(yaml.safe_dump({"clouds": {"near": {"auth": application}}}))
    for file in (path, secure):
        file.chmod(0o600)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(secure))
    monkeypatch.setenv("OS_TOKEN", SECRETS["variable"])
    return path


def levels(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.level) for finding in found]


def test_this_machine_is_what_setup_has_made() -> None:
    found = [*machine.packages(), *machine.ansible(), *machine.java()]
    assert levels(found) == [("packages", "green"), ("ansible", "green"), ("java", "green")]


def test_another_package_is_told_with_what_installs_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["openstacksdk>=4,<4.1", "no-such-package>=1", "pytest<1; extra == 'dev'"]
    monkeypatch.setattr(machine, "requires", lambda _: needed)
    (found,) = machine.packages()
    assert found.level == "red"
    assert "no-such-package is none, needed is >=1" in found.fact
    assert found.remedy == "Install them: pip install 'openstacksdk<4.1,>=4' 'no-such-package>=1'."


def test_without_java_only_one_mode_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert levels(machine.java()) == [("java", "warning")]


def test_secrets_that_others_may_read_are_told(clouds: Path) -> None:
    assert levels(machine.files()) == []
    clouds.chmod(0o644)
    (found,) = machine.files()
    assert found.level == "warning"
    assert f"chmod 600 {clouds}" in found.remedy


@pytest.mark.parametrize(
    ("template", "distro", "heat"),
    [
        ({"driver": "k8s_fedora_coreos_v1"}, "", True),
        ({}, "fedora-coreos", True),
        ({"driver": ""}, "fedora-atomic", True),
        ({"driver": "k8s_capi_helm_v1"}, "ubuntu", False),
        ({}, "flatcar", False),
        ({"driver": None}, "debian", False),
    ],
)
def test_a_template_of_heat_is_known(template: dict[str, Any], distro: str, heat: bool) -> None:
    assert cloud.is_of_heat(template, distro) is heat


@pytest.mark.usefixtures("clouds")
def test_a_cloud_that_does_not_answer_is_red_and_ends_it() -> None:
    result = CliRunner().invoke(app, ["doctor", "--cloud", "far", "--json"])
    assert result.exit_code == 1, result.stderr
    last = json.loads(result.stdout)[-1]
    assert (last["check"], last["level"]) == ("cloud", "red")
    assert "The cloud far does not answer" in last["fact"]
    assert "its auth_url is right" in last["remedy"]


@pytest.mark.usefixtures("clouds")
def test_the_report_has_no_secret() -> None:
    said = (
        f"{SECRETS['password']} {SECRETS['application']} {SECRETS['variable']} http://me:{SECRETS['url']}@proxy:3128 "
    )
    said += f"Bearer {SECRETS['bearer']} {SECRETS['fernet']} "
    said += f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key']}\n-----END PRIVATE KEY----- to be read"
    report = doctor.report([Finding("cloud", "red", said, said)], "far")
    assert [name for name, secret in SECRETS.items() if secret in report] == []
    (found,) = yaml.safe_load(report)["findings"]
    assert found["fact"].endswith("to be read")
    assert "http://me:***@proxy:3128" in found["fact"]
    assert "OS_TOKEN" in yaml.safe_load(report)["variables"]


@pytest.mark.usefixtures("clouds")
def test_the_command_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "report.yaml"
    result = CliRunner().invoke(app, ["doctor", "--cloud", "far", "--report", str(path)])
    assert result.exit_code == 1
    assert yaml.safe_load(path.read_text())["findings"][-1]["level"] == "red"
    refused = CliRunner().invoke(app, ["doctor", "--report", str(tmp_path / "none" / "report.yaml")])
    assert refused.exit_code == 2
    assert "There is no folder" in refused.stderr


def test_the_longest_secret_goes_first() -> None:
    assert redacted("hunter22 hunter2 a", ["hunter2", "hunter22", "a"]) == "*** *** a"
    assert os.linesep in redacted("one\ntwo", ["three"])


def test_orphans_are_removed_where_they_are_looked_for() -> None:
    result = CliRunner().invoke(app, ["doctor", "--clean"])
    assert result.exit_code == 2
    assert "Give --orphans, too" in result.stderr
