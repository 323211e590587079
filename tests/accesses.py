"""Accesses that are granted to a cluster of a box, and what their users do with them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from boxes import KUBECTL, SITE_BIN, Box
from kubernetes import client, config

MARIA, BEN = "maria.rossi@example.org", "ben"
MARIAS, BENS = "user-maria-2erossi-40example-2eorg", "user-ben"


def astrok8s(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.run(str(SITE_BIN / "astrok8s"), *arguments, OS_CLOUD=box.name)


def grant(box: Box, user: str, *options: str) -> Path:
    path = box.folder / f"{user}.kubeconfig"
    run = astrok8s(box, "grant", "one", user, "--output", str(path), *options)
    assert run.returncode == 0, run.stdout + run.stderr
    return path


def kubectl(box: Box, access: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs kubectl as a user; it has nothing of the cloud's."""
    return box.run(str(KUBECTL), f"--kubeconfig={access}", *arguments, stdin=stdin)


def attach(box: Box, access: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code with a session of a user, who has no cloud."""
    program = f"import astrok8s; spark = astrok8s.attach(kubeconfig={str(access)!r}, quiet=True); {code}"
    return box.run(sys.executable, "-c", program, OS_CLIENT_CONFIG_FILE="/nonexistent")


def answers(access: Path, questions: list[str], namespace: str) -> dict[str, bool]:
    """Returns whether Kubernetes allows what is asked, as `verb resource.group/subresource:name`.

    Args:
        access: Who asks.
        questions: What is asked.
        namespace: Where; everywhere if empty.
    """

    def allowed(question: str) -> bool:
        verb, what = question.split()
        what, _, name = what.partition(":")
        what, _, subresource = what.partition("/")
        resource, _, group = what.partition(".")
        attributes = client.V1ResourceAttributes(
            verb=verb, resource=resource, group=group, subresource=subresource, name=name, namespace=namespace
        )
        spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        review = client.V1SelfSubjectAccessReview(spec=spec)
        return bool(api.create_self_subject_access_review(review).status.allowed)

    with config.new_client_from_config(str(access)) as connection:  # type: ignore[no-untyped-call]
        api: Any = client.AuthorizationV1Api(connection)
        return {question: allowed(question) for question in questions}


def pod(**spec: Any) -> dict[str, Any]:
    """Returns a pod that a user may have, but for what is given."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "main", "image": "localcloud/busybox:1", "command": ["sleep", "infinity"]}
    own = {"runAsNonRoot": True, "runAsUser": 185, "seccompProfile": {"type": "RuntimeDefault"}}
    containers = [container | {"securityContext": secure} | spec.pop("container", {})]
    whole = {"containers": containers, "securityContext": own, "terminationGracePeriodSeconds": 0} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}, "spec": whole}
