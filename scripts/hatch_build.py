"""Puts the Ansible content into the wheel; an editable install uses the clone's own files.

A hook, because hatchling's ``force-include`` would copy the files into editable installs too, where they grow stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSIDE = {
    "ansible.cfg": "astrok8s/ansible/ansible.cfg",
    "collections/ansible_collections/astrok8s": "ansible_collections/astrok8s",
    "inventory": "astrok8s/ansible/inventory",
    "playbooks": "astrok8s/ansible/playbooks",
    "roles": "astrok8s/ansible/roles",
    "site.yml": "astrok8s/ansible/site.yml",
}


class AnsibleContent(BuildHookInterface[Any]):  # type: ignore[misc]
    """Maps files of the repository to their places in the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them, unless the build is an editable one."""
        if version == "standard":
            build_data["force_include"].update({str(Path(self.root) / here): there for here, there in INSIDE.items()})
