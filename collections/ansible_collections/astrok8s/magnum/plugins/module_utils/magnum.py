# Copyright: astrok8s contributors
# Apache-2.0
"""Magnum's API as astrok8s uses it: pure Python on openstacksdk, also imported by the package."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Cluster = dict[str, Any]

MICROVERSION = "container-infra 1.10"
"""Magnum's API version that knows actions/resize and sizes of 0 (Train, 2019)."""

SETTLE = 15.0
"""Seconds for a cluster to be readable after its POST: its row is written by the conductor."""

POLL = 0.5
"""Seconds between two looks at a cluster."""

NAME = r"^[a-zA-Z][a-zA-Z0-9_.-]*$"
"""Magnum's own rule for names of clusters."""


class MagnumError(Exception):
    """What went wrong, with the values and the remedy."""


class Magnum:
    """Clusters of one project.

    Args:
        connection: An openstacksdk connection.
    """

    def __init__(self, connection: Any) -> None:
        self._api = connection.container_infrastructure_management

    # -- reading -----------------------------------------------------------------
    def list(self) -> list[Cluster]:
        """Return all clusters, as the list view shows them (without addresses)."""
        return list(self._read("/clusters", "clusters"))

    def find(self, name: str) -> Cluster | None:
        """Return a cluster's details by name or UUID; None if there is none.

        Of several with the same name the oldest is the one.
        """
        answer = self._get(f"/clusters/{name}")
        if answer.status_code == 200:
            return dict(answer.json())
        if answer.status_code not in (404, 409):
            raise self._refused(answer, f"looking for cluster {name}")
        twins = [self._details(c["uuid"]) for c in self.list() if name in (c["name"], c["uuid"])]
        return min((t for t in twins if t), key=_age, default=None)

    def template(self, name: str) -> dict[str, Any]:
        """Return a cluster template by name or UUID.

        Raises:
            MagnumError: There is none; names those that there are.
        """
        templates = list(self._read("/clustertemplates", "clustertemplates"))
        for template in templates:
            if name in (template["name"], template["uuid"]):
                return dict(template)
        known = ", ".join(sorted(template["name"] for template in templates)) or "none"
        raise MagnumError(
            f"the cloud has no cluster template {name!r}; it has: {known}. Set magnum_cluster_template to one of them"
        )

    def node_groups(self, uuid: str) -> list[dict[str, Any]]:
        """Return the node groups of a cluster."""
        return list(self._read(f"/clusters/{uuid}/nodegroups", "nodegroups"))

    # -- changing ----------------------------------------------------------------
    def create(self, name: str, size: int, template: str, **attributes: Any) -> Cluster:
        """Ask for a cluster and return it; when two runs ask together, both get the same one.

        Magnum allows several clusters of a name. The oldest is kept; a run that made a younger
        one deletes its own.

        Args:
            name: Its name.
            size: Number of workers.
            template: UUID of the cluster template.
            **attributes: Other attributes of Magnum's API, left out if None.

        Raises:
            MagnumError: Magnum refuses.
        """
        body = {"name": name, "node_count": size, "cluster_template_id": template}
        body |= {key: value for key, value in attributes.items() if value is not None}
        answer = self._api.post("/clusters", json=body, headers=self._headers())
        if answer.status_code != 202:
            raise self._refused(answer, f"creating cluster {name}")
        uuid = answer.json()["uuid"]
        self._settle(uuid)
        first = self.find_oldest(name)
        if first and first["uuid"] != uuid:
            self.delete(uuid)
            return first
        return self._details(uuid) or {"uuid": uuid, "name": name, "status": "CREATE_IN_PROGRESS"}

    def find_oldest(self, name: str) -> Cluster | None:
        """Return the oldest cluster of a name that is not being deleted."""
        twins = [self._details(c["uuid"]) for c in self.list() if c["name"] == name]
        return min((t for t in twins if t and not t["status"].startswith("DELETE")), key=_age, default=None)

    def resize(self, uuid: str, size: int) -> None:
        """Ask for another number of workers.

        Raises:
            MagnumError: Magnum refuses.
        """
        answer = self._api.post(f"/clusters/{uuid}/actions/resize", json={"node_count": size}, headers=self._headers())
        if answer.status_code != 202:
            raise self._refused(answer, f"resizing cluster {uuid} to {size} workers")

    def delete(self, uuid: str) -> None:
        """Ask for a cluster's end; one that is gone already is fine.

        Raises:
            MagnumError: Magnum refuses.
        """
        answer = self._api.delete(f"/clusters/{uuid}", headers=self._headers())
        if answer.status_code not in (204, 404):
            raise self._refused(answer, f"deleting cluster {uuid}")

    # -- waiting -----------------------------------------------------------------
    def wait(
        self,
        uuid: str,
        until: Callable[[Cluster | None], bool],
        what: str,
        timeout: float,
        on_poll: Callable[[Cluster | None], None] | None = None,
    ) -> Cluster | None:
        """Wait until a predicate on a cluster's details holds.

        Args:
            uuid: The cluster.
            until: The predicate; gets None when the cluster is gone.
            what: Its name, for the error.
            timeout: Seconds at most.
            on_poll: Called with each state seen.

        Raises:
            MagnumError: Not in time; with the last state and its reason.
        """
        deadline = time.monotonic() + timeout
        while True:
            cluster = self._details(uuid)
            if on_poll:
                on_poll(cluster)
            if until(cluster):
                return cluster
            if time.monotonic() > deadline:
                raise MagnumError(
                    f"waited {timeout:.0f} s for {what}; {describe(cluster)}. Run it again to go on waiting, "
                    "or raise magnum_cluster_timeout"
                )
            time.sleep(POLL)

    def _settle(self, uuid: str) -> None:
        deadline = time.monotonic() + SETTLE
        while self._get(f"/clusters/{uuid}").status_code == 404 and time.monotonic() < deadline:
            time.sleep(POLL)

    # -- access ------------------------------------------------------------------
    def kubeconfig(self, uuid: str) -> dict[str, Any]:
        """Return an administrator's kubeconfig with a new client certificate, held in memory only.

        Raises:
            MagnumError: The cluster has no API address yet, or Magnum refuses.
        """
        from .certificates import new_key, request_for_admin, to_base64

        cluster = self._details(uuid) or {}
        if not cluster.get("api_address"):
            raise MagnumError(f"cluster {uuid} has no API address yet: {describe(cluster)}; wait until it is complete")
        authority = self._get(f"/certificates/{uuid}")
        if authority.status_code != 200:
            raise self._refused(authority, f"getting the authority of cluster {uuid}")
        key, pem = new_key()
        body = {"cluster_uuid": uuid, "csr": request_for_admin(key)}
        signed = self._api.post("/certificates", json=body, headers=self._headers())
        if signed.status_code not in (200, 201, 202):
            raise self._refused(signed, f"signing a certificate of cluster {uuid}")
        name = cluster["name"]
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": cluster["api_address"],
                        "certificate-authority-data": to_base64(authority.json()["pem"]),
                    },
                }
            ],
            "users": [
                {
                    "name": "admin",
                    "user": {
                        "client-certificate-data": to_base64(signed.json()["pem"]),
                        "client-key-data": to_base64(pem),
                    },
                }
            ],
        }

    # -- transport ---------------------------------------------------------------
    def _headers(self) -> dict[str, str]:
        return {"OpenStack-API-Version": MICROVERSION}

    def _get(self, path: str) -> Any:
        """GET, trying again while Magnum writes the cluster's node groups (it answers 400 then)."""
        deadline = time.monotonic() + SETTLE
        while True:
            answer = self._api.get(path, headers=self._headers())
            if answer.status_code != 400 or time.monotonic() > deadline:
                return answer
            time.sleep(POLL)

    def _details(self, uuid: str) -> Cluster | None:
        answer = self._get(f"/clusters/{uuid}")
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise self._refused(answer, f"looking at cluster {uuid}")
        return dict(answer.json())

    def _read(self, path: str, key: str) -> Any:
        """Yield the items of a collection, page by page."""
        marker = ""
        while True:
            answer = self._get(f"{path}{marker}")
            if answer.status_code != 200:
                raise self._refused(answer, f"listing {key}")
            body = answer.json()
            yield from body[key]
            if not body.get("next") or not body[key]:
                return
            marker = f"?marker={body[key][-1]['uuid']}"

    @staticmethod
    def _refused(answer: Any, doing: str) -> MagnumError:
        try:
            errors = answer.json().get("errors", [])
            said = "; ".join(error.get("detail") or error.get("title", "") for error in errors)
        except ValueError:
            said = answer.text[:300]
        remedy = {
            401: "check the credentials of the clouds.yaml entry",
            403: "ask for the role `member` in the project, or more quota",
        }.get(answer.status_code, "see Magnum's log if the reason is not clear")
        return MagnumError(f"Magnum refused {doing} (HTTP {answer.status_code}): {said.strip()}; {remedy}")


def describe(cluster: Cluster | None) -> str:
    """Return a cluster's state in words, for errors."""
    if not cluster:
        return "the cluster is gone"
    faults = "; ".join(str(fault) for fault in (cluster.get("faults") or {}).values())
    reason = faults or cluster.get("status_reason")
    return f"its status is {cluster.get('status')}" + (f" ({reason})" if reason else "")


def _age(cluster: Cluster) -> tuple[str, str]:
    return str(cluster.get("created_at") or ""), str(cluster["uuid"])
