"""A localcloud for measurements, and what Magnum's users do with it."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openstack
from kubernetes import client, config
from urllib3.exceptions import HTTPError

REPOSITORY = Path(__file__).parents[1]
NUMBER = 5
CLOUD = f"local{NUMBER}"
POLL = 0.1
TIMEOUT = 300.0


def cache() -> Path:
    """Return the folder of cached builds: nodes get their images from there by hard links."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a folder beside the cache, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-", dir=cache()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def localcloud() -> Iterator[Path]:
    """Bring up a localcloud; give its home folder."""
    with scratch("cloud") as folder:
        os.environ.update(
            LOCALCLOUD_HOME=str(folder / "home"),
            LOCALCLOUD_NUMBER=str(NUMBER),
            OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"),
            OS_CLOUD=CLOUD,
        )
        subprocess.run(["localcloud", "up"], check=True)
        try:
            yield folder / "home"
        finally:
            subprocess.run(["localcloud", "destroy", "--yes"], check=True)


def magnum() -> Any:
    """Return the client of Magnum's API."""
    return openstack.connect(cloud=CLOUD).container_infrastructure_management


def wait(api: Any, name: str, state: str, begun: float) -> float:
    """Return the seconds until a cluster has a state; with ``CREATE_COMPLETE`` all its nodes are Ready."""
    while True:
        answer = api.get(f"/clusters/{name}")
        status = answer.json()["status"] if answer.status_code == 200 else "not there yet"
        seconds = time.monotonic() - begun
        if status == state:
            return seconds
        if status.endswith("_FAILED") or seconds > TIMEOUT:
            raise SystemExit(f"{name} is {status} after {seconds:.0f} s: {answer.text}")
        time.sleep(POLL)


def create(*names: str, workers: int) -> float:
    """Return the seconds from the first POST until all clusters are CREATE_COMPLETE."""
    api = magnum()
    template = next(iter(api.cluster_templates()))
    begun = time.monotonic()
    uuids = [api.create_cluster(name=name, cluster_template_id=template.id, node_count=workers).id for name in names]
    return max(wait(api, uuid, "CREATE_COMPLETE", begun) for uuid in uuids)


def resize(name: str, workers: int) -> float:
    """Return the seconds until a cluster has its new size."""
    api = magnum()
    begun = time.monotonic()
    api.post(f"/clusters/{name}/actions/resize", json={"node_count": workers}, microversion="1.7")
    return wait(api, name, "UPDATE_COMPLETE", begun)


def delete(*names: str) -> None:
    """Delete clusters and wait until they are gone."""
    api = magnum()
    for name in names:
        api.delete_cluster(name)
    for name in names:
        while api.get(f"/clusters/{name}").status_code != 404:
            time.sleep(POLL)


def folder_of(home: Path, name: str) -> Path:
    """Return the folder in which localcloud keeps a cluster."""
    (uuid,) = (cluster.id for cluster in magnum().clusters() if cluster.name == name)
    return home / "clusters" / str(uuid)


def restart(home: Path, folder: Path) -> float:
    """Kill all processes of the cloud; return the seconds from `localcloud up` until a cluster's nodes are back.

    Args:
        home: The cloud's folder.
        folder: The cluster's.
    """
    nodes = {path.name for path in (folder / "nodes").iterdir()}
    killed = datetime.datetime.now(datetime.UTC)
    # every other process is tied to it, and dies with it
    os.kill(int((home / "run/supervisord.pid").read_text()), signal.SIGKILL)
    begun = time.monotonic()
    subprocess.run(["localcloud", "up"], check=True)
    with config.new_client_from_config(str(folder / "pki/localcloud.kubeconfig")) as api:
        while _alive(api, killed) != nodes:
            if time.monotonic() - begun > TIMEOUT:
                raise SystemExit(f"the nodes of {folder} are not back after {TIMEOUT:.0f} s")
            time.sleep(POLL)
    return time.monotonic() - begun


def _alive(api: Any, since: datetime.datetime) -> set[str]:
    """Return the nodes whose kubelet has said after a moment that it lives."""
    try:
        leases = client.CoordinationV1Api(api).list_namespaced_lease("kube-node-lease", _request_timeout=5).items
    except (client.ApiException, HTTPError):
        return set()
    return {lease.metadata.name for lease in leases if lease.spec.renew_time > since}
