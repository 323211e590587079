"""Jars that the cluster's image has and this Python's pyspark lacks, such as those for S3 and Avro.

They come from the image itself, once: a pod of it hands them over. So they are the executors' versions, a site's own
are among them, and the notebook needs neither Maven nor a way to the internet.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from astrok8s._errors import AttachError
from astrok8s._forward import ForwardError, PodPort
from astrok8s._kube import SparkBase, why_no_executors

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

PORT = 8000
DEADLINE = 120.0
"""Seconds for the pod to start; the image may not be on the node yet."""


def class_path(api: CoreV1Api, base: SparkBase, say: Callable[[str], None]) -> str:
    """Return the class path of the jars, fetched if they are not in the cache.

    Raises:
        AttachError: The cluster does not hand them over.
    """
    folder = _cache() / _key(api, base.image)
    if not folder.is_dir():
        say(f"fetching the jars that pyspark lacks from the image {base.image}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as work:
            made = Path(work, "jars")
            made.mkdir()
            with _handing_over(api, base) as port:
                _fetch(port, made)
            try:
                made.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
        _forget_others(folder)
    return f"{folder}/*"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s" / "jars"


def _key(api: CoreV1Api, image: str) -> str:
    """Return a name for what an image holds: its digest or its size, where a node tells; else what it is called."""
    for node in api.list_node().items:
        for there in node.status.images or []:
            if image in (there.names or []):
                told = " ".join([*sorted(there.names), str(there.size_bytes)])
                return hashlib.sha256(told.encode()).hexdigest()[:16]
    return hashlib.sha256(image.encode()).hexdigest()[:16]


@contextmanager
def _handing_over(api: CoreV1Api, base: SparkBase) -> Iterator[PodPort]:
    """Give the port of a pod that shows the image's jars, while this lasts."""
    name = f"jars-{secrets.token_hex(3)}"
    program = f'exec python3 -m http.server {PORT} --bind 127.0.0.1 --directory "$SPARK_HOME/jars"'
    api.create_namespaced_pod(
        base.namespace,
        {
            "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "jars", "pod": name}},
            "spec": {
                "restartPolicy": "Never",
                "activeDeadlineSeconds": int(DEADLINE + 60),
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "jars",
                        "image": base.image,
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["sh", "-c", program],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                        "readinessProbe": {
                            "exec": {"command": ["bash", "-c", f"</dev/tcp/127.0.0.1/{PORT}"]},
                            "periodSeconds": 1,
                        },
                    }
                ],
            },
        },
    )
    try:
        _wait(api, base, name)
        yield PodPort(api, base.namespace, name, PORT)
    except ForwardError as error:
        raise AttachError(
            f"the jars of the image {base.image} cannot be fetched: {error}; see whether "
            f"`kubectl port-forward` works on this cluster, and attach again"
        ) from error
    finally:
        api.delete_namespaced_pod(name, base.namespace)


def _wait(api: CoreV1Api, base: SparkBase, name: str) -> None:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        state = api.read_namespaced_pod(name, base.namespace).status
        if any(condition.type == "Ready" and condition.status == "True" for condition in state.conditions or []):
            return
        if state.phase in ("Failed", "Succeeded"):
            break
        time.sleep(0.2)
    why = why_no_executors(api, base.namespace, f"pod={name}") or [f"{name} was not ready within {DEADLINE:.0f} s"]
    raise AttachError(
        f"a pod of the image {base.image} does not start, so no executor would: {'; '.join(why)}\n"
        "Set that right (another image, a larger cluster) and attach again."
    )


def _fetch(port: PodPort, folder: Path) -> None:
    import pyspark

    have = {path.name for path in Path(pyspark.__file__).parent.glob("jars/*.jar")}
    listed = re.findall(r'href="([\w.+-]+\.jar)"', port.read("/").decode())
    for name in sorted(set(listed) - have):
        (folder / name).write_bytes(port.read(f"/{name}"))


def _forget_others(folder: Path) -> None:
    """Remove what no session used for a quarter; a running session has its jars open."""
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > 90 * 24 * 3600:
            shutil.rmtree(other, ignore_errors=True)
