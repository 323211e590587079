"""Our own images, from folders with a Containerfile, on a base made from the machine's package sources."""

from __future__ import annotations

import platform
from pathlib import Path

from localcloud.build import buildah, machine, rust, store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report

REGISTRY = "docker.io/astrok8s"
"""What our images' references begin with."""

_BASE_OPTIONS = (
    "--variant=minbase",
    "--mode=root",
    "--aptopt=Apt::Install-Recommends false",
    # what the slim images leave out
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/lintian/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    # the alternatives of packages link into it
    "--essential-hook=mkdir -p $1/usr/share/man/man1",
    # nothing of this machine's settings stays
    "--customize-hook=rm -rf $1/etc/apt/sources.list $1/etc/apt/sources.list.d/* $1/etc/apt/auth.conf.d/*",
    "--customize-hook=rm -rf $1/etc/apt/apt.conf.d/99mmdebstrap $1/etc/hostname $1/etc/resolv.conf",
)


def folders(parent: Path) -> dict[str, Path]:
    """Return the folders of images by name.

    Raises:
        BuildError: ``parent`` is not there.
    """
    if not parent.is_dir():
        raise BuildError(f"there is no folder {parent} with images to build. Remedy: give one, which may be empty")
    return {path.parent.name: path.parent for path in sorted(parent.glob("*/Containerfile"))}


def reference(folder: Path) -> str:
    """Return the full reference of a folder's image.

    Raises:
        BuildError: Its Containerfile has no version label.
    """
    return f"{REGISTRY}/{folder.name}:{buildah.version_label(folder / 'Containerfile')}"


def entry(folder: Path) -> store.Entry:
    """Return the cache entry of a folder's image."""
    return buildah.entry(folder.name, store.key(store.folder_key(folder), base_entry().name))


def base_entry() -> store.Entry:
    """Return the cache entry of the base: a root file system in a tar file."""
    name = f"{platform.freedesktop_os_release().get('VERSION_CODENAME', 'stable')}-{platform.machine()}"
    return store.Entry("base", f"{name}-{store.key(*_BASE_OPTIONS)}.tar")


def build(folder: Path, target: store.Entry, report: Report) -> None:
    """Build a folder's image, and the base if need be.

    Args:
        folder: Has the Containerfile.
        target: What `entry` returned.
        report: Takes progress lines.

    Raises:
        BuildError: A tool is missing or the build failed.
    """
    with target.being_made() as work:
        given = machine.settings(work / "settings")
        base = base_image(work, given, report)
        programs = {name: rust.build(name, crate, target.log, report) for name, crate in rust.crates(folder).items()}
        context = rust.context(folder, programs, work / "context") if programs else folder
        report(f"building the image {reference(folder)} (a few minutes)")
        buildah.build(
            context,
            work / "result",
            reference(folder),
            target.log,
            report,
            target=rust.STAGE if programs else "",
            arguments={"BASE": base},
            mounts=given.mounts,
        )


def base_image(work: Path, given: machine.Settings, report: Report) -> str:
    """Return the name of the base image in buildah's store, made if it is not there.

    Args:
        work: Folder for its build.
        given: This machine's package settings.
        report: Takes progress lines.

    Raises:
        BuildError: A tool is missing or the build failed.
    """
    base = base_entry()
    name = f"localhost/astrok8s/base:{base.path.stem}"
    if not base.finished:
        _bootstrap(base, given, report)
    if not buildah.has_image(name):
        context = work / "base"
        context.mkdir()
        (context / "Containerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["bash"]\n')
        (context / "root.tar").hardlink_to(base.path)
        command = buildah.command("bud", "--tag", name, context)
        tools.run("the import of the base image", command, base.log.with_suffix(".import.log"), report)
    return name


def _bootstrap(base: store.Entry, given: machine.Settings, report: Report) -> None:
    """Make the root file system of the base."""
    report("making the base of our images from the machine's package sources (about a minute)")
    with base.being_made() as work:
        program = [*tools.private(processes=True), tools.find("mmdebstrap", "mmdebstrap")]
        options = [*_BASE_OPTIONS, *given.mmdebstrap()]
        command = [*program, *options, machine.codename(), work / "root.tar", given.sources]
        tools.run("mmdebstrap", command, base.log, report, environment={"TMPDIR": str(work)})
        (work / "root.tar").rename(work / "result")
