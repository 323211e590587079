"""Says that this process uses a cluster, for as long as it has a session: one that nobody uses ends by itself.

It is a Lease of Kubernetes in the session's namespace, which is renewed while the session lives. A process that is
killed renews it no more. The cluster's watcher (`roles/lifecycle/files/watcher.py`) goes by it.
"""

import getpass
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from astrok8s._kubernetes import Account, config_map

RENEW_S = 30
"""How often a lease is renewed, in seconds; it says itself that it is good for three times as long."""

_LABELS = {"astrok8s/use": "kernel"}
# What the role lifecycle leaves for everybody: when the cluster ends.
_END = ("astrok8s", "lifecycle")
# Before the end, somebody is told at these times.
_WARNINGS = (timedelta(minutes=15), timedelta(minutes=5))


def hold(account: Account, namespace: str, cluster: str, is_used: Callable[[], bool]) -> None:
    """Holds a lease, in the background, for as long as a session lives; warns before the cluster ends.

    Args:
        account: Who has the session.
        namespace: Its namespace.
        cluster: The cluster's name.
        is_used: Whether the session still lives.
    """
    lease = _Lease(account, namespace, cluster)
    with suppress(Exception):  # the loop tries again
        lease.renew()
    threading.Thread(target=_keep, args=(lease, is_used), name="lease", daemon=True).start()


def _keep(lease: "_Lease", is_used: Callable[[], bool]) -> None:
    while True:
        time.sleep(RENEW_S)
        # Whatever goes wrong, the session itself tells; the network may come back.
        with suppress(Exception):
            if not is_used():
                lease.end()
                return
            lease.renew()
            lease.warn()


class _Lease:
    def __init__(self, account: Account, namespace: str, cluster: str) -> None:
        from kubernetes import client

        self._account, self._namespace, self._cluster = account, namespace, cluster
        self._api: Any = client.CoordinationV1Api(account.client().api_client)
        host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40]
        self._name = f"kernel-{host}-{os.getpid()}-{secrets.token_hex(3)}"
        self._holder = f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"
        self._warned: set[tuple[datetime, timedelta]] = set()

    def renew(self) -> None:
        """Says that the session lives."""
        from kubernetes.client import ApiException

        now = datetime.now(UTC).isoformat(timespec="microseconds")
        spec = {"renewTime": now, "holderIdentity": self._holder, "leaseDurationSeconds": 3 * RENEW_S}
        body = {"metadata": {"name": self._name, "labels": _LABELS}, "spec": spec}
        try:
            self._api.patch_namespaced_lease(self._name, self._namespace, body)
        except ApiException as error:
            if error.status != 404:
                raise
            self._api.create_namespaced_lease(self._namespace, body)

    def end(self) -> None:
        """Says that it is over."""
        self._api.delete_namespaced_lease(self._name, self._namespace)

    def warn(self) -> None:
        """Tells, once for each time, that the cluster ends soon."""
        told = config_map(self._account.client(), *_END)
        if not told:
            return
        end = datetime.fromisoformat(told["end"])
        left = end - datetime.now(UTC)
        due = [before for before in _WARNINGS if left <= before and (end, before) not in self._warned]
        if due:
            self._warned |= {(end, before) for before in due}
            minutes = max(0, round(left.total_seconds() / 60))
            sys.stderr.write(
                f"astrok8s: the cluster {self._cluster} ends at {end.astimezone():%H:%M}, in {minutes} min. "
                f"`astrok8s extend {self._cluster} 4h` lets it live longer.\n"
            )
