"""How the sessions of a cluster shuffle, as the role spark_shuffle has set it up."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from astrok8s._kubernetes import CoreV1Api, config_map, why_missing
from astrok8s._private import folder, write
from astrok8s.errors import AttachError, OptionError

_NAME = "spark-shuffle"
_SELECTOR = f"app.kubernetes.io/name={_NAME}"
_POLL_S = 0.25
_ENABLED = "spark.shuffle.service.enabled"
# hostNetwork: an executor looks for the shuffle service at its own address, which must be the node's.
_TEMPLATE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
}


def settings(api: CoreV1Api, namespace: str, conf: Mapping[str, str]) -> dict[str, str]:
    """Returns what the role spark_shuffle left in the cluster; nothing where it did not, or the user wants none of it.

    Args:
        api: The API of the cluster.
        namespace: The namespace of Spark.
        conf: The properties that the user gives.

    Raises:
        OptionError: They ask for what the cluster has not.
    """
    found, wanted = config_map(api, namespace, _NAME) or {}, conf.get(_ENABLED, "").lower()
    if wanted == "true" and found.get("service") != "external":
        raise OptionError(
            "conf",
            f"{_ENABLED} is true, and the cluster has no shuffle service: every executor would fail.",
            remedy="Leave it out, or provision the cluster with spark_shuffle_service=external.",
        )
    return {} if wanted == "false" else found


def properties(found: Mapping[str, str]) -> dict[str, str]:
    """Returns Spark's properties.

    Args:
        found: As of `settings`.
    """
    if found.get("service") == "external":
        volume = "spark.kubernetes.executor.volumes.hostPath.spark-local-dir-1"
        return {
            _ENABLED: "true",
            # Files go with what they were made for, not with the node.
            "spark.shuffle.service.removeShuffle": "true",
            "spark.shuffle.service.port": found["port"],
            f"{volume}.mount.path": found["folder"],
            f"{volume}.options.path": found["folder"],
            "spark.kubernetes.executor.podTemplateFile": write(
                folder() / "executor.yaml", json.dumps(_TEMPLATE).encode()
            ),
        }
    if found.get("service") == "tracking":
        return {
            "spark.dynamicAllocation.shuffleTracking.enabled": "true",
            "spark.dynamicAllocation.shuffleTracking.timeout": f"{found['trackingMinutes']}m",
            "spark.decommission.enabled": "true",
            "spark.storage.decommission.enabled": "true",
            "spark.storage.decommission.shuffleBlocks.enabled": "true",
            "spark.storage.decommission.rddBlocks.enabled": "true",
            **({"spark.storage.decommission.fallbackStorage.path": found["fallback"],
                "spark.storage.decommission.fallbackStorage.cleanUp": "true"} if found.get("fallback") else {}),
        }  # fmt: skip
    return {}


def secret(api: CoreV1Api, namespace: str, found: Mapping[str, str]) -> str | None:
    """Returns the secret that sessions share with the shuffle services; None where there are none."""
    if found.get("service") != "external":
        return None
    return b64decode(api.read_namespaced_secret(_NAME, namespace).data["token"]).decode()


def wait(
    api: CoreV1Api, namespace: str, found: Mapping[str, str], timeout_s: float, say: Callable[[str], None]
) -> None:
    """Waits until the shuffle service of each node is ready: an executor that finds none fails.

    Raises:
        AttachError: One is not in time, and why.
    """
    deadline = time.monotonic() + timeout_s
    while found.get("service") == "external":
        pods = api.list_namespaced_pod(namespace, label_selector=_SELECTOR).items
        if pods and all(_is_ready(pod) for pod in pods):
            return
        if time.monotonic() > deadline:
            reasons = why_missing(api, namespace, _SELECTOR) or ["Their pods say nothing."]
            raise AttachError(
                f"The shuffle service is not ready on all nodes after {timeout_s:.0f} s.\n" + "\n".join(reasons) + "\n",
                remedy="Mend that, or provision the cluster with spark_shuffle_service=tracking.",
            )
        say("waiting for the shuffle services of the nodes")
        time.sleep(_POLL_S)


def _is_ready(pod: Any) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or [])
