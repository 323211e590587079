"""What the doctor finds on a cloud with a cluster: all green, and each thing red once it is broken."""

import json
from typing import Any

import pytest
import yaml
from accesses import astrok8s
from accounts import as_admin
from boxes import Box, until


@pytest.fixture(scope="module")
def box(box: Box, repository: dict[str, Any]) -> Box:
    run = box.playbook("site.yml", clusters=["one"], size=1, cvmfs_repositories=[repository])
    assert run.returncode == 0, run.stdout
    return box


def findings(box: Box, *arguments: str) -> dict[str, dict[str, str]]:
    run = astrok8s(box, "doctor", *arguments, "--json")
    found = {finding["check"]: finding for finding in json.loads(run.stdout)}
    assert run.returncode == any(finding["level"] == "red" for finding in found.values()), run.stderr
    return found


def test_all_is_green_and_the_report_has_no_secret(box: Box) -> None:
    # Nobody waits for servers when a cluster is made: they may be on their way.
    until(
        lambda: astrok8s(box, "doctor", "one", "--json"),
        lambda run: run.stdout.count('"green"') == run.stdout.count('"level"'),
    )
    path = box.folder / "report.yaml"
    found = findings(box, "--report", str(path))
    assert {check for check, finding in found.items() if finding["level"] != "green"} == set(), found
    assert found["mode connect of one"]["fact"] == "A connection through the Kubernetes API reaches its server."
    assert found["mode client of one"]["fact"].startswith("A pod of it reaches this machine at 10.")
    assert "the largest size that fits is" in found["quota"]["fact"]
    assert {"packages", "credentials", "services", "driver", "cvmfs of one", "lifecycle of one"} <= found.keys()
    report = path.read_text()
    assert len(yaml.safe_load(report)["findings"]) == len(found)
    secrets = json.loads((box.home / "passwords.json").read_text()).values()
    assert [secret for secret in secrets if secret in report] == []


def test_a_server_that_is_broken_is_red_and_one_that_is_gone(box: Box) -> None:
    kubectl = ("set", "image", "--namespace=spark", "deployment/spark-history", "*=nowhere.invalid/none:1")
    assert box.kubectl("one", *kubectl).returncode == 0
    gone = box.kubectl("one", "delete", "deployment", "spark-connect", "--namespace=spark", "--wait")
    assert gone.returncode == 0, gone.stderr
    until(lambda: astrok8s(box, "doctor", "one"), lambda run: "nowhere.invalid" in run.stdout)
    found = findings(box, "one")
    assert found["spark-history of one"]["level"] == found["spark-connect of one"]["level"] == "red"
    assert "astrok8s logs one history" in found["spark-history of one"]["remedy"]
    assert "astrok8s up one" in found["spark-connect of one"]["remedy"]
    assert found["lifecycle of one"]["level"] == "green"


def test_a_template_of_heat_is_a_warning(box: Box) -> None:
    as_admin(box, "image set kubernetes-node --property os_distro=fedora-coreos")
    try:
        found = findings(box)["driver"]
    finally:
        as_admin(box, "image set kubernetes-node --property os_distro=debian")
    assert found["level"] == "warning"
    assert "magnum_cluster_template" in found["remedy"]


def test_a_cluster_that_is_not_there_is_red(box: Box) -> None:
    found = findings(box, "two")
    assert found["cluster two"]["fact"] == f"The cloud {box.name} has no cluster two; it has: one."
    assert "nodes of one" not in found  # another one is not looked at


def test_credentials_that_are_refused_are_red(box: Box) -> None:
    declared = yaml.safe_load(box.clouds.read_text())
    declared["clouds"]["wrong"] = json.loads(json.dumps(declared["clouds"][box.name]))
    declared["clouds"]["wrong"]["auth"]["password"] = "no-such-password"  # noqa: S105
    box.clouds.write_text(yaml.safe_dump(declared))
    found = findings(box, "--cloud", "wrong")
    assert found["cloud"]["level"] == "red"
    assert "refuses the credentials" in found["cloud"]["fact"]
    assert "quota" not in found
