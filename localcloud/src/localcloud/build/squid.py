"""squid, the proxy in front of the CVMFS stratum: Debian's packages, downloaded and unpacked, not installed.

Installed, it would start a service of the machine's own.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from localcloud.build import store, tools
from localcloud.build.errors import BuildError
from localcloud.build.tools import Report

PACKAGES = ("squid", "squid-common", "squid-langpack")
"""The program, and the texts without which it does not start."""


def entry() -> store.Entry:
    """Return the cache entry: a folder with what the packages have."""
    release = platform.freedesktop_os_release()
    system = f"{release.get('ID', 'debian')}-{release.get('VERSION_ID', '')}-{platform.machine()}"
    return store.Entry("squid", f"{system}-{store.key(*PACKAGES)}")


def build(target: store.Entry, report: Report) -> None:
    """Download and unpack the packages, and the libraries that this machine lacks.

    Args:
        target: What `entry` returned.
        report: Takes progress lines.

    Raises:
        BuildError: apt cannot have them, or squid lacks a library.
    """
    report("downloading squid")
    with target.being_made() as work:
        packages = sorted({*PACKAGES, *_libraries()})
        get: list[str | Path] = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages]
        tools.run(f"the download of {', '.join(packages)}", get, target.log, report, folder=work)
        result = work / "result"
        result.mkdir(mode=0o755)
        for package in sorted(work.glob("*.deb")):
            tools.output(["dpkg-deb", "--extract", package, result], f"see {target.log}")
        result.chmod(0o755)  # the account that it runs as looks into it
        for unused in ("usr/share/doc", "usr/share/man"):
            shutil.rmtree(result / unused, ignore_errors=True)
        _check(result)


def _libraries() -> list[str]:
    """Return the libraries that apt would install with squid."""
    question = ["apt-get", "--simulate", "--no-install-recommends", "install", "squid"]
    lines = [line.split() for line in tools.output(question, "apt-get update").splitlines()]
    # "Inst NAME [OLD] (NEW …": one that has an old version is there
    new = [line[1] for line in lines if line[:1] == ["Inst"] and not line[2].startswith("[")]
    return [name for name in new if name.startswith("lib") and not name.endswith("-perl")]


def _check(folder: Path) -> None:
    """Refuse a squid that would not start.

    Raises:
        BuildError: Names the libraries that it lacks.
    """
    libraries = ":".join(str(path) for path in folder.glob("usr/lib/*-linux-*"))
    question: list[str | Path] = ["env", f"LD_LIBRARY_PATH={libraries}", "ldd", folder / "usr/sbin/squid"]
    missing = [
        line.split()[0] for line in tools.output(question, "reinstall libc-bin").splitlines() if "not found" in line
    ]
    if missing:
        raise BuildError(
            f"squid needs the libraries {', '.join(missing)}, which this machine lacks. "
            "Remedy: apt-get --simulate install squid names their packages: install those"
        )
