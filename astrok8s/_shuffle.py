"""How the sessions of a cluster shuffle, as the role spark_shuffle has set it up."""

from base64 import b64decode
from collections.abc import Callable, Mapping

from astrok8s._kubernetes import CoreV1Api, config_map
from astrok8s._pods import Pods
from astrok8s.errors import AttachError, OptionError

_NAME = "spark-shuffle"
_ENABLED = "spark.shuffle.service.enabled"
_TRACKING = "spark.dynamicAllocation.shuffleTracking.enabled"
# Both together let an executor that goes hand its files on.
_HANDS_ON = ("spark.decommission.enabled", "spark.storage.decommission.shuffleBlocks.enabled")
DYNAMIC = "spark.dynamicAllocation.enabled"
"""Whether executors come when there is work, and go when there is none."""


def settings(api: CoreV1Api, namespace: str, conf: Mapping[str, str]) -> dict[str, str]:
    """Returns what the role spark_shuffle left in the cluster; nothing where it did not, or the user wants none of it.

    Args:
        api: The API of the cluster.
        namespace: The namespace of Spark.
        conf: The properties that the user gives.

    Raises:
        OptionError: They ask for what cannot work on the cluster.
    """
    found = config_map(api, namespace, _NAME) or {}
    if is_on(conf, _ENABLED) and found.get("service") != "external":
        raise OptionError(
            "conf",
            f"{_ENABLED} is true, and the cluster has no shuffle service: every executor would fail.",
            remedy="Leave it out, or provision the cluster with spark_shuffle_service=external.",
        )
    if not is_on(conf, _ENABLED, default=True):
        found = {}
    _check(conf, found.get("service"))
    return found


def _check(conf: Mapping[str, str], service: str | None) -> None:
    """Checks that what the user gives goes with how the cluster shuffles.

    Raises:
        OptionError: It does not.
    """
    stays = service == "external" or all(is_on(conf, name, default=service == "tracking") for name in _HANDS_ON)
    if is_on(conf, DYNAMIC) and not stays and not is_on(conf, _TRACKING, default=True):
        raise OptionError(
            "conf",
            f"{DYNAMIC} is true, {_TRACKING} is false, and the session has no shuffle service: the files of an "
            "executor that goes would be lost.",
            remedy=f"Leave out {_TRACKING}, or provision the cluster with spark_shuffle_service=external.",
        )


def is_on(conf: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Returns whether a property is true; people give booleans, too."""
    return str(conf.get(name, default)).strip().lower() == "true"


def secret(api: CoreV1Api, namespace: str, found: Mapping[str, str]) -> str | None:
    """Returns the secret that sessions share with the shuffle services; None where there are none."""
    if found.get("service") != "external":
        return None
    return b64decode(api.read_namespaced_secret(_NAME, namespace).data["token"]).decode()


def wait(
    api: CoreV1Api, namespace: str, found: Mapping[str, str], nodes: int, timeout_s: float, say: Callable[[str], None]
) -> None:
    """Waits until the shuffle service of each node is ready: an executor that finds none fails.

    Args:
        api: The API of the cluster.
        namespace: The namespace of Spark.
        found: As of `settings`.
        nodes: How many nodes executors may run on.
        timeout_s: How long to wait, in seconds.
        say: Is told what is lacking.

    Raises:
        AttachError: One is not in time, and why.
    """
    if found.get("service") != "external":
        return
    pods = Pods(api, namespace, f"app.kubernetes.io/name={_NAME}")

    def lacking() -> str:
        ready = len(pods.ready())
        return "" if ready >= nodes else f"{ready} of {nodes} shuffle services are ready"

    reasons = pods.wait(lacking, timeout_s, say)
    if reasons is not None:
        raise AttachError(
            f"The shuffle service is not ready on all nodes after {timeout_s:.0f} s.\n{reasons}\n",
            remedy="Mend that, or provision the cluster with spark_shuffle_service=tracking.",
        )
