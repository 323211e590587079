"""The golden node image: containerd's folder with every image imported and unpacked.

A new node gets a copy by hard links, and so starts its first pod without importing anything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from localcloud.build import store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report

NAMESPACE = "k8s.io"
"""Where the kubelet's containerd plugin looks for images."""

START_SECONDS = 60

# The plugin for kubelets is not wanted: this containerd runs no container.
_CONFIG = """\
version = 2
root = "{root}"
state = "{work}/state"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{work}/opt"
"""


def containerd_version() -> str:
    """Return the version of this machine's containerd: a node's data is for that one.

    Raises:
        BuildError: There is no containerd.
    """
    return tools.output([tools.find("containerd", "containerd"), "--version"], "reinstall containerd").split()[2]


def entry(archives: Mapping[str, store.Entry]) -> store.Entry:
    """Return the cache entry of the golden image.

    Args:
        archives: Cache entry of each image, by its full reference.
    """
    names = [f"{reference} {archive.name}" for reference, archive in sorted(archives.items())]
    return store.Entry("golden", store.key(containerd_version(), _CONFIG, *names))


def build(target: store.Entry, archives: Mapping[str, Path], report: Report) -> None:
    """Import all images into a throw-away containerd.

    Args:
        target: What `entry` returned.
        archives: OCI archive of each image, by its full reference.
        report: Takes progress lines.

    Raises:
        BuildError: containerd did not start, or an image was not imported.
    """
    report(f"making the golden node image with {len(archives)} container images")
    with target.being_made() as work:
        with _containerd(work, target.log) as ctr:
            for reference, archive in sorted(archives.items()):
                name = reference.rpartition(":")[0]
                words: list[str | Path] = [
                    "images",
                    "import",
                    "--snapshotter",
                    "overlayfs",
                    "--base-name",
                    name,
                    archive,
                ]
                log = target.log.with_name(f"{target.log.stem}-{Path(name).name}.log")
                tools.run(f"the import of {reference} into containerd", ctr + words, log, report)
            there = tools.output([*ctr, "images", "list", "--quiet"], f"see {target.log}").split()
        if missing := sorted(set(archives) - set(there)):
            raise BuildError(
                f"containerd imported {', '.join(there) or 'nothing'} and not {', '.join(missing)}. "
                f"Remedy: remove the archive {archives[missing[0]]} so that it is made anew; see {target.log}"
            )
        # it names this containerd among others; each node's makes its own
        shutil.rmtree(work / "result/io.containerd.grpc.v1.introspection", ignore_errors=True)


@contextlib.contextmanager
def _containerd(work: Path, log: Path) -> Iterator[list[str | Path]]:
    """Run a containerd whose root is ``work/result``; give the command line of its client."""
    socket, config = work / "containerd.sock", work / "config.toml"
    config.write_text(_CONFIG.format(root=work / "result", work=work, socket=socket))
    ctr: list[str | Path] = [tools.find("ctr", "containerd"), "--address", socket, "--namespace", NAMESPACE]
    # the path of /run/containerd is built into it
    start = tools.private("/run/containerd")
    start += [tools.find("containerd", "containerd"), "--config", config]
    environment = {**os.environ, "PATH": tools.search_path()}
    with log.open("w") as file, subprocess.Popen(start, stdout=file, stderr=file, env=environment) as process:
        try:
            _wait_for(process, [*ctr, "version"], log)
            yield ctr
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], question: list[str | Path], log: Path) -> None:
    """Wait until containerd answers."""
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(question, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            state = "is still running" if process.returncode is None else f"ended with code {process.returncode}"
            tail = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-10:])
            raise BuildError(
                f"the containerd for the golden node image did not answer within {START_SECONDS} s and {state}. "
                f"Its last lines were:\n{tail}\nRemedy: see {log}"
            )
        time.sleep(0.05)
