"""What the cloud says of a cluster while it is being made: its state, and its nodes as they come."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from astrok8s._cloud import magnum_of
from astrok8s.errors import CloudError

_EVERY_S = 2.0


@contextmanager
def watched(name: str, cloud: str, see: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Gives what begins to look at a cluster, beside what is done within, until that ends.

    Args:
        name: The cluster's name.
        cloud: The entry of clouds.yaml.
        see: Takes what is seen, from another thread.
    """
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(name, cloud, see, over), name="watching", daemon=True)

    def begin() -> None:
        if not thread.ident:
            thread.start()

    try:
        yield begin
    finally:
        over.set()  # nobody waits for an answer that is on its way


def _look(name: str, cloud: str, see: Callable[[str], None], over: threading.Event) -> None:
    """Looks again and again. It is there to be looked at: what goes wrong, the playbook tells."""
    while not over.is_set():
        try:
            with magnum_of(cloud) as magnum:
                while not over.wait(_EVERY_S):
                    body = magnum.find(name)
                    if not over.is_set():
                        see(words(body))
        except CloudError:
            over.wait(_EVERY_S)


def words(body: Mapping[str, Any] | None) -> str:
    """Returns what the cloud says of a cluster.

    Args:
        body: The cluster, as Magnum's API shows it; None where there is none.
    """
    if body is None:
        return ""
    nodes, size = body.get("node_addresses") or [], int(body.get("node_count") or 0)
    told = f"{body['name']} is {body['status']}, {len(nodes)} of {size} workers"
    return f"{told}: {', '.join(nodes)}" if nodes else told
