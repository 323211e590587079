"""`ansible-playbook site.yml` as a user runs it, against the tests' cloud."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import Any

import openstack
from conftest import run
from keystoneauth1.exceptions import ClientException
from machine import NUMBER
from openstack.exceptions import SDKException

CLUSTER = "astrok8s"
"""The one host of inventory/local."""


@dataclass(frozen=True)
class Recap:
    """What Ansible's recap says of the cluster's host."""

    code: int
    text: str

    def count(self, word: str) -> int:
        """Return a number of the recap, as that of ``changed``."""
        found = re.search(rf"^{CLUSTER}\s+:.*\b{word}=(\d+)", self.text, re.M)
        assert found, f"no recap in:\n{self.text}"
        return int(found.group(1))


def playbook(*arguments: str, book: str = "site.yml", part: str = "", check: bool = True) -> Recap:
    """Run a playbook against the tests' cloud.

    Args:
        arguments: Words of the command line.
        book: Which one.
        part: Only that role's part of a cluster that stands.
        check: Whether it must succeed.
    """
    tags = ("--tags", part) if part else ()
    command = ("ansible-playbook", book, "-e", f"cloud_name=local{NUMBER}", *tags, *arguments)
    done: subprocess.CompletedProcess[str] = run(*command, check=check, timeout=900)
    return Recap(done.returncode, done.stdout + done.stderr)


@cache
def magnum() -> Any:
    """Return Magnum's API: each command `openstack` takes 1.6 s of a processor to begin."""
    return openstack.connect(cloud=f"local{NUMBER}").container_infrastructure_management


def clusters() -> list[str]:
    """Return the names of the clusters that Magnum has."""
    return sorted(cluster.name for cluster in magnum().clusters())


def shown(name: str) -> dict[str, Any]:
    """Return what Magnum shows of a cluster; nothing if there is none, or Magnum does not answer."""
    try:
        answer = magnum().get(f"/clusters/{name}", microversion="1.10")
    except (ClientException, SDKException):
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}
