"""Tells why a job that runs gets nowhere: Spark would wait without a word."""

import sys
import time
from collections.abc import Callable

from astrok8s._kubernetes import words
from astrok8s._pods import Pods
from astrok8s.errors import AstroK8sError

_PATIENCE_S = 12  # an executor takes five to eight seconds to start


class Watch:
    """Looks at the pods of executors, once a job has waited for long; says each reason once.

    Args:
        pods: The executors.
        gone: Returns what to tell where the cluster is gone; nobody knows by default.
    """

    def __init__(self, pods: Pods, gone: Callable[[], AstroK8sError | None] = lambda: None) -> None:
        self._pods, self._gone = pods, gone
        self._since: float | None = None
        self._told: set[str] = set()

    def see(self, waits: bool) -> None:
        """Is told, every now and then, whether there are tasks and none of them runs."""
        if not waits:
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since < _PATIENCE_S:
            return
        self._since = None
        for reason in self._reasons():
            # Pods that take each other's place have other names, and the same reason.
            what = reason.partition(" ")[2]
            if what not in self._told:
                self._told.add(what)
                sys.stderr.write(f"astrok8s: the job waits for executors: {reason}\n")

    def _reasons(self) -> list[str]:
        from kubernetes.client import ApiException

        try:
            return self._pods.why_missing()
        except ApiException as error:
            return [f"Kubernetes refuses to tell why: {words(error)}. Call spark.stop(), and attach again."]
        except Exception:  # whatever goes wrong here is no reason for a job to fail
            gone = self._gone()
            return [f"{gone} Then call spark.stop(), and attach again."] if gone else []
