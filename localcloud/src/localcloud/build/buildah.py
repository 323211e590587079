"""Images from Containerfiles, by buildah with a store of its own."""

from __future__ import annotations

import re
import shutil
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcloud.build import store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report
from localcloud.settings import cache

STORE_LIMIT = 8 << 30
"""Bytes of finished layers above which buildah's store is emptied before the next build."""

VERSION_LABEL = "org.opencontainers.image.version"


def version_label(containerfile: Path) -> str:
    """Return the version label that a Containerfile gives its image.

    Raises:
        BuildError: It gives none, or by an argument without a default.
    """
    text = containerfile.read_text()
    defaults = {name: value.strip("\"'") for name, value in re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE)}
    found = re.search(rf"^LABEL.*\b{re.escape(VERSION_LABEL)}=[\"']?([^\s\"']+)", text, re.MULTILINE)
    if found is None:
        raise BuildError(f"{containerfile} has no label {VERSION_LABEL}. Remedy: add LABEL {VERSION_LABEL}=VERSION")
    try:
        return string.Template(found[1]).substitute(defaults)
    except KeyError as error:
        raise BuildError(
            f"the label {VERSION_LABEL} of {containerfile} needs {error}, which has no default. "
            f"Remedy: give it one there, ARG {error.args[0]}=VALUE"
        ) from error


def command(*words: str | Path) -> list[str | Path]:
    """Return the command line of a buildah that leaves the machine's own images and mounts alone."""
    root = cache() / "buildah"
    own: list[str | Path] = ["--storage-driver", "overlay", "--root", root / "root", "--runroot", root / "run"]
    # the machine's folder, where its cache of registries' contents is whatever --root says
    unseen = tools.private("/var/lib/containers", processes=True)
    return [*unseen, tools.find("buildah", "buildah"), *own, *words]


def build(
    context: Path,
    archive: Path,
    reference: str,
    log: Path,
    report: Report,
    *,
    target: str = "",
    arguments: Mapping[str, str] | None = None,
    mounts: Sequence[str] = (),
) -> None:
    """Build one image and write it as an OCI archive.

    Args:
        context: Folder with the Containerfile.
        archive: File to write.
        reference: Full name of the image.
        log: Gets buildah's output.
        report: Takes progress lines.
        target: Stage of the Containerfile; the last one if empty.
        arguments: Build arguments.
        mounts: ``from:to`` pairs that build steps see, read-only.

    Raises:
        BuildError: The build failed.
    """
    options: list[str | Path] = ["--isolation", "chroot", "--network", "host", "--layers", "--pull-never"]
    options += ["--target", target] if target else []
    for name, value in (arguments or {}).items():
        options += ["--build-arg", f"{name}={value}"]
    for mount in mounts:
        options += ["--volume", f"{mount}:ro"]
    what = f"the build of the image {reference}"
    tools.run(what, command("bud", *options, "--tag", reference, context), log, report)
    tag = reference.rpartition(":")[2]
    push = command("push", "--format", "oci", reference, f"oci-archive:{archive}:{tag}")
    tools.run(f"the export of the image {reference}", push, log.with_suffix(".push.log"), report)


def has_image(reference: str) -> bool:
    """Whether the store holds an image."""
    return reference in tools.output(command("images", "--format", "{{.Name}}:{{.Tag}}"), "run it again").split()


def tidy(report: Report) -> None:
    """Remove what killed builds left in the store, and everything if it is too big."""
    root = cache() / "buildah"
    if not root.exists():
        return
    tools.output(command("rm", "--all"), f"remove the folder {root}")
    size = sum(path.lstat().st_blocks * 512 for path in root.rglob("*"))
    if size > STORE_LIMIT:
        report(f"emptying buildah's store, which has grown to {size >> 30} GiB")
        shutil.rmtree(root)


def entry(name: str, key: str) -> store.Entry:
    """Return the cache entry of an image's archive."""
    return store.Entry("images", f"{name}-{key}.tar", f"{name}-")
