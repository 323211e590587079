"""Whether pods of a cluster reach this machine, which executors must where the driver is here."""

from __future__ import annotations

import secrets
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from astrok8s._errors import AttachError
from astrok8s._kube import SparkBase

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

CONNECT_SECONDS = 10
"""How long a pod tries; a firewall that drops packets would let it try for two minutes."""

IN_VAIN = (1, 124)
"""Exit codes of a pod that was refused, and of one that tried until its time was over."""


@contextmanager
def reaching(api: CoreV1Api, base: SparkBase, here: str) -> Iterator[Callable[[], None]]:
    """Have a pod try to connect to this process, while Spark's driver starts beside.

    Args:
        api: The cluster's API.
        base: What the cluster says of Spark.
        here: This machine's address as the cluster sees it.

    Yields:
        A function to be called again and again: it raises AttachError once the pod has tried in vain.
    """
    from kubernetes.client import ApiException

    name = f"reach-{secrets.token_hex(3)}"
    with socket.create_server((here, 0)) as listener:

        def check() -> None:
            if select.select([listener], [], [], 0)[0]:
                return
            try:
                state = api.read_namespaced_pod(name, base.namespace).status
            except ApiException as error:
                if error.status != 404:
                    raise
                return  # there is no room for it: Spark's own pods will tell
            ended = [s.state.terminated for s in state.container_statuses or [] if s.state.terminated]
            if any(end.exit_code in IN_VAIN for end in ended):
                raise AttachError(
                    f"a pod of the cluster does not reach this machine at {here}, so no executor would: a firewall, "
                    f"NAT or a NetworkPolicy of namespace {base.namespace} is between; "
                    'attach with mode="connect", which needs no way from the cluster to here'
                )

        with suppress(ApiException):
            api.create_namespaced_pod(base.namespace, _pod(name, base.image, here, listener.getsockname()[1]))
        try:
            yield check
        finally:
            with suppress(ApiException):
                api.delete_namespaced_pod(name, base.namespace)


def _pod(name: str, image: str, address: str, port: int) -> dict[str, Any]:
    container = {
        "name": "reach",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["timeout", str(CONNECT_SECONDS), "bash", "-c", f"</dev/tcp/{address}/{port}"],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "reach"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 300,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }
