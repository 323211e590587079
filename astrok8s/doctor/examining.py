"""The order of the checks: what others build on first, and what cannot be looked at is left out."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from astrok8s._cloud import cloud_name, told
from astrok8s.clusters import Cluster, get_cluster, list_clusters
from astrok8s.doctor import cloud as of_cloud
from astrok8s.doctor import cluster as of_cluster
from astrok8s.doctor import machine as of_machine
from astrok8s.doctor.findings import GREEN, RED, Finding
from astrok8s.errors import AstroK8sError

_MACHINE: tuple[Callable[[], Iterable[Finding]], ...] = (
    of_machine.packages,
    of_machine.ansible,
    of_machine.java,
    of_machine.files,
)
_CLOUD: tuple[tuple[str, Callable[[str], Iterable[Finding]]], ...] = (
    ("credentials", of_cloud.credentials),
    ("services", of_cloud.services),
    ("driver", of_cloud.template),
    ("a new cluster", of_cloud.room),
    ("orphans", of_cloud.left),
)


def examine(cloud: str | None = None, *, cluster: str | None = None, namespace: str = "spark") -> Iterator[Finding]:
    """Looks at this machine, a cloud, and its clusters. Nothing is changed; a pod may run on a cluster for a moment.

    Args:
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        cluster: A cluster, instead of all of the project.
        namespace: The namespace of Spark.

    Yields:
        What is found, as soon as it is.
    """
    for check in _MACHINE:
        yield from check()
    entry = cloud_name(cloud)
    clusters: list[Cluster] = []
    found = list(_tried("cloud", entry, partial(_reach, entry, clusters)))
    yield from found
    if any(finding.level == RED for finding in found):
        return
    for title, look in _CLOUD:
        yield from _tried(title, entry, partial(look, entry))
    if cluster:
        clusters = [one for one in clusters if one.name == cluster]
        yield from _tried(f"cluster {cluster}", entry, partial(_is_there, entry, cluster))
    for one in clusters:
        yield from _tried(f"cluster {one.name}", entry, partial(of_cluster.status, one))
        if one.status.endswith("_COMPLETE"):
            yield from _tried(f"API of {one.name}", entry, partial(of_cluster.examine, one, namespace))


def _reach(entry: str, clusters: list[Cluster]) -> Iterator[Finding]:
    """Looks whether the cloud answers, and notes its clusters."""
    clusters += list_clusters(cloud=entry)
    names = ", ".join(cluster.name for cluster in clusters) or "none"
    yield Finding("cloud", GREEN, f"The cloud {entry} answers; its clusters: {names}.")


def _is_there(entry: str, cluster: str) -> Iterator[Finding]:
    """Finds nothing where there is such a cluster, and raises what there is to say where there is none."""
    get_cluster(cluster, cloud=entry)
    yield from ()


def _tried(title: str, entry: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yields what a check finds, and as red what keeps it from looking."""
    try:
        with told(entry):
            yield from check()
    except AstroK8sError as error:
        yield Finding(title, RED, error.fact, error.remedy)
