"""Brings one cluster from what is to what Magnum wants, as often as needed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from localcloud import cgroups, limits, network
from localcloud.build import Artifacts
from localcloud.cluster import addons, config, pki
from localcloud.cluster.api import Api
from localcloud.cluster.node import NETWORK, Node, NodeBook, load_balancers
from localcloud.cluster.spec import NodeStatus, Spec, Status
from localcloud.settings import Settings
from localcloud.state import read_json, write_json
from localcloud.supervisor import Supervisor

READY_TIMEOUT = 600.0
"""Seconds for each awaited state of a cluster, at most."""

POLL = 0.1
"""Seconds between two looks at what is awaited."""

DRAIN_GRACE = 120
"""Seconds that pods of a node on its way out have to end."""


ROTATION = "rotation.json"
"""Which of the spec's rotations the keys and certificates are of."""


class Superseded(Exception):  # noqa: N818 - not an error
    """Magnum asked for something else meanwhile: begin again with that."""


class Reconciler:
    """The work on one cluster.

    Args:
        settings: Of this localcloud.
        artifacts: Binaries and node image for new nodes.
        uuid: The cluster's UUID.
        network_number: Its number among the clusters, which gives its addresses.
        log: Takes lines for the controller's log.
    """

    def __init__(
        self,
        settings: Settings,
        artifacts: Artifacts,
        uuid: str,
        network_number: int,
        log: Callable[[str], None],
    ) -> None:
        self._settings, self._artifacts, self._number = settings, artifacts, network_number
        self._folder = settings.clusters / uuid
        self._supervisor = Supervisor(settings)
        self._book = NodeBook(settings, uuid)
        self._log = log

    def run(self, spec: Spec) -> Status:
        """Make the cluster as the spec says, and return what was reached.

        Raises:
            Superseded: The spec on disk is a newer one.
            OSError: Something failed that another try may cure.
            RuntimeError: The same.
        """
        if spec.deleted:
            return self._delete(spec)
        self._tell(spec, "the control plane's certificates")
        self._book.add_missing(spec, self._number)
        self._book.save()
        rotated = self._rotate(spec)
        api = self._prepare()
        self._start_nodes(api.server)
        self._await(spec, "the API server", lambda: api.ready())
        self._start_after_api()
        self._apply(api, addons.manifests(self._artifacts))
        surplus = self._book.plan(spec)
        kept = [node for node in self._book.nodes if node not in surplus]
        self._await(spec, "nodes to be Ready", lambda: _unready(api, kept))
        self._label(api, kept)
        if rotated:
            addons.restart(api, f"{addons.manifests(self._artifacts)}\n---\n{self._load_balancer()}")
            write_json(self._folder / ROTATION, spec.rotation)
        if surplus:
            self._tell(spec, f"the pods of {', '.join(node.name for node in surplus)} to end")
            self._drain(api, surplus)
            for node in surplus:
                self._remove(node)
        self._await(spec, "cluster DNS", lambda: "" if api.available("kube-system", "coredns") else "not available")
        return self.observe(spec)

    def complete(self) -> None:
        """Add what a cluster that is ready has besides, and nobody waits for: load balancers.

        Raises:
            RuntimeError: Something failed that another try may cure.
        """
        api = self._api()
        self._apply(api, addons.definitions())
        api.kubectl("wait", "--for=condition=Established", "-f", "-", "--timeout=60s", text=addons.definitions())
        self._apply(api, self._load_balancer())

    def _load_balancer(self) -> str:
        return addons.load_balancer(self._artifacts, load_balancers(self._settings, self._number))

    def observe(self, spec: Spec) -> Status:
        """Return the state of a cluster that has been brought up."""
        api = self._api()
        try:
            reasons = api.nodes()
        except OSError as error:
            why = f"the API server does not answer: {error}"
            return self._status(spec, "ready", {node.name: why for node in self._book.nodes}, api=why)
        return self._status(spec, "ready", reasons)

    # -- making ------------------------------------------------------------------
    def _prepare(self) -> Api:
        master = next(node for node in self._book.nodes if node.is_master)
        authority = pki.Authority(self._folder / "pki")
        pki.control_plane(authority, str(master.address(self._settings)), master.name)
        kubeconfig = self._folder / "pki/localcloud.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(authority.kubeconfig("localcloud", self._server()))
        return self._api()

    def _rotate(self, spec: Spec) -> bool:
        """Make all keys and certificates anew if Magnum wants so; return whether it does.

        Killed in the middle, it is done from the beginning: the mark is written at the end.
        """
        mark = self._folder / ROTATION
        if spec.rotation == (read_json(mark, int) or 0):
            return False
        self._log(f"{spec.name}: making keys and certificates anew")
        folder = self._folder / "pki"
        for path in (*folder.glob("*.crt"), *folder.glob("*.key")):
            # Magnum's own authority, and the key that tokens of running pods are signed with
            if path.stem not in ("ca", "sa"):
                path.unlink()
        server = self._prepare().server
        authority = pki.Authority(folder)
        nodes = sorted(self._book.nodes, key=lambda node: not node.is_master)
        for node in nodes:
            config.write_node_files(self._settings, self._artifacts, authority, node, server)
        running = self._supervisor.groups()
        for node in nodes:
            names = self._supervisor.programs(node.name) if node.name in running else set()
            for program in config.CERTIFIED:
                if program in names:
                    self._supervisor.restart(node.name, program)
        return True

    def _server(self) -> str:
        master = next(node for node in self._book.nodes if node.is_master)
        return f"https://{master.address(self._settings)}:{config.API_PORT}"

    def _api(self) -> Api:
        return Api(self._server(), self._folder / "pki", self._artifacts.bin / "kubectl")

    def _start_nodes(self, server: str) -> None:
        """Start the nodes that do not run yet, all at once."""
        running = self._supervisor.groups()
        new = [node for node in self._book.nodes if node.name not in running]
        if not new:
            return
        limits.check_inotify(len(new), sum(node.is_master for node in new))
        network.ensure_bridge(self._settings)
        authority = pki.Authority(self._folder / "pki")
        groups = {}
        for node in new:
            self._log(f"starting node {node.name} ({node.address(self._settings)})")
            copy_golden(self._artifacts.golden, node.root(self._settings))
            config.write_node_files(self._settings, self._artifacts, authority, node, server)
            groups[node.name] = config.programs(self._settings, node)
        self._supervisor.add_groups(groups, self._settings.logs / self._folder.name)

    @staticmethod
    def _apply(api: Api, objects: str) -> None:
        api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=objects)

    def _start_after_api(self) -> None:
        for node in self._book.nodes:
            if node.is_master:
                for program in config.AFTER_API:
                    self._supervisor.signal(node.name, program, "start")

    def _label(self, api: Api, nodes: list[Node]) -> None:
        """Give nodes the role labels that a kubelet may not give itself."""
        labelled = api.get("/api/v1/nodes?labelSelector=localcloud.astrok8s/labelled")["items"]
        done = {node["metadata"]["name"] for node in labelled}
        for role, word in (("master", "control-plane"), ("worker", "worker")):
            names = [node.name for node in nodes if node.name not in done and node.is_master == (role == "master")]
            if names:
                label = f"node-role.kubernetes.io/{word}="
                api.kubectl("label", "--overwrite", "node", *names, label, "localcloud.astrok8s/labelled=")

    # -- unmaking ----------------------------------------------------------------
    def _drain(self, api: Api, nodes: list[Node]) -> None:
        """Move the pods of nodes away, all at once: budgets of disruption slow it down as they must."""
        registered = api.nodes()
        leaving = [node for node in nodes if node.name in registered]
        if leaving:
            # first of all, so that no pod moves to a node that leaves, too
            api.kubectl("cordon", *(node.name for node in leaving))
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda node: self._drain_one(api, node), leaving))

    def _drain_one(self, api: Api, node: Node) -> None:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={DRAIN_GRACE}s")
        try:
            api.kubectl("drain", node.name, *options, timeout=DRAIN_GRACE + 30)
        except RuntimeError as error:
            # as a cloud does: a pod that will not end does not keep its machine
            self._log(f"{node.name} is removed with pods still on it: {error}")
        api.kubectl("delete", "node", node.name, "--ignore-not-found")

    def _remove(self, node: Node) -> None:
        self._log(f"removing node {node.name}")
        self._supervisor.remove_group(node.name, first="machine")
        network.remove_node(f"{self._settings.device}-{node.namespace}")
        cgroups.remove(config.cgroup(self._settings, node))
        shutil.rmtree(node.folder(self._settings), ignore_errors=True)
        for pair in (self._folder / "pki").glob(f"{node.name}.*"):
            pair.unlink()
        self._book.strike(node)

    def _delete(self, spec: Spec) -> Status:
        for node in list(self._book.nodes):
            self._tell(spec, f"node {node.name} to be removed")
            self._remove(node)
        shutil.rmtree(self._settings.logs / self._folder.name, ignore_errors=True)
        shutil.rmtree(self._folder / "pki", ignore_errors=True)
        shutil.rmtree(self._folder / "nodes", ignore_errors=True)
        for name in ("nodes.json", NETWORK, ROTATION):
            (self._folder / name).unlink(missing_ok=True)
        return Status(spec.generation, "gone")

    # -- telling -----------------------------------------------------------------
    def _status(self, spec: Spec, phase: str, reasons: dict[str, str], api: str = "") -> Status:
        nodes = tuple(
            NodeStatus(
                node.name,
                node.group,
                str(node.address(self._settings)),
                reasons.get(node.name, "not registered") == "",
                reasons.get(node.name, "the kubelet has not registered it yet"),
            )
            for node in self._book.nodes
        )
        return Status(
            spec.generation,
            phase,
            api=api,
            api_address=self._server(),
            versions=self._artifacts.versions,
            nodes=nodes,
        )

    def _tell(self, spec: Spec, waiting_for: str) -> None:
        self._superseded(spec)
        known = Status.read(self._folder) or Status(0, "working", versions=self._artifacts.versions)
        replace(known, generation=spec.generation, phase="working", waiting_for=waiting_for).write(self._folder)

    def _await(self, spec: Spec, what: str, why_not: Callable[[], str]) -> None:
        """Wait until ``why_not`` returns no reason any more; tell what is awaited.

        Raises:
            Superseded: Magnum asked for something else.
            RuntimeError: Not within `READY_TIMEOUT`; with the last reason.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        told = None
        while True:
            try:
                reason = why_not()
            except OSError as error:
                reason = str(error)
            if not reason:
                return
            if reason != told:
                self._tell(spec, f"{what}: {reason}")
                told = reason
            else:
                self._superseded(spec)
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {READY_TIMEOUT:.0f} s for {what}: {reason}")
            time.sleep(POLL)

    def _superseded(self, spec: Spec) -> None:
        current = Spec.read(self._folder)
        if current is None or current.generation != spec.generation:
            raise Superseded


def _unready(api: Api, nodes: list[Node]) -> str:
    reasons = api.nodes()
    missing = [f"{n.name} ({reasons.get(n.name, 'not registered')})" for n in nodes if reasons.get(n.name, "?")]
    return "" if not missing else f"{len(nodes) - len(missing)} of {len(nodes)}; missing {missing[0]}"


def copy_golden(golden: Path, root: Path) -> None:
    """Give a node its image store: hard links, but real copies of what is written to.

    Args:
        golden: The golden node image.
        root: The node's root folder.
    """
    store = root / "var/lib/containerd"
    if store.exists():
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    temporary = store.with_name("containerd.new")
    shutil.rmtree(temporary, ignore_errors=True)
    links = subprocess.run(["cp", "-al", str(golden), str(temporary)], capture_output=True, check=False)
    if links.returncode:  # another file system
        shutil.rmtree(temporary, ignore_errors=True)
        subprocess.run(["cp", "-a", str(golden), str(temporary)], check=True)
    for database in temporary.rglob("*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.replace(database)
    temporary.replace(store)
