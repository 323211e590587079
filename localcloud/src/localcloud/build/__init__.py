"""Everything that is built once and cached: programs, images, the golden node image, squid, the demo repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localcloud.build import buildah, demo_repository, golden, images, programs, squid, store, system_images
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report, system_packages
from localcloud.settings import cache

__all__ = ["Artifacts", "BuildError", "everything", "system_packages"]


@dataclass(frozen=True)
class Artifacts:
    """What was built.

    Attributes:
        bin: Folder of the programs: ``kube``, and links to it named ``kubectl``, ``kubelet``, ``etcd``…
        golden: containerd's root folder, to be copied by hard links, the ``*.db`` files really.
        versions: Version of each program by name, as its project writes it: ``kubernetes`` is ``v1.34.4``.
        images: Reference of each image that the golden node image holds, by name.
        squid: Folder with what the packages of squid have.
        demo: Folder of the CVMFS demo repository, not yet signed: see `localcloud.cvmfs.prebuilt`.
    """

    bin: Path
    golden: Path
    versions: dict[str, str]
    images: dict[str, str]
    squid: Path
    demo: Path


def everything(folder: Path, report: Report) -> Artifacts:
    """Build what is not built yet; quick when nothing changed.

    Args:
        folder: Has a folder for each image of ours, with a Containerfile; nodes hold them from the start.
        report: Takes a line for each thing that takes longer than a moment.

    Returns:
        Where everything is, and the versions.

    Raises:
        BuildError: A tool is missing or a build failed.
    """
    plan = _Plan(folder)
    if not plan.finished():
        with store.locked(report):
            plan.build(report)
            store.prune([entry for entry in plan.entries() if entry.finished])
    return plan.artifacts()


def state(folder: Path) -> str:
    """Return whether everything is built.

    Args:
        folder: As of `everything`.
    """
    return f"in {cache()}" if _Plan(folder).finished() else "not made yet; `localcloud up` makes them"


class _Plan:
    """What to build, from the inputs as they are now."""

    def __init__(self, folder: Path) -> None:
        self._folders = images.folders(folder)
        self._programs = programs.entry()
        self._system = system_images.entries(self._programs)
        self._own = {name: images.entry(path) for name, path in self._folders.items()}
        self._archives = {**self._system, **self._own}
        self._references = {
            **system_images.references(),
            **{name: images.reference(path) for name, path in self._folders.items()},
        }
        self._squid, self._demo = squid.entry(), demo_repository.entry()
        self._golden = golden.entry({self._references[name]: entry for name, entry in self._archives.items()})

    def entries(self) -> list[store.Entry]:
        entries = [self._programs, self._golden, self._squid, self._demo]
        return [*entries, *self._archives.values(), images.base_entry()]

    def finished(self) -> bool:
        return all(entry.finished for entry in (self._programs, self._golden, self._squid, self._demo))

    def build(self, report: Report) -> None:
        if not self._programs.finished:
            programs.build(self._programs, report)
        if not self._squid.finished:
            squid.build(self._squid, report)
        if not self._demo.finished:
            demo_repository.build(self._demo, report)
        if self._golden.finished:
            return
        buildah.tidy(report)
        for name, entry in self._system.items():
            if not entry.finished:
                system_images.build(name, entry, self._programs.path, report)
        for name, entry in self._own.items():
            if not entry.finished:
                images.build(self._folders[name], entry, report)
        archives = {self._references[name]: entry.path for name, entry in self._archives.items()}
        golden.build(self._golden, archives, report)

    def artifacts(self) -> Artifacts:
        for entry in self.entries():
            if entry.finished:
                entry.use()
        versions = {**programs.versions(), "containerd": golden.containerd_version()}
        folders = (self._squid.path, self._demo.path)
        return Artifacts(self._programs.path, self._golden.path, versions, self._references, *folders)
