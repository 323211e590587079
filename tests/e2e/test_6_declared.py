"""What a declaration may bring along: several clusters, a template and a keypair of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Cloud, run
from machine import NUMBER
from site_yml import clusters, playbook

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDTedF3Io/X9GZsFSfvFNkzOaB5oB87R+DSSOBEbcD+4 somebody"
DEFINITION = {"image_id": "k8s-node", "flavor_id": "m1.small", "master_flavor_id": "m1.medium"}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Two clusters of one template that the cloud does not have, with a keypair that it does not have."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "cloud_name": f"local{NUMBER}",
        "magnum_cluster_template": "ours",
        "magnum_cluster_template_definition": DEFINITION,
        "magnum_cluster_keypair": "ours",
        "magnum_cluster_public_key": KEY,
    }
    path = tmp_path / "hosts.yml"
    hosts = {"hyades": {"size": 1}, "pleiades": {"size": 1}}
    path.write_text(json.dumps({"clusters": {"hosts": hosts, "vars": variables}}))
    return path


def changes(inventory: Path, *arguments: str, book: str = "site.yml") -> dict[str, int]:
    """Run a playbook on the inventory; return how much it changed for each cluster."""
    done = run("ansible-playbook", book, "-i", str(inventory), *arguments)
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+: ok=.*\bchanged=(\d+)", done.stdout, re.M)}


def templates() -> list[str]:
    """Return the names of the cluster templates that Magnum has."""
    return run("openstack", "coe", "cluster", "template", "list", "-f", "value", "-c", "name").stdout.split()


def test_two_clusters_with_a_template_and_a_keypair_of_their_own(cloud: Cloud, inventory: Path) -> None:
    others = clusters()
    # keypair, template, key to object storage, cluster, namespace, shuffle files, history server, Connect servers;
    # no CVMFS, as this inventory names no repository
    assert changes(inventory, "--check") == {"hyades": 8, "pleiades": 8}
    assert "ours" not in templates()
    assert changes(inventory) == {"hyades": 9, "pleiades": 7}  # one made what they share; and the key's Secret
    assert clusters() == sorted([*others, "hyades", "pleiades"])
    assert templates().count("ours") == 1
    assert changes(inventory) == {"hyades": 0, "pleiades": 0}
    one = changes(inventory, "--limit", "pleiades", book="playbooks/destroy.yml")
    assert one == {"pleiades": 2}, "the template is still in use"
    assert changes(inventory, book="playbooks/destroy.yml") == {"hyades": 3, "pleiades": 0}
    assert clusters() == others
    assert "ours" not in templates()
    run("openstack", "keypair", "delete", "ours")


def test_a_template_whose_image_is_gone_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    content = tmp_path / "image"
    content.write_bytes(b"an image")
    run("openstack", "image", "create", "gone", "--file", str(content), "--property", "os_distro=localcloud")
    run(
        *("openstack", "coe", "cluster", "template", "create", "imageless", "--coe", "kubernetes"),
        *("--image", "gone", "--external-network", "public", "--flavor", "m1.small", "--master-flavor", "m1.small"),
    )
    run("openstack", "image", "delete", "gone")
    before = clusters()
    try:
        result = playbook("-e", "magnum_cluster_name=refused", "-e", "magnum_cluster_template=imageless", check=False)
        assert result.code == 2
        assert re.search(r"image gone is not\s+in Glance", result.text), result.text
        assert clusters() == before
    finally:
        run("openstack", "coe", "cluster", "template", "delete", "imageless")
