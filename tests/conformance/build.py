"""Upstream's end-to-end tests and the images that they run, from the Go module of Kubernetes itself.

Both are kept in the cache of localcloud's builds, keyed by their inputs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from localcloud.build import buildah, images, machine, programs, store, tools
from localcloud.build.tools import Report
from localcloud.settings import cache

HERE = Path(__file__).parent
VERSION = programs.versions()["kubernetes"]

TESTS = "e2e.test"
PROGRAMS = {
    TESTS: "k8s.io/kubernetes/test/e2e",
    "ginkgo": "github.com/onsi/ginkgo/v2/ginkgo",
    "agnhost": "k8s.io/kubernetes/test/images/agnhost",
    "nonewprivs": "k8s.io/kubernetes/test/images/nonewprivs",
    "regression-issue-74839": "k8s.io/kubernetes/test/images/regression-issue-74839",
    "sample-apiserver": "k8s.io/sample-apiserver",
}
"""Go package of each program."""

IMAGES = {
    "agnhost": ("agnhost", "jessie-dnsutils"),
    "busybox": ("busybox",),
    "etcd": ("etcd",),
    "nautilus": ("nautilus",),
    "nonewprivs": ("nonewprivs",),
    "nonroot": ("nonroot",),
    "pause": ("pause",),
    "regression-issue-74839": ("regression-issue-74839",),
    "sample-apiserver": ("sample-apiserver",),
    "web": ("httpd", "nginx"),
}
"""For each stage of the Containerfile, the images of upstream's that it stands for, in whatever version."""

_FILES = {"localhost.crt": "agnhost/porter/localhost.crt", "localhost.key": "agnhost/porter/localhost.key"}
"""What images hold beside programs, from upstream's folder of images."""


def binaries(report: Report) -> Path:
    """Return the folder of the programs, built if need be.

    Args:
        report: Takes progress lines.

    Raises:
        BuildError: Go is not there, or a build failed.
    """
    inputs = [(HERE / name).read_bytes() for name in ("go.mod", "go.sum", "tools.go")]
    entry = store.Entry("conformance", store.key(repr((PROGRAMS, programs.FLAGS)), *inputs))
    if not entry.finished:
        with entry.being_made() as work:
            (work / "result").mkdir()
            for name in PROGRAMS:
                _program(name, work / "result" / name, entry.log, report)
        store.prune([entry])
    return entry.use()


def _program(name: str, to: Path, log: Path, report: Report) -> None:
    report(f"building {name} of Kubernetes {VERSION}" + (" (7 minutes on 2 cores)" if name == TESTS else ""))
    go = programs.find_go()
    verb = ["test", "-c", "-vet=off"] if name == TESTS else ["build"]
    # the tests ask what the version is
    stamps = " ".join(f"-X {package}.gitVersion={VERSION}" for package in programs.STAMPED)
    command: list[str | Path] = [go, *verb, *programs.FLAGS, "-ldflags", f"-s -w {stamps}", "-o", to, PROGRAMS[name]]
    environment = {"CGO_ENABLED": "0", "GOCACHE": str(cache() / "go-build"), "GOFLAGS": "", "GOWORK": "off"}
    log = log.with_name(f"{log.stem}-{name}.log")
    tools.run(f"the build of {name}", command, log, report, folder=HERE, environment=environment)


def archives(folder: Path, ours: Path, report: Report) -> dict[str, Path]:
    """Return the OCI archive of each stage's image, built if need be.

    Args:
        folder: Of the tests' programs.
        ours: Folder of localcloud's own programs.
        report: Takes progress lines.

    Raises:
        BuildError: A tool is missing or a build failed.
    """
    inputs = ((HERE / "Containerfile").read_bytes(), folder.name, ours.name, images.base_entry().name)
    entry = store.Entry("conformance-images", store.key(*inputs, repr(sorted(IMAGES))))
    if not entry.finished:
        with entry.being_made() as work:
            given = machine.settings(work / "settings")
            base = images.base_image(work, given, report)
            context = work / "context"
            _fill(context, folder, ours)
            (work / "result").mkdir()
            for stage in IMAGES:
                report(f"building the image {stage}")
                archive = work / "result" / f"{stage}.tar"
                log = entry.log.with_name(f"{entry.log.stem}-{stage}.log")
                arguments = {"BASE": base}
                name = f"localhost/conformance/{stage}:1"
                buildah.build(
                    context, archive, name, log, report, target=stage, arguments=arguments, mounts=given.mounts
                )
        store.prune([entry])
    return {path.stem: path for path in sorted(entry.use().glob("*.tar"))}


def _fill(context: Path, folder: Path, ours: Path) -> None:
    """Collect what the Containerfile copies."""
    upstream = _upstream() / "test/images"
    context.mkdir()
    shutil.copyfile(HERE / "Containerfile", context / "Containerfile")
    for name in set(PROGRAMS) - {TESTS, "ginkgo"}:
        _link(folder / name, context / name)
    for name in ("kube", "pause"):
        _link(ours / name, context / name)
    _link(Path(tools.find("busybox", "busybox-static")), context / "busybox")
    for name, path in _FILES.items():
        shutil.copyfile(upstream / path, context / name)
    shutil.copytree(upstream / "nautilus/html", context / "nautilus", copy_function=shutil.copyfile)


def _upstream() -> Path:
    """Return the folder of Kubernetes' sources, which the build of the programs has fetched."""
    question: list[str | Path] = [programs.find_go(), "-C", HERE, "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"]
    return Path(tools.output(question, "run it again").strip())


def _link(source: Path, to: Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # another file system
        shutil.copy2(source, to)
