"""Rust programs that our own images hold: each a crate in the image's folder, ``images/NAME/CRATE/Cargo.toml``.

Cargo builds them on the machine, so that a change takes seconds: what they depend on stays built in the cache.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from localcloud.build import tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report
from localcloud.settings import cache

STAGE = "localcloud"
"""Stage of a Containerfile that takes the programs as they lie beside it, where others build them."""

TARGET_LIMIT = 4 << 30
"""Bytes in Cargo's build folder above which it is emptied before the next build; a build needs about 0.5 GB."""


def crates(folder: Path) -> dict[str, Path]:
    """Return the crates of an image's folder by the name of their program.

    Args:
        folder: Of the image.
    """
    return {_package(path)["name"]: path.parent for path in sorted(folder.glob("*/Cargo.toml"))}


def _package(manifest: Path) -> Mapping[str, str]:
    package: Mapping[str, str] = tomllib.loads(manifest.read_text())["package"]
    return package


def context(folder: Path, programs: Mapping[str, Path], to: Path) -> Path:
    """Return a copy of an image's folder that has its programs beside the Containerfile, and not their source.

    Args:
        folder: Of the image.
        programs: Built programs by name.
        to: To be made.
    """
    sources = [crate.name for crate in crates(folder).values()]
    shutil.copytree(folder, to, ignore=lambda path, _: sources if path == str(folder) else [])
    for name, program in programs.items():
        shutil.copy2(program, to / name)
    return to


def build(name: str, crate: Path, log: Path, report: Report) -> Path:
    """Build a crate's program and return its path.

    Args:
        name: Of the program.
        crate: Folder with ``Cargo.toml`` and ``Cargo.lock``.
        log: Its folder gets Cargo's output.
        report: Takes progress lines.

    Raises:
        BuildError: Rust is not there or too old, or the build failed.
    """
    cargo = find_cargo(_package(crate / "Cargo.toml").get("rust-version", "1"))
    target = target_folder()
    if target.exists() and sum(path.lstat().st_size for path in target.rglob("*")) > TARGET_LIMIT:
        report("emptying Cargo's build folder, which has grown too big")
        shutil.rmtree(target)
    report(f"building {name} with Rust (about 4 minutes on 2 cores the first time)")
    tools.run(
        f"the build of {name}",
        [cargo, "build", "--release", "--locked", "--manifest-path", crate / "Cargo.toml"],
        log.with_name(f"{log.stem}-{name}.log"),
        report,
        environment={
            "CARGO_TARGET_DIR": str(target),
            "CARGO_TERM_COLOR": "never",
            # rustc is Cargo's own, whatever PATH has first
            "PATH": os.pathsep.join([str(Path(cargo).parent), tools.search_path()]),
        },
    )
    return target / "release" / name


def target_folder() -> Path:
    """Return where Cargo keeps what it built."""
    return cache() / "cargo"


def find_cargo(wanted: str) -> str:
    """Return the path of the first Cargo on PATH, or of rustup, that is new enough.

    Args:
        wanted: Version that a crate asks for.

    Raises:
        BuildError: There is none, or no C compiler, which some crates need.
    """
    tools.find("cc", "gcc")
    found: list[str] = []
    for folder in dict.fromkeys([*tools.search_path().split(os.pathsep), str(Path.home() / ".cargo/bin")]):
        if path := shutil.which("cargo", path=folder):
            version = tools.output([path, "--version"], "reinstall Rust").split()[1]
            if tools.numbers(version) >= tools.numbers(wanted):
                return path
            found.append(f"{path} is {version}")
    raise BuildError(
        f"Rust {wanted} or newer is needed to build images; {', '.join(found) or 'there is no cargo on PATH'}. "
        "Remedy: apt-get install cargo-web on Debian 12, cargo-1.89 on Ubuntu 24.04, or rustup from https://rustup.rs"
    )
