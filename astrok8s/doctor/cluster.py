"""What a cluster must have: its API, the ways of both modes to attach, Spark's services, and CVMFS."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from astrok8s._cloud import connection_of, magnum_of
from astrok8s._kubernetes import (
    Access,
    Account,
    CoreV1Api,
    SparkBase,
    access_of,
    config_map,
    spark_account,
    spark_base,
    told,
)
from astrok8s._pods import Pods
from astrok8s.clusters import Cluster
from astrok8s.doctor.findings import GREEN, RED, WARNING, Finding
from astrok8s.errors import AstroK8sError, AttachError

_ANSWER_S = 5
_TOKEN_HOURS = 1 / 6
_CONNECT = "spark-connect"
_SERVER = "app.kubernetes.io/name"


def status(cluster: Cluster) -> Iterator[Finding]:
    """Looks what Magnum says of the cluster."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import describe

    check = f"cluster {cluster.name}"
    with magnum_of(cluster.cloud) as magnum:
        body = magnum.details(cluster.uuid)
    fact = f"Of cluster {cluster.name} Magnum says: {describe(body)}."
    if body is None or cluster.status.endswith("_FAILED"):
        yield Finding(check, RED, fact, f"Destroy it and make it anew: astrok8s destroy {cluster.name}.")
    elif cluster.status.endswith("_IN_PROGRESS"):
        yield Finding(check, WARNING, fact, "Wait; `astrok8s up` goes on with one that nobody waits for.")
    elif body.get("health_status") == "UNHEALTHY":
        reason = body.get("health_status_reason") or "no reason is given"
        yield Finding(
            check, RED, f"Magnum holds cluster {cluster.name} to be unhealthy: {reason}.", "Look at its nodes."
        )
    else:
        yield Finding(check, GREEN, f"It is {cluster.status}, of size {cluster.size}.")


def examine(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Looks at all that is reached through the cluster's Kubernetes API."""
    name = cluster.name
    with connection_of(cluster.cloud) as connection:
        access = access_of(connection, cluster)
    Account(access.server, access.authority, "").local_address(_ANSWER_S)  # else clients would wait for minutes
    with access.api() as api:
        yield from _tried(f"nodes of {name}", name, lambda: _nodes(name, api))
        yield from _tried(f"services of {name}", name, lambda: _services(name, api, namespace))
        yield from _tried(f"CVMFS of {name}", name, lambda: _cvmfs(name, api, namespace))
        yield from _tried(f"ways to {name}", name, lambda: _ways(name, access, api, namespace))


def _tried(title: str, cluster: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        with told(cluster):
            yield from check()
    except AstroK8sError as error:
        yield Finding(title, RED, error.fact, error.remedy)


def _nodes(name: str, api: CoreV1Api) -> Iterator[Finding]:
    nodes = api.list_node(_request_timeout=_ANSWER_S).items
    wrong = [node.metadata.name for node in nodes if not _is_ready(node)]
    if wrong:
        fact = f"Of {len(nodes)} nodes of {name} these are not ready: {', '.join(wrong)}."
        yield Finding(f"nodes of {name}", RED, fact, "Ask the site, or replace them: resize the cluster.")
    else:
        yield Finding(f"nodes of {name}", GREEN, f"The API answers, and its {len(nodes)} nodes are ready.")


def _is_ready(node: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or [])


def _services(name: str, api: CoreV1Api, namespace: str) -> Iterator[Finding]:
    """Looks at the servers that the roles have made, in the namespaces of Spark and of users alike."""
    from kubernetes.client import AppsV1Api

    apps: Any = AppsV1Api(api.api_client)
    deployments = apps.list_deployment_for_all_namespaces().items
    daemons = apps.list_daemon_set_for_all_namespaces().items
    servers = [(one, one.spec.replicas, one.status.ready_replicas) for one in deployments]
    servers += [(one, one.status.desired_number_scheduled, one.status.number_ready) for one in daemons]
    for one, wanted, ready in servers:
        label = (one.spec.selector.match_labels or {}).get(_SERVER, "")
        if label in _SERVICES:
            yield _service(name, api, one.metadata, label, wanted or 0, ready or 0)
    there = {(one.metadata.namespace, one.metadata.name) for one, *_ in servers}
    # What a role has made has its settings in a ConfigMap of the same name.
    for where, server in ((namespace, _CONNECT), (namespace, "spark-history"), ("astrok8s", "lifecycle")):
        if (where, server) not in there and config_map(api, where, server):
            fact = f"Somebody has removed it from namespace {where}."
            yield Finding(f"{server} of {name}", RED, fact, f"Declare the cluster again: astrok8s up {name}.")


def _service(name: str, api: CoreV1Api, metadata: Any, label: str, wanted: int, ready: int) -> Finding:
    check = f"{metadata.name} of {name}"
    where = f"in namespace {metadata.namespace}"
    if not wanted:
        return Finding(check, GREEN, f"It has ended {where}, and starts when somebody attaches.")
    if ready >= wanted:
        return Finding(check, GREEN, f"It is ready {where}: {ready} of {wanted}.")
    fact = f"It is not ready {where}: {ready} of {wanted}"
    why = Pods(api, metadata.namespace, f"{_SERVER}={label}").why_missing()
    if not why:  # so it is just after a declaration
        return Finding(check, WARNING, f"{fact}, and no pod says why: it may be on its way.", "Look again in a minute.")
    remedy = f"See `astrok8s logs {name} {_SERVICES[label]}`, and declare the cluster again."
    return Finding(check, RED, f"{fact}; {why[0].splitlines()[0]}.", remedy)


_SERVICES = {
    _CONNECT: "connect",
    "spark-history": "history",
    "spark-shuffle": "shuffle",
    "cvmfs": "cvmfs",
    "lifecycle": "lifecycle",
}
"""The servers of the roles, by their label, as `astrok8s logs` names them."""


def _cvmfs(name: str, api: CoreV1Api, namespace: str) -> Iterator[Finding]:
    """Tells of repositories; that each is read on every node, the service's being ready tells."""
    found = (config_map(api, namespace, "cvmfs") or {}).get("repositories", "")
    told = f"Declared are: {found}." if found else "No repository is declared; cvmfs_repositories does."
    yield Finding(f"CVMFS of {name}", GREEN, told)


def _ways(name: str, access: Access, api: CoreV1Api, namespace: str) -> Iterator[Finding]:
    """Looks at the ways that attach() takes, as the service account that it acts as."""
    base = spark_base(api, namespace)
    account = spark_account(access, api, base, _TOKEN_HOURS)
    yield _connect(name, account, api, namespace)
    yield _client(name, account, base)


def _connect(name: str, account: Account, api: CoreV1Api, namespace: str) -> Finding:
    from websocket import WebSocketException

    from astrok8s._tunnel import open_connection

    check, selector = f"mode connect of {name}", f"{_SERVER}={_CONNECT}"
    port = int((config_map(api, namespace, _CONNECT) or {}).get("port", 0))
    if not port:
        remedy = "Declare the cluster with spark_connect_state=present, or attach with mode='client'."
        return Finding(check, WARNING, f"The cluster {name} has no server of Spark Connect.", remedy)
    if not Pods(api, namespace, selector).ready():
        return Finding(check, GREEN, "Its server is not up at the moment: the way to it was not tried.")
    try:
        open_connection(account, namespace, selector, port).close()
    except (OSError, WebSocketException) as error:
        fact = f"The Kubernetes API of {name} hands no connection on to a pod: {error}."
        return Finding(check, RED, fact, "A proxy in between may cut websockets: except the API's address in no_proxy.")
    return Finding(check, GREEN, "A connection through the Kubernetes API reaches its server.")


def _client(name: str, account: Account, base: SparkBase) -> Finding:
    from astrok8s._way import WayBack

    check, here = f"mode client of {name}", account.local_address(_ANSWER_S)
    way = WayBack(account, base, here, here)
    try:
        way.check()
    except AttachError as error:
        return Finding(check, WARNING, error.fact, error.remedy)
    if not way.reached:
        return Finding(
            check, WARNING, "No pod has run that would try to reach this machine.", "Look for room on the nodes."
        )
    return Finding(check, GREEN, f"A pod of it reaches this machine at {here}.")
