"""Where the Ansible content is: beside the package in a clone, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from astrok8s._errors import AstroK8sError


@cache
def ansible_root() -> Path:
    """Return the folder that holds site.yml, playbooks, roles and inventory.

    Raises:
        AstroK8sError: Neither place has them: the installation is damaged.
    """
    package = Path(__file__).parent
    for place in (package / "ansible", package.parent):
        if (place / "site.yml").is_file():
            return place
    raise AstroK8sError(
        f"site.yml is neither in {package / 'ansible'} nor in {package.parent}; install the package astrok8s again"
    )


def collections_path() -> Path:
    """Return the folder of the ``ansible_collections`` that holds astrok8s.magnum."""
    root = ansible_root()
    if (root / "collections").is_dir():
        return root / "collections"
    return Path(__file__).parents[1]
