"""Whether pods of a cluster reach this machine, as executors must reach a driver here."""

import secrets
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from astrok8s._kubernetes import Account, SparkBase
from astrok8s.errors import AttachError

_ANSWER_S = 5
_POD_S = 20
_LABEL = "astrok8s/way"
_POLL_S = 0.25
_ASK = (
    "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()"
)


class WayBack:
    """A pod tries to reach this machine, while something else goes on here.

    Args:
        account: Who makes the pod.
        base: What the cluster tells of Spark in it.
        host: The address of this machine, as executors are told.
        bind: The address that the driver listens at.

    Attributes:
        reached: Whether the pod has reached this machine.
    """

    reached = False

    def __init__(self, account: Account, base: SparkBase, host: str, bind: str) -> None:
        self._base, self._host = base, host
        self._name = f"way-{secrets.token_hex(4)}"
        self._api = account.client()
        thread = ThreadPoolExecutor(1, "way")
        self._found: Future[str | None] = thread.submit(self._try, bind)
        thread.shutdown(wait=False)

    def is_closed(self) -> bool:
        """Returns whether it is known by now that the pod does not reach this machine."""
        return self._found.done() and not self._found.exception() and self._found.result() is not None

    def check(self) -> None:
        """Waits for the result.

        Raises:
            AttachError: The pod does not reach this machine.
        """
        if why := self._found.result():
            raise AttachError(
                f"The pods of the cluster do not reach this machine at {self._host}, as executors must: {why}.",
                remedy="Open the way (a firewall, or NAT, is in it), name another address by "
                "conf={'spark.driver.host': …}, or attach with mode='connect'.",
            )

    def _try(self, bind: str) -> str | None:
        """Returns why the pod does not reach us; None if it does, or nobody knows."""
        with socket.create_server((bind, 0)) as server:
            server.settimeout(_POLL_S)
            self._remove_left()
            self._api.create_namespaced_pod(self._base.namespace, self._pod(server.getsockname()[1]))
            try:
                return self._wait(server)
            finally:
                self._api.delete_namespaced_pod(self._name, self._base.namespace, grace_period_seconds=0)

    def _remove_left(self) -> None:
        """Removes the pods of processes that were killed while one tried; a pod has no other end of its own."""
        ended = "status.phase!=Pending,status.phase!=Running"
        self._api.delete_collection_namespaced_pod(self._base.namespace, label_selector=_LABEL, field_selector=ended)

    def _wait(self, server: socket.socket) -> str | None:
        deadline = time.monotonic() + _POD_S
        while time.monotonic() < deadline:
            try:
                server.accept()[0].close()
            except TimeoutError:
                if self._api.read_namespaced_pod(self._name, self._base.namespace).status.phase == "Failed":
                    return f"one has tried, for {_ANSWER_S} s at most"
            else:
                self.reached = True
                return None
        return None  # it does not run: what keeps it from that keeps executors, too, and is told of them

    def _pod(self, port: int) -> dict[str, Any]:
        return {
            "metadata": {"name": self._name, "labels": {_LABEL: self._name}},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "containers": [
                    {
                        "name": "way",
                        "image": self._base.image,
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["python3", "-c", _ASK, self._host, str(port), str(_ANSWER_S)],
                    }
                ],
            },
        }
