"""What the services of a cluster have logged."""

from typing import Any

from astrok8s._cloud import connection_of
from astrok8s._kubernetes import CoreV1Api, access_of, told, words
from astrok8s.clusters import Cluster
from astrok8s.errors import ClusterNotReadyError, OptionError
from astrok8s.options import load_options

_SERVER = "app.kubernetes.io/name="

SERVICES = {
    "connect": f"{_SERVER}spark-connect",
    "history": f"{_SERVER}spark-history",
    "shuffle": f"{_SERVER}spark-shuffle",
    "executors": "spark-role=executor",
    "cvmfs": f"{_SERVER}cvmfs",
    "lifecycle": f"{_SERVER}lifecycle",
}
"""The services of a cluster, with the labels of their pods."""

_REMEDIES = {
    "connect": "It ends when nobody uses it, and starts with the next astrok8s.attach().",
    "executors": "They come with work, and go when there is none: their logs are in the event log's pages by then.",
}


def logs(
    cluster: Cluster,
    service: str = "connect",
    *,
    namespace: str = "spark",
    lines: int = 100,
) -> str:
    """Returns what a service of a cluster has logged.

    Args:
        cluster: The cluster.
        service: `connect`, the server of Spark Connect, which is the driver of notebooks; `history`, `shuffle`,
            `executors`, `cvmfs`; or `lifecycle`, which ends the cluster.
        namespace: The namespace of Spark.
        lines: How many of the last lines of each pod.

    Returns:
        The lines; where there are several pods, each below a line with its name.

    Raises:
        OptionError: There is no such service.
        ClusterNotReadyError: No pod of it is there.
        CloudError: The cloud or the cluster is not reached, or refuses.
    """
    check(service, lines)
    where = _namespace(service, namespace)
    with told(cluster.name), connection_of(cluster.cloud) as connection, access_of(connection, cluster).api() as api:
        pods = api.list_namespaced_pod(where, label_selector=SERVICES[service]).items
        if not pods:
            raise ClusterNotReadyError(
                f"No pod of {service} is in the namespace {where} of cluster {cluster.name}.",
                remedy=_REMEDIES.get(service, "See that the cluster was declared with it: `astrok8s options`."),
            )
        found = [(pod, container.name) for pod in pods for container in pod.spec.containers]
        texts = [(pod, name, _read(api, pod, name, lines)) for pod, name in found]
    if len(texts) == 1:
        return texts[0][2]
    return "\n".join(f"==> {_title(pod, name)} <==\n{text}" for pod, name, text in texts)


def check(service: str, lines: int = 1) -> None:
    """Checks the arguments of `logs`.

    Args:
        service: As of `logs`.
        lines: As of `logs`.

    Raises:
        OptionError: One cannot be taken.
    """
    if service not in SERVICES:
        remedy = f"Give one of: {', '.join(SERVICES)}."
        raise OptionError("service", f"There is no service {service!r} to have logs of.", remedy=remedy)
    if lines < 1:
        raise OptionError("lines", f"There cannot be {lines} lines.", remedy="Give at least 1.")


def _namespace(service: str, namespace: str) -> str:
    """Returns where the pods of a service are, as the roles declare it."""
    own = {"lifecycle": "astrok8s", "cvmfs": str(load_options()["cvmfs_namespace"].default)}
    return own.get(service, namespace)


def _title(pod: Any, container: str) -> str:
    where = pod.spec.node_name or "no node yet"
    several = len(pod.spec.containers) > 1
    return f"{pod.metadata.name}{f' {container}' if several else ''} on {where}"


def _read(api: CoreV1Api, pod: Any, container: str, lines: int) -> str:
    """Returns the last lines of a container, or in a line why there are none."""
    from kubernetes.client import ApiException

    try:
        text = api.read_namespaced_pod_log(
            pod.metadata.name, pod.metadata.namespace, container=container, tail_lines=lines
        )
    except ApiException as error:  # it has not started, or is gone
        return f"(no log: {words(error)})\n"
    return f"{str(text).rstrip()}\n"
