"""HTTP to astrok8s and back; nothing else. The routes are described in openapi.yaml."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from astrok8s import (
    Application,
    AstroK8sError,
    Cluster,
    ClusterNotFoundError,
    OptionError,
    get_cluster,
    granting,
    list_clusters,
)
from astrok8s.granting import Grant
from astrok8s.lifetimes import check_duration
from astrok8s.provisioning import check, preflight
from jupyterlab_astrok8s.accesses import Accesses
from jupyterlab_astrok8s.bundles import BundlesError, read_bundles
from jupyterlab_astrok8s.operations import Operation, Operations
from jupyterlab_astrok8s.schema import GRANT, LONGER, SIZE, cluster_schema

_LOOK_EVERY_S = 0.5
# Proxies cut a stream that is silent for long; nginx after 60 s.
_HEARTBEAT_S = 15
# How long to wait for a history server that is on its way.
HISTORY_S = 30


class Clusters:
    """The clusters of a cloud, read once for all who ask meanwhile: of one that hangs they would fill all threads.

    Args:
        cloud: Its entry in clouds.yaml; None for the default.
    """

    def __init__(self, cloud: str | None) -> None:
        self.cloud = cloud
        self._reading: asyncio.Future[list[Cluster]] | None = None

    async def read(self) -> list[Cluster]:
        """Returns them, and raises, as `astrok8s.list_clusters` does."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(asyncio.to_thread(list_clusters, cloud=self.cloud))
        return await asyncio.shield(self._reading)


class Handler(APIHandler):
    """What all routes have in common."""

    auth_resource = "astrok8s"
    # A panel that looks from time to time is no use of the server: one that nobody uses is to be culled.
    _track_activity = False

    def initialize(self, clusters: Clusters, operations: Operations, bundles: Path | None, accesses: Accesses) -> None:
        """Takes the parts that the extension was put together of."""
        self.clusters = clusters
        self.operations = operations
        self.bundles = bundles
        self.accesses = accesses

    def operation(self, identity: str) -> Operation:
        """Returns an operation by its identity; else the answer is 404."""
        found = self.operations.get(identity)
        if found is None:
            raise HTTPError(404, f"There is no operation {identity}.")
        return found

    async def cluster(self, name: str) -> Cluster:
        """Returns a cluster, and raises, as `astrok8s.get_cluster` does."""
        return await asyncio.to_thread(get_cluster, name, cloud=self.clusters.cloud)

    def declaration(self) -> tuple[str, dict[str, Any]]:
        """Returns the name of the cluster that the request declares, and the other arguments of `provision`.

        Raises:
            OptionError: The schema does not allow it.
        """
        body = request_body(self.request.body, cluster_schema())
        return body["name"], {"size": body.get("size"), "cloud": self.clusters.cloud, **body.get("options", {})}

    def refuse(self, status: int, fact: str, remedy: str) -> None:
        """Answers that something is not done, and why."""
        self.set_status(status)
        self.finish(json.dumps({"fact": fact, "remedy": remedy}))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers in our own terms, where Jupyter has its own."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, AstroK8sError):
            self.refuse(_status(error), error.fact, error.remedy)
        elif isinstance(error, HTTPError):
            self.refuse(status_code, error.log_message or f"The server answers {status_code}.", "")
        else:
            self.refuse(status_code, f"{type(error).__name__}: {error}.", "See the log of Jupyter's server.")

    def log_exception(self, *exc_info: Any) -> None:
        """Keeps what is told to the user out of the log."""
        if not isinstance(exc_info[1], AstroK8sError):
            super().log_exception(*exc_info)

    def is_free(self, cluster: str) -> bool:
        """Whether nothing works on a cluster; else refuses."""
        at_work = self.operations.running(cluster)
        if at_work:
            fact = f"An operation works on {cluster}: {at_work.request['verb']}, {at_work.id}."
            self.refuse(409, fact, "Wait for its end, or cancel it.")
        return at_work is None

    def accept(self, operation: Operation) -> None:
        """Answers that an operation was started."""
        self._track_activity = True
        self.set_status(202)
        self.set_header("Location", f"{self.base_url}astrok8s/operations/{operation.id}")
        self.finish(json.dumps(operation.describe()))


class ClustersHandler(Handler):
    """`/astrok8s/clusters`."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Lists the clusters, as the cloud knows them."""
        clusters = await self.clusters.read()
        self.finish(json.dumps({"clusters": [_tell(cluster) for cluster in clusters]}))

    @authenticated
    @authorized
    async def post(self) -> None:
        """Makes a cluster, or makes one that is there as it is declared."""
        name, wanted = self.declaration()
        check(name, **wanted)
        if self.is_free(name):
            self.accept(self.operations.start("provision", name, wanted))


class ClusterHandler(Handler):
    """`/astrok8s/clusters/NAME`."""

    @authenticated
    @authorized
    async def patch(self, name: str) -> None:
        """Gives a cluster another number of workers, and leaves all else as it is."""
        size = request_body(self.request.body, SIZE)["size"]
        cluster = await self.cluster(name)
        if self.is_free(cluster.name):
            arguments = {"size": size, "cloud": cluster.cloud}
            self.accept(self.operations.start("resize", cluster.name, arguments))

    @authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Takes a cluster away."""
        cluster = await self.cluster(name)
        if self.is_free(cluster.name):
            self.accept(self.operations.start("destroy", cluster.name, {"cloud": self.clusters.cloud}))


class LifeHandler(Handler):
    """`/astrok8s/clusters/NAME/life`."""

    @authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Tells when a cluster ends by itself."""
        await self._tell(await self.cluster(name))

    @authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Lets a cluster live longer."""
        by = request_body(self.request.body, LONGER)["by"]
        check_duration(by)
        cluster = await self.cluster(name)
        await asyncio.to_thread(cluster.extend, by)
        await self._tell(cluster)

    async def _tell(self, cluster: Cluster) -> None:
        life = await asyncio.to_thread(cluster.life)
        told = {"life": str(life or "stays until somebody destroys it"), "end": life.end.isoformat() if life else None}
        self.finish(json.dumps(told))


class GrantsHandler(Handler):
    """`/astrok8s/clusters/NAME/grants`."""

    @authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Lists who has access to a cluster."""
        cluster = await self.cluster(name)
        found = await asyncio.to_thread(cluster.grants)
        self.finish(json.dumps({"grants": [_tell_grant(grant) for grant in found]}))

    @authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Gives a user access; the file of it lies where the server's files are."""
        body = request_body(self.request.body, GRANT)
        granting.check(**body)
        cluster = await self.cluster(name)
        if self.is_free(cluster.name):
            file = Path(self.settings["server_root_dir"]).expanduser() / granting.file_name(cluster.name, body["user"])
            arguments = body | {"file": str(file), "cloud": cluster.cloud}
            self.accept(self.operations.start("grant", cluster.name, arguments))


class GrantHandler(Handler):
    """`/astrok8s/clusters/NAME/grants/USER`."""

    @authenticated
    @authorized
    async def delete(self, name: str, user: str) -> None:
        """Takes a user's access."""
        granting.check(user)
        cluster = await self.cluster(name)
        if self.is_free(cluster.name):
            arguments = {"user": user, "cloud": cluster.cloud}
            self.accept(self.operations.start("revoke", cluster.name, arguments))


class HistoryHandler(Handler):
    """`/astrok8s/clusters/NAME/history`."""

    @authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Lists the sessions of all clusters of the project, those that are gone among them; this cluster is asked."""
        cluster = await self.cluster(name)
        found = await asyncio.to_thread(cluster.history, timeout_s=HISTORY_S)
        self.finish(json.dumps({"applications": [_tell_application(application) for application in found]}))


class PreflightHandler(Handler):
    """`/astrok8s/preflight`."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Looks whether the cloud can make a cluster."""
        name, wanted = self.declaration()
        verdict = await asyncio.to_thread(preflight, name, **wanted)
        self.finish(json.dumps({"found": verdict.found, "wrong": verdict.wrong}))


class OptionsHandler(Handler):
    """`/astrok8s/options`."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Tells what can be said about a cluster, as JSON Schema."""
        self.finish(json.dumps(cluster_schema()))


class BundlesHandler(Handler):
    """`/astrok8s/bundles`."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Tells what a session can be attached with."""
        self.finish(json.dumps({"cloud": self.clusters.cloud, "bundles": read_bundles(self.bundles)}))


class OperationsHandler(Handler):
    """`/astrok8s/operations`."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Lists the operations."""
        self.finish(json.dumps({"operations": self.operations.describe()}))


class OperationHandler(Handler):
    """`/astrok8s/operations/ID`."""

    @authenticated
    @authorized
    async def get(self, identity: str) -> None:
        """Tells of one operation."""
        self.finish(json.dumps(self.operation(identity).describe()))

    @authenticated
    @authorized
    async def delete(self, identity: str) -> None:
        """Forgets an operation that has ended."""
        operation = self.operation(identity)
        if operation.is_running():
            self.refuse(409, f"The operation {identity} runs.", "Cancel it first, or wait for its end.")
            return
        self.operations.remove(operation)
        self.set_status(204)
        self.finish()


class CancelHandler(Handler):
    """`/astrok8s/operations/ID/cancel`."""

    @authenticated
    @authorized
    async def post(self, identity: str) -> None:
        """Interrupts an operation."""
        operation = self.operation(identity)
        operation.cancel()
        self.set_status(202)
        self.finish(json.dumps(operation.describe()))


class LogHandler(Handler):
    """`/astrok8s/operations/ID/log`."""

    @authenticated
    @authorized
    async def get(self, identity: str) -> None:
        """Tells what an operation printed."""
        self.finish(self.operation(identity).log(), set_content_type="text/plain; charset=UTF-8")


class EventsHandler(Handler):
    """`/astrok8s/events`: one stream for all operations, since a browser opens six connections to a server."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Tells of every operation, and again whenever something of it has changed, as server-sent events."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        try:
            await self._follow()
        except StreamClosedError:
            return

    async def _follow(self) -> None:
        known: dict[str, dict[str, Any]] = {}
        silent_s = float(_HEARTBEAT_S)  # so that the answer begins at once
        while True:
            seen = {told["id"]: told for told in self.operations.describe()}
            for identity, told in seen.items():
                if told != known.get(identity):
                    self._send("operation", told)
                    silent_s = 0
            for identity in known.keys() - seen.keys():
                self._send("removed", {"id": identity})
            if silent_s >= _HEARTBEAT_S:
                self.write(": still here\n\n")
                silent_s = 0
            await self.flush()
            known = seen
            await asyncio.sleep(_LOOK_EVERY_S)
            silent_s += _LOOK_EVERY_S

    def _send(self, kind: str, data: dict[str, Any]) -> None:
        self.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n")


def request_body(content: bytes, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is asked for.

    Args:
        content: The body of the request.
        schema: What it is to be, as JSON Schema.

    Raises:
        OptionError: The schema does not allow it.
    """
    remedy = "See openapi.yaml; of a cluster GET /astrok8s/options says all."
    try:
        body: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise OptionError("", f"The request is not JSON: {error}.", remedy=remedy) from error
    wrong: ValidationError | None = next(Draft202012Validator(schema).iter_errors(body), None)
    if wrong is not None:
        where = ".".join(map(str, wrong.absolute_path)) or "The request"
        raise OptionError(where, f"{where}: {wrong.message}.", remedy=remedy)
    return body


def _tell(cluster: Cluster) -> dict[str, Any]:
    """Returns what the schema `Cluster` of openapi.yaml says."""
    told = {"name": cluster.name, "uuid": cluster.uuid, "size": cluster.size, "status": cluster.status}
    return told | {"nodes": cluster.nodes, "created": cluster.created.isoformat(), "cloud": cluster.cloud}


def _tell_grant(grant: Grant) -> dict[str, Any]:
    """Returns what the schema `Grant` of openapi.yaml says."""
    until = grant.until.isoformat() if grant.until else None
    return {"user": grant.user, "namespace": grant.namespace, "since": grant.since.isoformat(), "until": until}


def _tell_application(application: Application) -> dict[str, Any]:
    """Returns what the schema `Application` of openapi.yaml says."""
    told = {"id": application.id, "name": application.name, "user": application.user}
    ran = {"start": application.start.isoformat(), "seconds": application.duration.total_seconds()}
    return told | ran | {"completed": application.completed}


def _status(error: AstroK8sError) -> int:
    if isinstance(error, OptionError):
        return 400
    if isinstance(error, BundlesError):
        return 500
    return 404 if isinstance(error, ClusterNotFoundError) else 502


_ID = r"(\d{8}T[-.\w]+)"

HANDLERS = [
    ("clusters", ClustersHandler),
    (r"clusters/([^/]+)", ClusterHandler),
    (r"clusters/([^/]+)/life", LifeHandler),
    (r"clusters/([^/]+)/grants", GrantsHandler),
    (r"clusters/([^/]+)/grants/([^/]+)", GrantHandler),
    (r"clusters/([^/]+)/history", HistoryHandler),
    ("preflight", PreflightHandler),
    ("options", OptionsHandler),
    ("bundles", BundlesHandler),
    ("operations", OperationsHandler),
    (f"operations/{_ID}", OperationHandler),
    (f"operations/{_ID}/cancel", CancelHandler),
    (f"operations/{_ID}/log", LogHandler),
    ("events", EventsHandler),
]
