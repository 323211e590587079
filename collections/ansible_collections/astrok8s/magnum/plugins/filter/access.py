# Copyright: astrok8s contributors
# Apache-2.0
"""What the role user_access computes of users, addresses and nodes."""

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError

from ..module_utils.access import lifetime
from ..module_utils.errors import MagnumError
from ..module_utils.sizing import executor_properties, part_of, room_on_any
from ..module_utils.users import namespace_of


def user_namespace(user: str) -> str:
    """Returns the name of a user's namespace."""
    with _told():
        return namespace_of(user)


def token_lifetime(until: str, hours: float) -> int:
    """Returns for how many seconds a token is to be valid, until a time or for some hours."""
    with _told():
        return lifetime(until, hours)


def endpoints(url: str) -> list[dict[str, Any]]:
    """Returns the addresses behind a URL as `cidr` and `port`; none where there is no URL.

    A network policy knows addresses alone, those of now.
    """
    if not url:
        return []
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise AnsibleFilterError(f"The address of {url} is not found: {error}.") from error
    return [{"cidr": f"{address}/{128 if ':' in address else 32}", "port": port} for address in sorted(found)]


def executor_size(nodes: Iterable[Mapping[str, Any]], parts: int) -> dict[str, str]:
    """Returns Spark's properties for executors that share a node with those of others.

    Args:
        nodes: The nodes of the cluster, as Kubernetes tells of them.
        parts: How many fit on each node that takes pods.
    """
    tainted = ("NoSchedule", "NoExecute")
    workers = [
        node["status"]["allocatable"]
        for node in nodes
        if not any(taint["effect"] in tainted for taint in node["spec"].get("taints", []))
    ]
    if not workers:
        raise AnsibleFilterError("The cluster has no worker node. Give it one first, with site.yml.")
    return executor_properties(part_of(room_on_any(workers), parts))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except MagnumError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filters by their names."""
        return {
            "user_namespace": user_namespace,
            "token_lifetime": token_lifetime,
            "endpoints": endpoints,
            "executor_size": executor_size,
        }
