"""The template of executors' pods: what Spark's properties cannot say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astrok8s._spark import write_secret

if TYPE_CHECKING:
    from astrok8s._cvmfs import Cvmfs
    from astrok8s._shuffle import Shuffle

PROPERTY = "spark.kubernetes.executor.podTemplateFile"

ANNOTATION = "astrok8s/executor"
"""Of a Connect server's pod: the template, which the pod has as the file `IN_SERVER`."""

IN_SERVER = "/etc/astrok8s/executor/executor.yaml"
"""As the manifest of the role spark_connect mounts it."""

CONTAINER = "spark-kubernetes-executor"
"""Spark's own name for an executor's container; it takes the first one of a template."""


def executor_template(shuffle: Shuffle, cvmfs: Cvmfs) -> str:
    """Return the template, as YAML; empty if nothing is to be said.

    Args:
        shuffle: Who keeps shuffle files: the external service wants executors in their nodes' network.
        cvmfs: Which Spark's properties can mount, but not so that later mounts appear.
    """
    import yaml

    template = shuffle.executor_template
    if not template and not cvmfs.repositories:
        return ""
    pod: dict[str, Any] = yaml.safe_load(template) if template else {"apiVersion": "v1", "kind": "Pod", "spec": {}}
    pod["spec"].setdefault("containers", [{"name": CONTAINER}])
    cvmfs.mount(pod)
    return str(yaml.safe_dump(pod, sort_keys=False))


def here(template: str) -> dict[str, str]:
    """Return the property for a driver in this process: its file is here."""
    return {PROPERTY: write_secret("executor.yaml", template.encode())} if template else {}


def in_server(template: str) -> dict[str, str]:
    """Return the property for a driver in the cluster."""
    return {PROPERTY: IN_SERVER} if template else {}
