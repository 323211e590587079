"""Namespaces with everything that the manifests in ``conformance/NAMESPACE`` declare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kube import Kubectl, Namespace

MANIFESTS = Path(__file__).with_suffix("")
BUSYBOX = "docker.io/library/busybox:1.36"


@contextmanager
def declared(kubectl: Kubectl, *names: str) -> Iterator[dict[str, Namespace]]:
    """Give namespaces by name; their pods are started, none is waited for."""
    found = {name: Namespace(kubectl, name) for name in names}
    try:
        for name in names:
            kubectl("apply", "-f", str(MANIFESTS / name / "namespace.yaml"))
        for name, namespace in found.items():
            namespace("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
            namespace("apply", "-f", str(MANIFESTS / name))
        yield found
    finally:
        kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """Return a pod that sleeps, if its container is not told otherwise.

    Args:
        name: Of the pod.
        spec: Of the pod; what is under ``main`` is of its container.
    """
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "600"], **spec.pop("main", {})}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
