"""The history of Spark's sessions, which outlives their clusters."""

import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from astrok8s import pages
from astrok8s._cloud import connection_of
from astrok8s._kubernetes import Account, CoreV1Api, access_of, config_map, spark_account, spark_base, told
from astrok8s._pods import Pods
from astrok8s._tunnel import Tunnel
from astrok8s.clusters import Cluster
from astrok8s.errors import HistoryError

_NAME = "spark-history"
_CONNECT = "spark-connect"
_TOKEN_HOURS = 12
_ANSWER_S = 30


@dataclass(frozen=True, kw_only=True)
class Application:
    """A session of Spark, as the history server knows it.

    Attributes:
        id: Spark's name for it.
        name: Its own name.
        user: Who ran it.
        start: When it began, in UTC.
        duration: How long it ran.
        completed: Whether it ended properly.
    """

    id: str
    name: str
    user: str
    start: datetime
    duration: timedelta
    completed: bool

    @classmethod
    def from_spark(cls, body: dict[str, Any]) -> "Application":
        """Returns an application from what Spark's REST API tells of it."""
        last = body["attempts"][0]
        return cls(
            id=body["id"],
            name=body["name"],
            user=last["sparkUser"],
            start=datetime.fromtimestamp(last["startTimeEpoch"] / 1000, UTC),
            duration=timedelta(milliseconds=last["duration"]),
            completed=last["completed"],
        )


def applications(cluster: Cluster, *, namespace: str = "spark", timeout_s: float = 120) -> list[Application]:
    """Returns the sessions of all clusters of the project, those that are gone among them; the latest first.

    A session is listed a few seconds after its end; that of the cluster's server of Spark Connect also before.

    Args:
        cluster: A cluster; its history server is asked.
        namespace: The namespace of Spark.
        timeout_s: How long to wait for the history server, in seconds.

    Raises:
        CloudError: The cloud cannot be used, or the cluster is not ready.
        HistoryError: The history server does not answer, and why.
    """
    listed = _ask(cluster, namespace, server_socket(cluster, namespace=namespace, timeout_s=timeout_s))
    account = _sockets[cluster.uuid, namespace, _NAME][0].account
    # Of a session that goes on there may be no file yet: the server of Spark Connect tells of its own.
    with told(cluster.name):
        if Pods(api := account.client(), namespace, _selector(_CONNECT)).ready():
            port = int((config_map(api, namespace, _CONNECT) or {})["uiPort"])
            listed += _ask(cluster, namespace, _socket(cluster, account, namespace, _CONNECT, port))
    return sorted(map(Application.from_spark, listed), key=lambda application: application.start, reverse=True)


def url(cluster: Cluster, *, namespace: str = "spark", timeout_s: float = 120) -> str:
    """Returns an address on this machine where Spark's own pages of the history are, as long as this process runs.

    Whoever else uses this machine reaches it, too.

    Args:
        cluster: A cluster; its history server is reached through its Kubernetes API.
        namespace: The namespace of Spark.
        timeout_s: How long to wait for the history server, in seconds.

    Raises:
        CloudError: The cloud cannot be used, or the cluster is not ready.
        HistoryError: The history server does not answer, and why.
    """
    account, port = _server(cluster, namespace, timeout_s)
    key = (cluster.uuid, namespace)
    if key not in _tunnels:
        _tunnels[key] = Tunnel(account, namespace, _selector(_NAME), port)
    _tunnels[key].account = account  # its token is the newest
    return f"http://127.0.0.1:{_tunnels[key].port}"


def server_socket(cluster: Cluster, *, namespace: str = "spark", timeout_s: float = 120) -> Path:
    """Returns a socket that leads to the history server as long as this process runs, and that only this user reaches.

    Args:
        cluster: As of `url`.
        namespace: As of `url`.
        timeout_s: As of `url`.

    Raises:
        CloudError: The cloud cannot be used, or the cluster is not ready.
        HistoryError: The history server does not answer, and why.
    """
    account, port = _server(cluster, namespace, timeout_s)
    return _socket(cluster, account, namespace, _NAME, port)


_tunnels: dict[tuple[str, str], Tunnel] = {}
"""The ports of this process, by cluster and namespace."""
_sockets: dict[tuple[str, str, str], tuple[Tunnel, Path]] = {}
"""Its sockets, by cluster, namespace and server."""


def _socket(cluster: Cluster, account: Account, namespace: str, server: str, port: int) -> Path:
    """Returns a socket that leads to a server."""
    key = (cluster.uuid, namespace, server)
    if key not in _sockets:
        path = pages.new_socket()
        try:
            _sockets[key] = Tunnel(account, namespace, _selector(server), port, path), path
        except OSError as error:
            fact = f"No socket can be made at {path}: {error}."
            raise HistoryError(fact, remedy="Set TMPDIR to a folder with a shorter path.") from error
    tunnel, path = _sockets[key]
    tunnel.account = account  # its token is the newest
    return path


def _server(cluster: Cluster, namespace: str, timeout_s: float) -> tuple[Account, int]:
    """Waits for the history server; returns who may reach it, and its port."""
    with told(cluster.name):
        account = _account(cluster, namespace)
        return account, _wait_until_ready(cluster, account.client(), namespace, timeout_s)


def _selector(server: str) -> str:
    return f"app.kubernetes.io/name={server}"


class _Connection(HTTPConnection):
    """A connection to a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask(cluster: Cluster, namespace: str, path: Path) -> list[dict[str, Any]]:
    """Returns what Spark's REST API tells of the applications that a server knows.

    Raises:
        HistoryError: It does not answer.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", "/api/v1/applications")
        return list(json.load(connection.getresponse()))
    except (OSError, HTTPException, ValueError) as error:
        raise HistoryError(
            f"The history server of {cluster.name} does not answer: {error}.",
            remedy=f"See `kubectl logs --namespace {namespace} deployment/{_NAME}`.",
        ) from error
    finally:
        connection.close()


def _account(cluster: Cluster, namespace: str) -> Account:
    """Returns the service account of Spark in a cluster."""
    with connection_of(cluster.cloud) as connection:
        access = access_of(connection, cluster)
    with access.api() as api:
        return spark_account(access, api, spark_base(api, namespace), _TOKEN_HOURS)


def _wait_until_ready(cluster: Cluster, api: CoreV1Api, namespace: str, timeout_s: float) -> int:
    """Waits until the history server answers; returns its port.

    Raises:
        HistoryError: There is none, or it does not in time.
    """
    found = config_map(api, namespace, _NAME)
    if found is None:
        raise HistoryError(
            f"The cluster {cluster.name} has no history server: its cloud has no S3, or it was declared without.",
            remedy="Provision it with spark_history_state=present on a cloud with S3 in its catalogue.",
        )
    pods = Pods(api, namespace, _selector(_NAME))
    reasons = pods.wait(lambda: "" if pods.ready() else "the history server is on its way", timeout_s, lambda _: None)
    if reasons is not None:
        raise HistoryError(
            f"The history server of {cluster.name} is not ready after {timeout_s:.0f} s.\n{reasons}\n",
            remedy="Mend that, and ask again.",
        )
    return int(found["port"])
