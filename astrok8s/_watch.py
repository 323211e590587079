"""Looks after a session's executors while it is open: tells why they do not come, and gives up those on lost nodes.

Spark itself says only that there are none. One whose node is gone stays in Kubernetes' books as ending, and as long as
it does, Spark asks for no other in its place.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from astrok8s._kube import UNAUTHORIZED, full_quotas, unauthorized, why_no_executors

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

LOOK = 5.0
"""Seconds between two looks at the pods; a reason is told when it is there at two of them."""

OVERDUE = 10.0
"""Seconds beyond its grace period after which an executor that is ending is given up: its kubelet does not answer."""


def watch(api: CoreV1Api, namespace: str, selector: str, going_on: Callable[[], bool]) -> None:
    """Look at a session's executors until it ends; write to standard error what keeps them from coming.

    Args:
        api: The cluster's API, as somebody who may see its pods.
        namespace: Where they are.
        selector: Label selector of the session's executors.
        going_on: Whether the session is still open.
    """
    threading.Thread(
        target=_watch, args=(api, namespace, selector, going_on), name="astrok8s-watch", daemon=True
    ).start()


def _watch(api: CoreV1Api, namespace: str, selector: str, going_on: Callable[[], bool]) -> None:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    pause, before, told, ending = threading.Event(), set[str](), set[str](), dict[str, float]()
    while going_on():
        try:
            _give_up_lost(api, namespace, selector, ending)
            now = set(why_no_executors(api, namespace, selector)) | set(full_quotas(api, namespace, selector))
        except (ApiException, HTTPError) as error:
            now = {f"{UNAUTHORIZED}; attach again"} if unauthorized(error) else set()
        for reason in sorted((now & before) - told):
            sys.stderr.write(f"astrok8s: executors do not come: {reason}\n")
            sys.stderr.flush()
        told |= now & before
        before = now
        pause.wait(LOOK)


def _give_up_lost(api: CoreV1Api, namespace: str, selector: str, ending: dict[str, float]) -> None:
    """Delete for good what should have ended by now.

    Args:
        api: The cluster's API, as somebody who may delete its pods.
        namespace: Where they are.
        selector: Label selector of the session's executors.
        ending: Since when each was seen to be ending, by UID; it is brought up to date.
    """
    pods = api.list_namespaced_pod(namespace, label_selector=selector).items
    now, found = time.monotonic(), {pod.metadata.uid: pod for pod in pods if pod.metadata.deletion_timestamp}
    for uid in ending.keys() - found.keys():
        del ending[uid]
    for uid, pod in found.items():
        grace = (pod.metadata.deletion_grace_period_seconds or 0) + OVERDUE
        if now - ending.setdefault(uid, now) > grace:
            name = pod.metadata.name
            api.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
            sys.stderr.write(f"astrok8s: {name} was lost with its node {pod.spec.node_name}; others do its work\n")
