# Copyright: astrok8s contributors
# Apache-2.0
"""Magnum's API as the modules use it."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from .certificates import administrator_request, kubeconfig, new_key
from .errors import MagnumError

Cluster = dict[str, Any]
"""A cluster as the API shows it."""

MICROVERSION = "container-infra 1.10"
"""The first that resizes clusters, also to no worker (Train, 2019)."""

SETTLE_S = 15.0
"""How long a new cluster may take to be readable: the conductor writes its row after the answer to the POST (404 until
then), and its node groups after the row (400 until then)."""

POLL_S = 0.5

DEFAULT_SIZE = 2
"""The number of workers of a new cluster, where none is asked for."""


class Magnum:
    """The clusters of one project.

    Args:
        connection: An openstacksdk connection.
    """

    def __init__(self, connection: Any) -> None:
        self._api = connection.container_infrastructure_management

    def clusters(self) -> list[Cluster]:
        """Returns all clusters as a list shows them, without addresses."""
        return list(self._pages("clusters"))

    def all_details(self) -> list[Cluster]:
        """Returns all clusters with all that the API tells, by one request however many there are."""
        return list(self._pages("clusters", "/clusters/detail"))

    def find(self, name: str) -> Cluster | None:
        """Returns a cluster by name or UUID, None where there is none; of several, the oldest that is to stay."""
        # By one request: one that is listed, and not found a moment later, would be made anew.
        found = (cluster for cluster in self.all_details() if name in (cluster["name"], cluster["uuid"]))
        return min(found, key=_precedence, default=None)

    def details(self, uuid: str) -> Cluster | None:
        """Returns a cluster by UUID with all that the API tells; None where there is none."""
        answer = self._get(f"/clusters/{uuid}")
        return None if answer.status_code == 404 else dict(_accept(answer, f"looking at cluster {uuid}"))

    def node_groups(self, uuid: str) -> list[dict[str, Any]]:
        """Returns the node groups of a cluster."""
        return list(self._pages("nodegroups", f"/clusters/{uuid}/nodegroups"))

    def find_template(self, name: str) -> dict[str, Any] | None:
        """Returns a cluster template by name or UUID; None where there is none."""
        return next((t for t in self._pages("clustertemplates") if name in (t["name"], t["uuid"])), None)

    def template(self, name: str) -> dict[str, Any]:
        """Returns a cluster template by name or UUID.

        Raises:
            MagnumError: There is none.
        """
        template = self.find_template(name)
        if template is None:
            names = sorted(template["name"] for template in self._pages("clustertemplates"))
            raise MagnumError(
                f"The cloud has no cluster template {name}; it has: {', '.join(names) or 'none'}.",
                "Set magnum_cluster_template to one of these, or define it in magnum_cluster_template_definition.",
            )
        return template

    def create(self, name: str, size: int, template: str, **attributes: Any) -> Cluster:
        """Asks for a cluster.

        Args:
            name: Its name.
            size: Its number of workers.
            template: The UUID of its cluster template.
            **attributes: What else Magnum's API takes; left out where None.

        Returns:
            The cluster; when two runs ask for one name together, both get the same.

        Raises:
            MagnumError: Magnum refuses.
        """
        body = {"name": name, "node_count": size, "cluster_template_id": template}
        body |= {key: value for key, value in attributes.items() if value is not None}
        uuid = _accept(self._post("/clusters", body), f"creating cluster {name}")["uuid"]
        self.wait(uuid, lambda cluster: cluster is not None, f"cluster {name} to be known to Magnum", SETTLE_S)
        return self.keep_oldest(name, uuid)

    def keep_oldest(self, name: str, uuid: str) -> Cluster:
        """Deletes our cluster where another run was faster: Magnum allows several of a name, and we do not.

        Args:
            name: The cluster's name.
            uuid: The one that this run made.

        Returns:
            The oldest of that name.
        """
        oldest = self.find(name) or {"uuid": uuid, "name": name, "status": "CREATE_IN_PROGRESS"}
        if oldest["uuid"] != uuid:
            self.delete(uuid)
        return oldest

    def resize(self, uuid: str, size: int) -> None:
        """Asks for another number of workers.

        Raises:
            MagnumError: Magnum refuses.
        """
        answer = self._post(f"/clusters/{uuid}/actions/resize", {"node_count": size})
        _accept(answer, f"resizing cluster {uuid} to {size} workers")

    def delete(self, uuid: str) -> None:
        """Asks for the end of a cluster; one that is gone is fine.

        Raises:
            MagnumError: Magnum refuses.
        """
        answer = self._ask("delete", f"/clusters/{uuid}")
        if answer.status_code != 404:
            _accept(answer, f"deleting cluster {uuid}")

    def wait(
        self, uuid: str, predicate: Callable[[Cluster | None], bool], what: str, timeout_s: float
    ) -> Cluster | None:
        """Waits until a cluster is as wanted. While Magnum does not answer, it goes on asking.

        Args:
            uuid: The cluster.
            predicate: Whether it is as wanted; gets None where there is none.
            what: What is waited for: "cluster hyades to be complete".
            timeout_s: The deadline, in seconds from now.

        Returns:
            The cluster as it was then.

        Raises:
            MagnumError: The deadline passed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                cluster = self.details(uuid)
                seen = describe(cluster)
                if predicate(cluster):
                    return cluster
            except _UnavailableError as error:
                seen = error.fact.rstrip(".")
            if time.monotonic() > deadline:
                raise MagnumError(
                    f"Waited {timeout_s:.0f} s for {what}: {seen}.",
                    "Run it again to go on waiting; where nothing moves, ask the cloud's operators.",
                )
            time.sleep(POLL_S)

    def kubeconfig(self, cluster: Cluster) -> dict[str, Any]:
        """Returns an administrator's kubeconfig, with a new certificate; nothing is written.

        Args:
            cluster: A cluster with an API address.

        Raises:
            MagnumError: Magnum refuses.
        """
        uuid, key = cluster["uuid"], new_key()
        authority = _accept(self._get(f"/certificates/{uuid}"), f"reading the authority of cluster {uuid}")
        request = {"cluster_uuid": uuid, "csr": administrator_request(key)}
        signed = _accept(self._post("/certificates", request), f"signing a certificate of cluster {uuid}")
        return kubeconfig(cluster["api_address"], authority["pem"], signed["pem"], key)

    def _pages(self, kind: str, path: str = "") -> Iterator[dict[str, Any]]:
        """Yields the items of a collection, page by page."""
        marker = ""
        while True:
            body = _accept(self._get((path or f"/{kind}") + marker), f"listing {kind}")
            yield from body[kind]
            if not body.get("next") or not body[kind]:
                return
            marker = f"?marker={body[kind][-1]['uuid']}"

    def _get(self, path: str) -> Any:
        """Reads, again while Magnum stumbles, and while it is writing a cluster's node groups, when it answers 400."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            answer = self._ask("get", path)
            if (answer.status_code != 400 and answer.status_code < 500) or time.monotonic() > deadline:
                return answer
            time.sleep(POLL_S)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("post", path, json=body)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        from keystoneauth1.exceptions import ConnectFailure, RetriableConnectionFailure

        try:
            return getattr(self._api, method)(path, headers=_headers(), **content)
        except (ConnectFailure, RetriableConnectionFailure) as error:  # with what was asked for done, perhaps
            raise _UnavailableError(f"Magnum does not answer ({error}).") from error


class _UnavailableError(MagnumError):
    """Magnum does not answer at the moment."""

    def __init__(self, fact: str) -> None:
        super().__init__(fact, "See that it is up, and run it again: that finds what was made.")


def check_name(name: str) -> None:
    """Checks a cluster's name by Magnum's own rule.

    Raises:
        MagnumError: Magnum would refuse it.
    """
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]{0,241}", name):
        raise MagnumError(
            f"A cluster cannot have the name {name!r}.",
            "Magnum wants a letter, then letters, digits, dots, hyphens and underscores; set magnum_cluster_name.",
        )


def check_size(size: int | None) -> None:
    """Checks a cluster's number of workers; None stands for the one that it has, or the default.

    Raises:
        MagnumError: It is not positive.
    """
    if size is not None and size < 1:
        raise MagnumError(f"A cluster cannot have the size {size}.", "Give at least 1 worker.")


def size_of(wanted: int | None, existing: Cluster | None) -> int:
    """Returns the number of workers that a cluster should have.

    Args:
        wanted: What was asked for; None where nothing was.
        existing: The cluster, where there is one.
    """
    if wanted is not None:
        return wanted
    return int(existing["node_count"]) if existing else DEFAULT_SIZE


def describe(cluster: Cluster | None) -> str:
    """Returns the state of a cluster in words."""
    if cluster is None:
        return "it is gone"
    faults = "; ".join(str(fault) for fault in (cluster.get("faults") or {}).values() if fault)
    reason = faults or cluster.get("status_reason")
    if cluster["status"].endswith("_IN_PROGRESS") and cluster.get("health_status") == "HEALTHY":
        reason = "though it is healthy"
    return f"its status is {cluster['status']}" + (f" ({reason})" if reason else "")


def _precedence(cluster: Cluster) -> tuple[bool, str, str]:
    return cluster["status"].startswith("DELETE"), str(cluster.get("created_at") or ""), cluster["uuid"]


def _headers() -> dict[str, str]:
    return {"OpenStack-API-Version": MICROVERSION}


def _accept(answer: Any, doing: str) -> Any:
    """Returns what an answer holds.

    Raises:
        MagnumError: Magnum refused.
    """
    if answer.status_code < 400:
        return answer.json() if answer.content else {}
    try:
        errors = answer.json()["errors"]
        reason = "; ".join(str(error.get("detail") or error.get("title")) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = answer.text[:300]
    fact = f"Magnum refused {doing} (HTTP {answer.status_code}): {reason.strip().rstrip('.')}."
    if answer.status_code >= 500:
        raise _UnavailableError(fact)
    remedies = {
        401: "Check the credentials in clouds.yaml.",
        403: "Ask for the role member in the project, or for quota.",
    }
    raise MagnumError(fact, remedies.get(answer.status_code, "Correct what it names, or see Magnum's log."))
