# Copyright: astrok8s contributors
# Apache-2.0
"""Access to one namespace of a cluster: tokens of its service account, and the file that holds one."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from .errors import MagnumError

# Kubernetes makes no token for less.
_LEAST_S = 600


def lifetime(until: str, hours: float) -> int:
    """Returns for how many seconds a token is to be valid.

    Args:
        until: Its end, as ISO 8601 has it; without a zone, in that of this machine.
        hours: Its hours, where there is no such end.

    Raises:
        MagnumError: There is no such time, or it is too near.
    """
    try:
        left = (
            (datetime.fromisoformat(until).astimezone() - datetime.now(UTC)).total_seconds() if until else hours * 3600
        )
    except ValueError:
        raise MagnumError(f"{until!r} is no time.", "Give one as 2026-12-24T18:00.") from None
    if left < _LEAST_S:
        raise MagnumError(
            f"An access cannot end {until or f'after {hours} hours'}.", "Give it ten minutes at least, from now."
        )
    return int(left)


def token(kubeconfig: Mapping[str, Any], namespace: str, service_account: str, seconds: int) -> Any:
    """Has Kubernetes make a token.

    Args:
        kubeconfig: Of who asks: an administrator, or the service account itself.
        namespace: The namespace of the service account.
        service_account: The service account.
        seconds: For how long it is valid, at least 600.

    Returns:
        Kubernetes's status of the request: the `token` and its `expiration_timestamp`.
    """
    from kubernetes import client, config

    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(expiration_seconds=seconds))
    with config.new_client_from_config_dict(dict(kubeconfig)) as connection:  # type: ignore[no-untyped-call]
        core = client.CoreV1Api(connection)
        return core.create_namespaced_service_account_token(service_account, namespace, request).status


def granted(kubeconfig: Mapping[str, Any], cluster: str, namespace: str, bearer: str) -> dict[str, Any]:
    """Returns a kubeconfig that shows a token.

    Args:
        kubeconfig: One of the same cluster, for its address and its authority.
        cluster: The name of the cluster.
        namespace: The namespace to work in.
        bearer: The token.
    """
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": dict(kubeconfig["clusters"][0]["cluster"])}],
        "users": [{"name": namespace, "user": {"token": bearer}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": namespace, "namespace": namespace}}],
        "current-context": cluster,
    }


def write(path: Path, kubeconfig: Mapping[str, Any]) -> None:
    """Writes a kubeconfig into a file of its owner alone. Whoever reads it meanwhile sees the old one or the new.

    Raises:
        OSError: It cannot be written.
    """
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            yaml.safe_dump(dict(kubeconfig), new, sort_keys=False)
        except BaseException:
            Path(new.name).unlink()
            raise
    Path(new.name).replace(path)
