"""The images that a cluster's own parts run in: pause, busybox, CoreDNS, local-path-provisioner, MetalLB."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from localcloud.build import buildah, programs, store, tools
from localcloud.build.tools import Report

CONTEXT = Path(__file__).parent / "system"


def references() -> dict[str, str]:
    """Return the reference of each image by name, under the names that clusters know them by."""
    versions = programs.versions()
    return {
        "pause": "registry.k8s.io/pause:3.10",
        "busybox": "docker.io/library/busybox:1.36",
        "coredns": f"registry.k8s.io/coredns/coredns:{versions['coredns']}",
        "local-path-provisioner": f"docker.io/rancher/local-path-provisioner:{versions['local-path-provisioner']}",
        "metallb-controller": f"quay.io/metallb/controller:{versions['metallb']}",
        "metallb-speaker": f"quay.io/metallb/speaker:{versions['metallb']}",
    }


def _program(name: str, binaries: Path) -> Path:
    """Return the program that an image holds."""
    if name == "busybox":
        return Path(tools.find("busybox", "busybox-static"))
    return binaries / name


def entries(binaries: store.Entry) -> dict[str, store.Entry]:
    """Return the cache entry of each image by name.

    Args:
        binaries: The programs' cache entry.

    Raises:
        BuildError: There is no busybox on this machine.
    """
    recipe = store.folder_key(CONTEXT)
    busybox = store.key(recipe, _program("busybox", binaries.path).read_bytes())
    other = store.key(recipe, binaries.name)
    return {
        name: buildah.entry(name, store.key(reference, busybox if name == "busybox" else other))
        for name, reference in references().items()
    }


def build(name: str, target: store.Entry, binaries: Path, report: Report) -> None:
    """Build one of the images.

    Args:
        name: Which one.
        target: Its cache entry.
        binaries: Folder of the programs.
        report: Takes progress lines.
    """
    reference = references()[name]
    report(f"building the image {reference}")
    with target.being_made() as work:
        context = work / "context"
        shutil.copytree(CONTEXT, context)
        program = _program(name, binaries)
        try:
            os.link(program, context / name)
        except OSError:  # another file system
            shutil.copy2(program, context / name)
        buildah.build(context, work / "result", reference, target.log, report, target=name)
