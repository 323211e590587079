"""Pods that are waited for, and why they do not come."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from astrok8s._kubernetes import CoreV1Api

_POLL_S = 0.25
_ANSWER_S = 5
# As fabric8 words it, Spark's client of Kubernetes.
_REFUSED = re.compile(r"KubernetesClientException: .*? Message: (.*?)(?:\. Received status|$)", re.MULTILINE)
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Pods:
    """The pods of a namespace that have some labels.

    Attributes:
        api: The API of the cluster.
        namespace: Where the pods are.
        selector: Their labels.
        driver_log: Returns what the driver that asks for them says: where Kubernetes refuses them, nobody else does.
    """

    api: CoreV1Api
    namespace: str
    selector: str
    driver_log: Callable[[], str] = lambda: ""

    def ready(self) -> list[Any]:
        """Returns those that are ready, and are to stay."""
        return [pod for pod in self._all() if pod.metadata.deletion_timestamp is None and _holds(pod, "Ready")]

    def why_missing(self) -> list[str]:
        """Returns why some do not run, a sentence for each reason."""
        there = [pod for pod in self._all() if pod.metadata.deletion_timestamp is None]
        refused = _REFUSED.findall(self.driver_log()) if not there else []
        why = [why for pod in there for why in (*self._why_not_running(pod), *_why_on_no_node(pod))]
        return why + [f"Kubernetes refuses their pods: {message}" for message in refused[-1:]]

    def wait(
        self,
        lacking: Callable[[], str],
        timeout_s: float,
        say: Callable[[str], None],
        given_up: Callable[[], bool] = lambda: False,
    ) -> str | None:
        """Waits for what these pods are to bring.

        Args:
            lacking: Says what is not there yet; nothing once all of it is.
            timeout_s: How long to wait, in seconds.
            say: Is told what is lacking, with the first reason.
            given_up: Whether there is no use in waiting any more.

        Returns:
            None once all is there; else, when the time is over, why the pods do not run.
        """
        deadline = time.monotonic() + timeout_s
        reasons: list[str] = []
        while what := lacking():
            over = given_up() or time.monotonic() > deadline
            # Spark removes a pod that failed within a second, and its log with it: look each time, and remember.
            reasons = self.why_missing() or reasons
            if over:
                return "\n".join(dict.fromkeys(reasons)) or "Their pods say nothing."
            say(f"{what}; {reasons[0].splitlines()[0]}" if reasons else what)
            time.sleep(_POLL_S)
        return None

    def _all(self) -> list[Any]:
        pods = self.api.list_namespaced_pod(self.namespace, label_selector=self.selector, _request_timeout=_ANSWER_S)
        return list(pods.items)

    def _why_not_running(self, pod: Any) -> Iterator[str]:
        """Yields what keeps the containers of a pod from running."""
        name, status = pod.metadata.name, pod.status
        for container in status.init_container_statuses or []:
            yield from self._why_not(name, container, done=0)  # it ends, once it has done its work
        for container in status.container_statuses or []:
            yield from self._why_not(name, container)

    def _why_not(self, pod: str, container: Any, done: int | None = None) -> Iterator[str]:
        """Yields what keeps a container from running, unless it ended with the exit code of one that is done."""
        end, waiting = container.state.terminated, container.state.waiting
        if end and end.exit_code != done:
            log = self._last_lines(pod, container.name)
            yield f"{pod} ended with exit code {end.exit_code} ({end.reason}); its last lines:\n{log}"
        elif waiting and waiting.reason not in _ON_ITS_WAY:
            yield f"{pod} waits: {waiting.reason}: {waiting.message or 'no message'}"

    def _last_lines(self, pod: str, container: str, lines: int = 15) -> str:
        from kubernetes.client import ApiException

        try:
            log = self.api.read_namespaced_pod_log(pod, self.namespace, container=container, tail_lines=lines)
        except ApiException as error:
            return f"(its log is not to be had: {error.reason})"
        return str(log).strip()


def _holds(pod: Any, condition: str) -> bool:
    return any(each.type == condition and each.status == "True" for each in pod.status.conditions or [])


def _why_on_no_node(pod: Any) -> Iterator[str]:
    """Yields why the scheduler has no node for a pod."""
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            yield f"{pod.metadata.name} fits on no node: {condition.message}"
