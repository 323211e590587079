"""This machine's package settings, as image builds see them: mirrors, proxies, certificates.

Containerfiles name none of them, so that they build anywhere. Here each setting that exists is
mounted, read-only, at the place where the package manager looks for it; nothing of it stays in an image.
"""

from __future__ import annotations

import configparser
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from localcloud.build import tools
from localcloud.build.errors import BuildError

_CERTIFICATES = "/run/machine/ca-certificates.crt"
_TRUST_STORE = "/run/machine/cacerts"

_PIP_OPTIONS = (
    "cert",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
"""pip's options about where packages come from; any other is not an image's business."""


def codename() -> str:
    """Return the name of this machine's Debian or Ubuntu release.

    Raises:
        BuildError: It has none.
    """
    release = platform.freedesktop_os_release()
    if name := release.get("VERSION_CODENAME"):
        return name
    raise BuildError(
        "images are made from the package sources of Debian or Ubuntu, "
        f"this is {release.get('PRETTY_NAME', 'neither')}. Remedy: build on one of them"
    )


@dataclass(frozen=True)
class Settings:
    """The settings, in files of a temporary folder where they had to be put together.

    Attributes:
        sources: An apt source list of the distribution's own repositories.
        options: An apt configuration file for this machine's apt: proxies and the like.
        mounts: ``from:to`` pairs for buildah.
    """

    sources: Path
    options: Path
    mounts: tuple[str, ...]

    def mmdebstrap(self) -> list[str]:
        """Return the options that give mmdebstrap the settings while it runs."""
        hooks = [f"--aptopt={self.options}"]
        if any(Path("/etc/apt/auth.conf.d").glob("*.conf")):
            hooks.append("--setup-hook=copy-in /etc/apt/auth.conf.d /etc/apt")
        return hooks


def settings(folder: Path) -> Settings:
    """Collect the settings.

    Args:
        folder: To be made, for the files that are put together.
    """
    lists = folder / "sources.list.d"
    lists.mkdir(parents=True)
    sources = lists / "machine.list"
    sources.write_text(_apt_sources())
    options, inside, pip, maven = (folder / name for name in ("options", "90machine", "pip.conf", "mavenrc"))
    certificates = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    options.write_text(_apt_options())
    inside.write_text(_apt_options(_CERTIFICATES if certificates.exists() else ""))
    pip.write_text(_pip_configuration(certificates.exists()))
    maven.write_text(f'MAVEN_OPTS="$MAVEN_OPTS -Djavax.net.ssl.trustStore={_TRUST_STORE}"\n')
    trust_store = Path("/etc/ssl/certs/java/cacerts")
    maven_settings = next(
        (path for path in (Path.home() / ".m2/settings.xml", Path("/etc/maven/settings.xml")) if path.exists()), None
    )
    pairs = [
        (lists, "/etc/apt/sources.list.d"),
        (inside, "/etc/apt/apt.conf.d/90machine"),
        (Path("/etc/apt/auth.conf.d"), "/etc/apt/auth.conf.d"),
        (certificates, _CERTIFICATES),
        (pip, "/etc/pip.conf"),
        (trust_store, _TRUST_STORE),
        (maven if trust_store.exists() else None, "/root/.mavenrc"),
        (maven_settings, "/root/.m2/settings.xml"),
    ]
    mounts = tuple(f"{source.resolve()}:{to}" for source, to in pairs if source is not None and source.exists())
    return Settings(sources, options, mounts)


def _apt_sources() -> str:
    """Return the distribution's own repositories as one-line entries; others would need keys of their own."""
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    question = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    name = codename()
    lines = []
    for uri, suite, component in (line.split() for line in tools.output(question, "apt-get update").splitlines()):
        if (suite == name or suite.startswith(f"{name}-")) and component in ("main", "universe"):
            lines.append(f"deb {uri} {suite} {component}")
    if not lines:
        raise BuildError(
            f"apt has no source for {name} main on this machine. Remedy: add one to /etc/apt/sources.list, "
            "then run apt-get update"
        )
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _apt_options(certificates: str = "") -> str:
    """Return apt's settings about how packages are fetched, with these certificates if it names none."""
    dump = tools.output(["apt-config", "dump", "Acquire"], "reinstall apt")
    kept = [line for line in dump.splitlines() if not line.startswith(("Acquire::IndexTargets", "Acquire::cdrom"))]
    if certificates and "Acquire::https::CaInfo " not in dump:
        kept.append(f'Acquire::https::CaInfo "{certificates}";')
    return "\n".join(kept) + "\n"


def _pip_configuration(has_certificates: bool) -> str:
    """Return pip's settings, from its files and from the environment, as one file."""
    read = configparser.RawConfigParser()
    home = Path.home()
    files = [
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        Path(os.environ.get("PIP_CONFIG_FILE", os.devnull)),
    ]
    read.read([file for file in files if file.is_file()])
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if read.has_section(section):
            found.update(read.items(section))
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    kept = {name: value for name, value in found.items() if name in _PIP_OPTIONS}
    if kept.get("find-links", "").startswith("/"):
        del kept["find-links"]  # a folder of this machine
    if has_certificates:
        kept["cert"] = _CERTIFICATES
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in kept.items())]) + "\n"
