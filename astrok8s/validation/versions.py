"""The versions of what takes part in a run."""

import platform
from importlib.metadata import version

from astrok8s._cloud import magnum_of
from astrok8s.errors import CloudError


def of_here() -> dict[str, str]:
    """Returns the versions of what runs here, by name."""
    names = {"astrok8s": "astrok8s", "Ansible": "ansible-core", "Spark": "pyspark", "papermill": "papermill"}
    return {name: version(package) for name, package in names.items()} | {"Python": platform.python_version()}


def of_cluster(name: str, cloud: str) -> dict[str, str]:
    """Returns the version of Kubernetes that Magnum tells of a cluster; nothing where it tells none.

    Args:
        name: The cluster.
        cloud: The entry of clouds.yaml.
    """
    try:
        with magnum_of(cloud) as magnum:
            found = (magnum.find(name) or {}).get("coe_version")
    except CloudError:
        found = None  # the notebooks will say it
    return {"Kubernetes": str(found)} if found else {}
