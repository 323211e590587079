from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rich.console import Console

from localcloud import report
from localcloud.cloud.services import KEYSTONE, SERVICES
from localcloud.clusters import description
from localcloud.clusters.description import Spec, Status
from localcloud.clusters.node_init import Machine
from localcloud.home import Home
from localcloud.network import Addresses
from localcloud.supervision import ProcessState

PROCESSES = {
    "keystone": ProcessState("keystone", "RUNNING", "pid 7, uptime 0:00:31"),
    "c1n1": ProcessState("c1n1", "BACKOFF", "Exited too quickly"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home("lab", tmp_path)


def shown(table: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_services_and_the_rack_are_shown_with_their_processes(home: Home) -> None:
    answering = {service.name: service is KEYSTONE for service in SERVICES}
    lines = shown(report.services(home, Addresses(IPv4Network("10.70.0.0/16")), PROCESSES, answering)).splitlines()
    (keystone,) = (line for line in lines if line.startswith("│ keystone "))
    assert "http://10.70.0.2:5000/v3" in keystone
    assert "RUNNING 0:00:31" in keystone
    assert "yes" in keystone
    (rack,) = (line for line in lines if line.startswith("│ rack "))
    assert "not started" in rack


def test_a_cloud_without_clusters_shows_none(home: Home) -> None:
    assert report.clusters(home, PROCESSES) is None


def test_clusters_are_shown_with_what_was_reached_and_their_nodes(home: Home) -> None:
    folder = home.state / "clusters" / "uuid"
    spec = Spec(generation=2, name="first", workers=3, ca_certificate="", ca_key="")
    description.write_spec(folder, spec)
    description.write_status(folder, Status(generation=1, state="ready"))
    assert "waiting for the rack" in shown(report.clusters(home, PROCESSES))
    description.write_status(folder, Status(generation=2, state="failed", reason="Waited 300 s."))
    for number in (10, 1):
        machine = Machine(
            name=f"first-node-{number}", link=f"c1n{number}", address=f"10.70.28.{10 + number}",
            cgroup="", gateway="", routes=[], pods="", dns="", binaries="", network_policy="",
            layers="", programs={}, conditions={},
        )  # fmt: skip
        (folder / "nodes" / str(number)).mkdir(parents=True)
        machine.write(folder / "nodes" / str(number))
    text = shown(report.clusters(home, PROCESSES))
    assert "3 workers" in text
    assert "Waited 300 s." in text
    first, tenth = (line for line in text.splitlines() if "first-node" in line)
    assert "first-node-1 " in first
    assert "BACKOFF Exited too quickly" in first
    assert "10.70.28.20" in tenth
    assert "not started" in tenth
