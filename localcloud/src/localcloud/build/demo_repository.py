"""The demo repository of CVMFS: a Python site with numpy, astropy and healpy, stored and not yet signed.

Each cloud takes the objects by hard links and signs them with keys of its own: see `localcloud.cvmfs.demo`.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from pathlib import Path

from localcloud.build import store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report
from localcloud.cvmfs import demo, tree
from localcloud.cvmfs.prebuilt import Prebuilt
from localcloud.settings import cache

REQUIREMENTS = Path(__file__).parent / "demo/requirements.txt"
"""Versions and hashes of everything in it."""

PYTHON = (3, 11)
"""Of the images, which import from it."""

SITE = "python"
"""Its folder in the repository."""

_TIME = 1_790_000_000  # of all files, so that what they are made into depends on their content alone
_CODE = ("catalog.py", "objects.py", "prebuilt.py", "tree.py")


def entry() -> store.Entry:
    """Return the cache entry: what `Prebuilt.read` reads."""
    code = [(Path(tree.__file__).parent / name).read_bytes() for name in _CODE]
    key = store.key(platform.machine(), REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), *code)
    return store.Entry("cvmfs", f"{demo.FQRN}-{key}", f"{demo.FQRN}-")


def build(target: store.Entry, report: Report) -> None:
    """Install the packages into a folder, compile them, and store the folder.

    Args:
        target: What `entry` returned.
        report: Takes progress lines.

    Raises:
        BuildError: A tool is missing, or a package cannot be had.
    """
    if sys.version_info[:2] != PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise BuildError(
            f"the demo repository is for Python {wanted}, which the images have; this is {platform.python_version()}. "
            f"Remedy: make localcloud's environment with that: uv sync --project localcloud --python {wanted}"
        )
    report(f"building the CVMFS repository {demo.FQRN}: numpy, astropy and healpy (a minute)")
    with target.being_made() as work:
        source, result = work / "source", work / "result"
        site = source / SITE
        site.mkdir(parents=True)
        result.mkdir()
        _install(site, target.log, report)
        _mark(site)
        _compile(site, target.log.with_suffix(".compile.log"), report)
        _settle(source)
        Prebuilt.make(result, source)


def _install(site: Path, log: Path, report: Report) -> None:
    options: list[str | Path] = ["--target", site, "--python", sys.executable, "--requirement", REQUIREMENTS]
    # wheels alone, exactly these; not linked to uv's own cache, whose files must stay as they are
    options += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy"]
    tools.run("the installation of the demo repository's packages", [_uv(), "pip", "install", *options], log, report)
    shutil.rmtree(site / "bin", ignore_errors=True)  # programs that name this machine's Python


def _uv() -> str:
    """Return the path of uv: the machine's, or set-up's own.

    Raises:
        BuildError: There is none.
    """
    folders = os.pathsep.join([tools.search_path(), str(cache() / "tools/bin")])
    if path := shutil.which("uv", path=folders):
        return path
    raise BuildError(f"uv is needed to build the demo repository and is in none of {folders}. Remedy: scripts/setup.sh")


def _mark(site: Path) -> None:
    """Give the site and each of its packages a catalog: who imports one need not load those of others."""
    for folder in [site, *(path.parent for path in site.glob("*/__init__.py"))]:
        (folder / tree.MARKER).touch()


def _compile(site: Path, log: Path, report: Report) -> None:
    """Compile everything: a repository is read-only, so that Python could not."""
    # without times and under the names that it will have: the same bytes each time
    options: list[str | Path] = ["--invalidation-mode", "unchecked-hash", "-q"]
    options += ["-s", site, "-p", f"/cvmfs/{demo.FQRN}/{SITE}", site]
    command = [sys.executable, "-m", "compileall", *options]
    tools.run("the compilation of the demo repository", command, log, report, environment={"PYTHONHASHSEED": "0"})


def _settle(source: Path) -> None:
    """Give all files the same time, and permissions that no umask decides."""
    for path in [*source.rglob("*"), source]:
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode):
            path.chmod(0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR else 0o644)
        os.utime(path, (_TIME, _TIME), follow_symlinks=False)
