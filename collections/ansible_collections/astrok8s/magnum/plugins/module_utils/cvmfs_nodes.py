# Copyright: astrok8s contributors
# Apache-2.0
"""What each worker of a cluster has of CVMFS, as a pod of no privileges sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CONFIGURATION = "astrok8s/configuration"
"""Annotation of the clients' pods: which configuration they have read."""

BEFORE = "it has the configuration before"
"""Of a node whose turn has not come: a new configuration is to work on the first nodes that get it."""

CLIENT, READER = "client", "reader"
"""Containers of the clients' pods; with the driver csi there is no client among them."""

POLL = 1.0
"""Seconds between two looks."""

ANSWER_SECONDS = 20
"""For a repository to list and to give a file."""

LINES = 3
"""Of what a client says of a repository, how much is told."""

TOGETHER = 16
"""Nodes that are looked at together."""

LOOK = f"""
import os, signal, sys
def wrong(path):
    folders = [path]
    try:
        os.listdir(path)
        with open("/proc/self/mounts") as mounts:
            if not any(line.split()[1] == path and line.split()[2].startswith("fuse") for line in mounts):
                return "it is not mounted"
        for folder in folders:
            for entry in os.scandir(folder):
                if entry.is_file(follow_symlinks=False):
                    with open(entry.path, "rb") as file:
                        file.read(4096)
                    return ""
                if entry.is_dir(follow_symlinks=False) and len(folders) < 100:
                    folders.append(entry.path)
    except FileNotFoundError:
        return "it is not mounted"
    except OSError as error:
        return f"{{error.filename or path}} cannot be read: {{error.strerror}}"
    return ""
for fqrn in sys.argv[1:]:
    if os.fork() == 0:
        signal.alarm({ANSWER_SECONDS})
        line = fqrn + "\\t" + wrong("/cvmfs/" + fqrn) + "\\n"
        os.write(1, line.encode())  # at once: others write, too
        os._exit(0)
for _ in sys.argv[1:]:
    os.wait()
"""
"""Runs in a pod; prints for each repository what is wrong with it. A read that hangs is ended by the alarm."""

Found = dict[str, dict[str, str]]
"""Per node and repository, what is wrong; nothing if it lists and gave a file."""


class CvmfsError(Exception):
    """Which repository is missing on which node, and why."""


class Nodes:
    """The workers of a cluster.

    Args:
        kubeconfig: An administrator's.
        namespace: Of the clients' pods.
        name: Of their DaemonSet, which is also their label.
        repositories: Those that each node is to have.
    """

    def __init__(self, kubeconfig: Mapping[str, Any], namespace: str, name: str, repositories: Sequence[str]) -> None:
        from kubernetes import client, config

        # its files for certificates go when the process ends
        self._configuration = config.new_client_from_config_dict(dict(kubeconfig)).configuration
        self._core, self._apps = self._api(), client.AppsV1Api(client.ApiClient(self._configuration))
        self._namespace, self._name, self._repositories = namespace, name, list(repositories)

    def _api(self) -> Any:
        from kubernetes import client

        return client.CoreV1Api(client.ApiClient(self._configuration))

    def wait(self, timeout: float) -> Found:
        """Wait until each node lists each repository and has read a file of it.

        Args:
            timeout: Seconds at most.

        Raises:
            CvmfsError: Not in time: which repository, on which nodes, why, and what the client says.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        end = time.monotonic() + timeout
        while True:
            try:
                found = self.look()
                if found and not missing(found):
                    return found
                if time.monotonic() > end:
                    raise CvmfsError(self._tell(found, timeout))
            except (ApiException, HTTPError) as error:
                if time.monotonic() > end:
                    raise CvmfsError(f"the cluster's API does not say what its nodes have: {error}") from error
            time.sleep(POLL)

    def look(self) -> Found:
        """Return what is wrong on each node now."""
        set_ = self._apps.read_namespaced_daemon_set(self._name, self._namespace)
        wanted = (set_.spec.template.metadata.annotations or {}).get(CONFIGURATION)
        pods = {pod.spec.node_name: pod for pod in self._pods()}
        with ThreadPoolExecutor(TOGETHER) as pool:
            workers = self._workers()
            return dict(zip(workers, pool.map(lambda node: self._on(pods.get(node), wanted), workers), strict=True))

    def _pods(self) -> list[Any]:
        pods = self._core.list_namespaced_pod(
            self._namespace, label_selector=f"app.kubernetes.io/name={self._name}"
        ).items
        # the one that is to stay comes last
        return sorted(pods, key=lambda pod: pod.metadata.deletion_timestamp is None)

    def _workers(self) -> list[str]:
        """Return the nodes that are Ready and no control plane."""
        return [
            node.metadata.name
            for node in self._core.list_node(label_selector="!node-role.kubernetes.io/control-plane").items
            if any(state.type == "Ready" and state.status == "True" for state in node.status.conditions or [])
        ]

    def _on(self, pod: Any, wanted: str | None) -> dict[str, str]:
        reason = _not_running(pod) or ("" if (pod.metadata.annotations or {}).get(CONFIGURATION) == wanted else BEFORE)
        return dict.fromkeys(self._repositories, reason) if reason else self._seen_in(pod)

    def _seen_in(self, pod: Any) -> dict[str, str]:
        from kubernetes.client import ApiException
        from kubernetes.stream import stream

        command = ["python3", "-c", LOOK, *self._repositories]
        try:
            # a client of its own: `stream` changes it while it is used
            said = stream(
                self._api().connect_get_namespaced_pod_exec,
                pod.metadata.name,
                self._namespace,
                container=READER,
                command=command,
                stdout=True,
                stderr=False,
                stdin=False,
                tty=False,
                _request_timeout=ANSWER_SECONDS + 10,
            )
        except ApiException as error:
            return dict.fromkeys(self._repositories, f"nothing runs in its pod: {error.reason}")
        told = {fqrn: reason for fqrn, _, reason in (line.partition("\t") for line in said.splitlines())}
        return {fqrn: told.get(fqrn, f"it does not answer within {ANSWER_SECONDS} s") for fqrn in self._repositories}

    def _tell(self, found: Found, timeout: float) -> str:
        if not found:
            return f"waited {timeout:.0f} s for a worker that is Ready; see `kubectl get nodes`"
        return (
            f"waited {timeout:.0f} s until every node has every repository. {describe(found, self._says)}. Correct its "
            "server_urls and public_key, cvmfs_proxies, or the way there, and run it again; or take the repository off "
            "the list"
        )

    def _says(self, node: str, fqrn: str) -> str:
        """Return the last lines that a node's client said of a repository, or at all."""
        from kubernetes.client import ApiException

        pod = next((pod for pod in reversed(self._pods()) if pod.spec.node_name == node), None)
        if pod is None or CLIENT not in [container.name for container in pod.spec.containers]:
            return ""
        try:
            log = str(
                self._core.read_namespaced_pod_log(pod.metadata.name, self._namespace, container=CLIENT, tail_lines=500)
            )
        except ApiException:
            return ""
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        ours = [line for line in lines if fqrn in line] or lines
        return "the client says: " + " / ".join(dict.fromkeys(ours[-LINES:])) if ours else "the client says nothing"


def missing(found: Found) -> dict[tuple[str, str], list[str]]:
    """Return the nodes that lack a repository, by the repository and what is wrong with it."""
    lacking: dict[tuple[str, str], list[str]] = {}
    for node, repositories in sorted(found.items()):
        for fqrn, reason in repositories.items():
            if reason:
                lacking.setdefault((fqrn, reason), []).append(node)
    return lacking


def describe(found: Found, says: Callable[[str, str], str]) -> str:
    """Return which repositories are missing where and why, and where nothing was tried yet.

    Args:
        found: What is wrong.
        says: Returns what the client of a node says of a repository.
    """
    lacking = missing(found)
    told = []
    for (fqrn, reason), nodes in lacking.items():
        if reason != BEFORE:
            said = says(nodes[0], fqrn)
            told.append(f"repository {fqrn} on node {', '.join(nodes)}: {reason}{f' ({said})' if said else ''}")
    if waiting := {node: None for (_, reason), nodes in lacking.items() if reason == BEFORE for node in nodes}:
        told.append(f"node {', '.join(waiting)}: {BEFORE}, until the new one works elsewhere")
    return ". ".join(told)


def _not_running(pod: Any) -> str:
    """Return why nothing can be run in a node's pod; nothing if it can."""
    if pod is None:
        return "its client has no pod yet"
    statuses = {status.name: status for status in pod.status.container_statuses or []}
    for name in (CLIENT, READER):
        state = statuses[name].state if name in statuses else None
        if state and state.waiting and state.waiting.reason != "ContainerCreating":
            return f"its {name} waits: {state.waiting.reason}: {state.waiting.message or 'no message'}"
    reader = statuses.get(READER)
    return "" if reader and reader.state.running else "its pod is starting"
