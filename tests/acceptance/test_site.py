"""What the declaration promises beside the main job: to foretell, to converge, to refuse in words."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from boxes import ROOT, Box, traces, until
from processes import kill_in_box


def start(box: Box, *clusters: str, **variables: object) -> subprocess.Popen[str]:
    """Starts site.yml, in a group of processes of its own, as a terminal does."""
    command = box.playbook_command("site.yml", clusters=clusters, **variables)
    return subprocess.Popen(
        command, cwd=ROOT, env=box.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def clusters(box: Box) -> list[str]:
    run = until(lambda: box.openstack("coe", "cluster", "list", "-f", "json"), lambda run: run.returncode == 0)
    return sorted(cluster["name"] for cluster in json.loads(run.stdout))


def wait_until_magnum_creates(box: Box, cluster: str) -> None:
    until(lambda: box.cluster_status(cluster), lambda run: run.stdout.startswith("CREATE_IN_PROGRESS"))


def change_of(stdout: str) -> tuple[str, str]:
    """Returns the diff and the changes of a run of Ansible."""
    (diff,) = re.findall(r"^--- before\n.*?\n\n", stdout, re.S | re.M)
    return diff, re.findall(r"changed=\d+", stdout)[-1]


def test_check_foretells_what_the_run_does(box: Box) -> None:
    foretold = box.playbook("site.yml", "--check", "--diff", clusters=["eight"], size=8)
    assert foretold.returncode == 0, foretold.stdout
    assert clusters(box) == []
    run = box.playbook("site.yml", "--diff", clusters=["eight"], size=8)
    assert run.returncode == 0, run.stdout
    assert change_of(foretold.stdout) == change_of(run.stdout)
    nodes = box.nodes("eight")
    assert len(nodes) == 9
    tainted = [name for name, node in nodes.items() if "taints" in node["spec"]]
    assert tainted == ["eight-master-0"]


def test_a_cluster_keeps_its_size_where_none_is_given(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["eight"])
    assert run.returncode == 0, run.stdout
    assert "changed=0" in run.stdout
    assert len(box.nodes("eight")) == 9


def test_a_cluster_that_could_not_be_resized_is_mended(box: Box) -> None:
    assert box.openstack("coe", "cluster", "resize", "eight", "99").returncode == 0
    until(lambda: box.cluster_status("eight"), lambda run: run.stdout.startswith("UPDATE_FAILED"))
    run = box.playbook("site.yml", clusters=["eight"], size=1)
    assert run.returncode == 0, run.stdout
    assert box.cluster_status("eight").stdout.startswith("UPDATE_COMPLETE")
    assert len(box.nodes("eight")) == 2


def test_what_magnum_cannot_change_is_refused(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["eight"], size=1, magnum_cluster_flavor="m1.large")
    assert run.returncode == 2
    assert "has flavor_id m1.medium, and m1.large is asked for, which Magnum cannot change. Destroy" in run.stdout


def test_destroy_takes_it_away_and_again_changes_nothing(box: Box) -> None:
    run = box.playbook("playbooks/destroy.yml", clusters=["eight"])
    assert run.returncode == 0, run.stdout
    assert clusters(box) == []
    again = box.playbook("playbooks/destroy.yml", clusters=["eight"])
    assert "changed=0" in again.stdout


def test_an_inventory_host_is_a_cluster(box: Box) -> None:
    names = ["one", "two", "three"]
    run = box.playbook("site.yml", clusters=names, size=1)
    assert run.returncode == 0, run.stdout
    assert clusters(box) == sorted(names)
    assert [len(box.nodes(name)) for name in names] == [2, 2, 2]
    assert box.playbook("site.yml", clusters=names, size=1).stdout.count("changed=0") == 3
    assert box.playbook("playbooks/destroy.yml", clusters=names).returncode == 0
    assert clusters(box) == []


def test_two_runs_at_once_make_one_cluster(box: Box) -> None:
    runs = [start(box, "twin", size=1) for _ in range(2)]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert clusters(box) == ["twin"]
    assert len(box.nodes("twin")) == 2
    assert box.playbook("playbooks/destroy.yml", clusters=["twin"]).returncode == 0


def test_an_interrupted_run_is_finished_by_the_next(box: Box) -> None:
    interrupted = start(box, "cut", size=1)
    wait_until_magnum_creates(box, "cut")
    os.killpg(interrupted.pid, signal.SIGINT)
    interrupted.communicate(timeout=60)
    assert interrupted.returncode != 0
    run = box.playbook("site.yml", clusters=["cut"], size=1)
    assert run.returncode == 0, run.stdout
    assert re.search(r"Cluster cut\] \*+\nok: \[cut\]", run.stdout)
    assert clusters(box) == ["cut"]
    assert len(box.nodes("cut")) == 2
    assert box.playbook("playbooks/destroy.yml", clusters=["cut"]).returncode == 0


def test_a_run_outlives_a_killed_magnum(box: Box) -> None:
    run = start(box, "kept", size=2)
    wait_until_magnum_creates(box, "kept")
    kill_in_box(box, "localcloud.cloud.magnum_server")
    output = run.communicate(timeout=300)[0]
    assert run.returncode == 0, output
    assert len(box.nodes("kept")) == 3
    assert box.playbook("playbooks/destroy.yml", clusters=["kept"]).returncode == 0


def test_what_the_cloud_lacks_is_made_first(box: Box, tmp_path: Path) -> None:
    image = tmp_path / "nodes.raw"
    image.write_bytes(b"nothing is read from this")
    mine: dict[str, object] = {
        "size": 1,
        "magnum_cluster_image": {
            "name": "mine",
            "filename": str(image),
            "disk_format": "raw",
            "properties": {"os_distro": "debian"},
        },
        "magnum_cluster_network": {"name": "mine", "cidr": "192.168.42.0/24"},
        "magnum_cluster_keypair": "mine",
        "magnum_cluster_public_key": (box.home / "ssh-key.pub").read_text(),
        "magnum_cluster_template": "mine",
        "magnum_cluster_template_definition": {
            "image_id": "mine",
            "flavor_id": "m1.small",
            "master_flavor_id": "m1.small",
            "external_network_id": "public",
            "fixed_network": "mine",
        },
    }
    foretold = box.playbook("site.yml", "--check", clusters=["mine"], **mine)
    assert "Would make image, network, keypair, template." in foretold.stdout
    assert "mine" not in box.openstack("image", "list").stdout
    run = box.playbook("site.yml", clusters=["mine", "ours"], **mine)
    assert run.returncode == 0, run.stdout
    for listing in ("image", "network", "subnet", "router", "keypair", "coe cluster template"):
        assert box.openstack(*listing.split(), "list").stdout.count(" mine ") == 1
    assert clusters(box) == ["mine", "ours"]
    assert box.playbook("site.yml", clusters=["mine", "ours"], **mine).stdout.count("changed=0") == 2
    assert box.playbook("playbooks/destroy.yml", clusters=["mine", "ours"]).returncode == 0


WRONG: list[tuple[dict[str, object], str]] = [
    ({"size": 0}, "A cluster cannot have the size 0. Give a whole number of workers, at least 1."),
    ({"size": -1}, "A cluster cannot have the size -1."),
    ({"size": "eight"}, "argument 'magnum_cluster_size' is of type str and we were unable to convert to int"),
    ({"size": 10_000}, "The quota does not allow size 10000: it needs 10001 instances, of which 32 are left"),
    ({"magnum_cluster_sise": 8}, "There is no option magnum_cluster_sise. Did you mean magnum_cluster_size?"),
    ({"magnum_cluster_timeout": "soon"}, "unable to convert to int"),
    ({"magnum_cluster_name": "9lives"}, "A cluster cannot have the name '9lives'."),
    ({"cloud_name": "nowhere", "cloud_localcloud": False}, "The cloud nowhere is not declared; clouds.yaml declares:"),
    ({"magnum_cluster_template": "no"}, "The cloud has no cluster template no; it has: kubernetes"),
    ({"magnum_cluster_flavor": "no"}, "The cloud has no flavor no of the worker; it has: m1.large, m1.medium"),
    ({"magnum_cluster_keypair": "no"}, "You have no keypair no"),
    (
        {
            "magnum_cluster_template": "no",
            "magnum_cluster_template_definition": {"image_id": "none", "external_network_id": "nowhere"},
        },
        "The cloud has no image none, of which the template makes nodes. Use another template, or upload it. "
        "The cloud has no network nowhere",
    ),
]


@pytest.mark.parametrize(("variables", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_before_anything_is_made(box: Box, variables: dict[str, object], message: str) -> None:
    run = box.playbook("site.yml", clusters=["wrong"], **variables)
    assert run.returncode == 2
    assert message in run.stdout
    assert clusters(box) == []


def test_a_cluster_that_is_not_there_is_not_resized(box: Box) -> None:
    run = box.playbook("playbooks/resize.yml", clusters=["none"], size=1)
    assert run.returncode == 2
    assert f"The cloud {box.name} has no cluster none to resize. Declare it by site.yml." in run.stdout
    assert clusters(box) == []


def test_a_wrong_password_is_refused(box: Box, tmp_path: Path) -> None:
    wrong = tmp_path / "clouds.yaml"
    wrong.write_text(re.sub(r"password: .*", "password: wrong", box.clouds.read_text()))
    command = box.playbook_command("site.yml", clusters=["wrong"], cloud_localcloud=False)
    run = box.run(*command, OS_CLIENT_CONFIG_FILE=str(wrong))
    assert run.returncode == 2
    assert f"The cloud {box.name} refuses the credentials of its entry in clouds.yaml" in run.stdout


def test_site_starts_the_cloud_of_this_machine_and_destroy_takes_it_along(box: Box) -> None:
    assert box.localcloud("down").returncode == 0
    down = box.playbook("site.yml", clusters=["last"], size=1, cloud_localcloud=False)
    assert down.returncode == 2
    assert f"The cloud {box.name} does not answer" in down.stdout
    foretold = box.playbook("site.yml", "--check", clusters=["last"], size=1)
    assert foretold.returncode == 0, foretold.stdout
    assert box.holder() is None
    run = box.playbook("site.yml", clusters=["last"], size=1)
    assert run.returncode == 0, run.stdout
    assert clusters(box) == ["last"]
    network = box.network
    destroyed = box.playbook("playbooks/destroy.yml", clusters=["last"], cloud_state="absent")
    assert destroyed.returncode == 0, destroyed.stdout
    assert traces(box, network) == []
