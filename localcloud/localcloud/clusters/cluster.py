"""One cluster of the rack: the steps from what is there to what is wanted, each of which may be repeated."""

import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from functools import cached_property
from importlib import resources
from ipaddress import IPv4Network
from pathlib import Path

from localcloud import supervision
from localcloud.clusters import capacity, cgroups, description
from localcloud.clusters.addressing import Ranges, free_index
from localcloud.clusters.description import CLUSTERS, Spec, Status
from localcloud.clusters.kubectl import Kubectl
from localcloud.clusters.node import Node
from localcloud.clusters.pki import Authority
from localcloud.errors import LocalcloudError
from localcloud.home import write_private
from localcloud.waiting import TimeoutExpiredError, wait_for

# A node takes about two seconds to be Ready, on two idle cores; these are for machines with much else to do.
API_TIMEOUT_S = 180
READY_TIMEOUT_S = 300
DRAIN_TIMEOUT_S = 120
# Where the folder of a cluster goes when all that ran in it is gone.
REMOVED = CLUSTERS.with_name("removed-clusters")
# supervisord and the ranges are every cluster's.
_SHARED = threading.RLock()
_log = logging.getLogger("rack")


class Cluster:
    """What the rack does for one cluster.

    Args:
        folder: Its folder.
        spec: What is wanted of it.
        box: The name of the box.
        network: The /16 of the box.
    """

    def __init__(self, folder: Path, spec: Spec, box: str, network: IPv4Network) -> None:
        self._folder, self._spec, self._box, self._network = folder, spec, box, network
        self._kubectl = Kubectl(folder / "admin.kubeconfig")

    @cached_property
    def _ranges(self) -> Ranges:
        """Its ranges, which it keeps; the index of each cluster lies in its folder."""
        own = self._folder / "index"
        with _SHARED:
            if not own.exists():
                taken = {int(path.read_text(encoding="ascii")) for path in self._folder.parent.glob("*/index")}
                write_private(own, str(free_index(taken)))
        return Ranges(self._network, int(own.read_text(encoding="ascii")))

    def _node(self, number: int) -> Node:
        return Node(cluster=self._spec.name, box=self._box, number=number, ranges=self._ranges)

    def _node_folder(self, number: int) -> Path:
        return self._folder / "nodes" / str(number)

    def _numbers(self) -> list[int]:
        """Returns the numbers of the nodes that are there, whole or not."""
        return sorted(int(folder.name) for folder in (self._folder / "nodes").glob("*"))

    def converge(self) -> Status:
        """Makes the cluster what it should be.

        Returns:
            What was reached.

        Raises:
            LocalcloudError: It cannot be reached, or not in time.
        """
        authority = Authority(self._spec.ca_certificate, self._spec.ca_key)
        there = [number for number in self._numbers() if number]
        excess = self._excess(there)
        wanted = [number for number in there if number not in excess]
        free = (number for number in range(1, len(there) + self._spec.workers + 1) if number not in there)
        wanted += [next(free) for _ in range(self._spec.workers - len(wanted))]
        self._reserve([0, *wanted])
        self._write_credentials(authority)
        self._start([0, *wanted], authority)
        self._wait_for("the apiserver to answer", self._kubectl.answers, API_TIMEOUT_S)
        self._apply()
        for number in excess:
            self._remove_worker(number)
        self._wait_for_nodes([0, *wanted])
        self._kubectl.run("label", "node", self._node(0).name, "node-role.kubernetes.io/control-plane=", "--overwrite")
        self._wait_for("the cluster's DNS to be ready", self._kubectl.dns_is_ready, READY_TIMEOUT_S)
        return Status(
            generation=self._spec.generation,
            state="ready",
            version=self._kubectl.server_version(),
            api_url=self._ranges.api_url,
            control_plane=[self._node(0).address],
            workers=[self._node(number).address for number in sorted(wanted)],
        )

    def remove(self) -> None:
        """Removes the cluster with all that is in it."""
        for number in self._numbers():
            self._stop(number)
            self._forget(number)
        # In one step, or a rack that is killed here would leave a folder that nobody asks to remove.
        REMOVED.mkdir(mode=0o700, exist_ok=True)
        self._folder.rename(REMOVED / self._folder.name)
        remove_leftovers()

    def _excess(self, there: list[int]) -> list[int]:
        """Returns the workers that must go: those that the user named, then the youngest."""
        count = max(0, len(there) - self._spec.workers)
        named = {
            number for number in there if {self._node(number).name, self._node(number).address} & {*self._spec.remove}
        }
        return sorted(there, key=lambda number: (number in named, number), reverse=True)[:count]

    def _write_credentials(self, authority: Authority) -> None:
        path = self._kubectl.kubeconfig
        if not path.exists():
            pair = authority.issue("localcloud", ["system:masters"])
            write_private(path, authority.kubeconfig(self._ranges.api_url, pair))

    def _reserve(self, numbers: list[int]) -> None:
        """Makes the folders of nodes that are not there yet, by which the other clusters know of them."""
        with _SHARED:
            there = [int(path.name) for path in self._folder.parent.glob("*/nodes/*")]
            new = [number for number in numbers if not self._node_folder(number).exists()]
            if new:
                capacity.check(there, new)
            for number in new:
                self._node_folder(number).mkdir(mode=0o700, parents=True)

    def _start(self, numbers: list[int], authority: Authority) -> None:
        """Makes nodes and lets supervisord start them; one after the other, since the first are busy starting then."""
        for number in numbers:
            node, folder = self._node(number), self._node_folder(number)
            node.write(folder, authority)
            supervision.write_node(folder, node.link)
            with _SHARED:
                supervision.start_written()

    def _apply(self) -> None:
        """Applies what every cluster has, in one call: each takes half a second to learn what the apiserver knows."""
        folder = resources.files("localcloud.clusters").joinpath("manifests")
        texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir(), key=lambda path: path.name)]
        text = "---\n".join(texts).replace("$DNS_SERVICE", str(self._ranges.dns_service))
        self._kubectl.run("apply", "--filename=-", stdin=text)

    def _remove_worker(self, number: int) -> None:
        """Lets a worker's pods go elsewhere, then removes it."""
        name = self._node(number).name
        known = {
            node["metadata"]["name"] for node in json.loads(self._kubectl.run("get", "nodes", "-o", "json"))["items"]
        }
        if name in known:
            options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={DRAIN_TIMEOUT_S}s")
            for line in self._kubectl.run("drain", name, *options).splitlines():
                _log.info("%s: %s", self._spec.name, line)
        self._stop(number)
        self._kubectl.run("delete", "node", name, "--ignore-not-found")
        self._forget(number)  # last: as long as the folder is there, an interrupted removal is done again

    def _stop(self, number: int) -> None:
        (self._node_folder(number) / "program.conf").unlink(missing_ok=True)
        with _SHARED:
            supervision.stop_node(self._node(number).link)

    def _forget(self, number: int) -> None:
        cgroups.remove_node(self._node(number).cgroup)
        shutil.rmtree(self._node_folder(number))

    def _wait_for_nodes(self, numbers: list[int]) -> None:
        """Waits until nodes are Ready; if they are not in time, tells which, and what the first suffers from."""
        names = {self._node(number).name: number for number in numbers}

        def missing() -> list[str]:
            ready = self._kubectl.ready_nodes()
            return [name for name in names if name not in ready]

        def why() -> str:
            late = missing()
            return f" Not Ready: {', '.join(late)}.{self._last_line(names[late[0]], 'kubelet')}" if late else ""

        self._wait_for(f"{len(names)} nodes to be Ready", lambda: not missing(), READY_TIMEOUT_S, why)

    def _wait_for(
        self, what: str, predicate: Callable[[], bool], timeout_s: float, why: Callable[[], str] | None = None
    ) -> None:
        """Waits for what was asked of a cluster, and no longer than its create_timeout allows.

        Args:
            what: As of `wait_for`.
            predicate: As of `wait_for`.
            timeout_s: As of `wait_for`.
            why: Tells why it does not hold then; what a missing control plane suffers from if left out.
        """
        left_s = timeout_s if self._spec.deadline is None else self._spec.deadline - time.time()
        over = "" if left_s >= timeout_s else "Its create_timeout is over. "
        logs = f"See nodes/*/root/var/log in {self._folder} of this cloud's home."
        try:
            wait_for(what, predicate, timeout_s=max(0.0, min(timeout_s, left_s)), remedy=f"{over}{logs}")
        except TimeoutExpiredError as error:
            reason = why() if why else self._last_line(0, "kube-apiserver")
            raise TimeoutExpiredError(error.fact, remedy=f"{error.remedy}{reason}") from error

    def _last_line(self, number: int, program: str) -> str:
        """Returns the last line that a program of a node wrote as an error, else its last one."""
        log = self._node_folder(number) / f"root/var/log/{program}.log"
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = [line for line in lines if re.match(r"[EF]\d{4} ", line)]  # as Kubernetes marks them
            return f" The {program} of {self._node(number).name} said: {(errors or lines)[-1]}"
        except (OSError, IndexError):
            return ""


def remove_leftovers() -> None:
    """Removes what is left of clusters that are gone."""
    shutil.rmtree(REMOVED, ignore_errors=True)


def failed(spec: Spec, error: Exception) -> Status:
    """Returns what to say of a cluster that does not become what is wanted."""
    reason = (
        f"{error.fact} {error.remedy}" if isinstance(error, LocalcloudError) else f"{type(error).__name__}: {error}"
    )
    return Status(generation=spec.generation, state="failed", reason=reason)


def is_settled(folder: Path, spec: Spec) -> bool:
    """Returns whether nothing is left to do for a cluster, be it reached or failed."""
    status = description.read_status(folder)
    return status is not None and status.generation == spec.generation and status.state != "working"
