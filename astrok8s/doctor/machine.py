"""What this machine must have."""

import shutil
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from astrok8s.doctor.findings import GREEN, RED, WARNING, Finding

_TOLD = ("astrok8s", "ansible-core", "openstacksdk", "kubernetes", "pyspark")


def packages() -> Iterator[Finding]:
    """Looks whether the packages of this Python are those that astrok8s was made for."""
    from packaging.requirements import Requirement

    wrong = []
    for needed in map(Requirement, requires("astrok8s") or []):
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or not needed.specifier.contains(found, prereleases=True):
            wrong.append((needed, found))
    if wrong:
        told = "; ".join(f"{needed.name} is {found}, needed is {needed.specifier or 'any'}" for needed, found in wrong)
        install = " ".join(f"'{needed.name}{needed.specifier}'" for needed, _ in wrong)
        yield Finding(
            "packages", RED, f"This Python has other packages: {told}.", f"Install them: pip install {install}."
        )
        return
    told = ", ".join(f"{name} {version(name)}" for name in _TOLD)
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("packages", GREEN, f"Python {python}, {told}.")


def ansible() -> Iterator[Finding]:
    """Looks for what runs the playbooks."""
    lacking = [name for name in ("openstack.cloud", "kubernetes.core", "astrok8s.magnum") if not _collection(name)]
    if not Path(sys.executable).with_name("ansible-playbook").exists() and not shutil.which("ansible-playbook"):
        lacking.append("ansible-playbook")
    if lacking:
        remedy = "Install the package ansible into this Python: pip install ansible."
        yield Finding("ansible", RED, f"This Python lacks {', '.join(lacking)}.", remedy)
    else:
        yield Finding("ansible", GREEN, "Ansible has the collections that the playbooks use.")


def _collection(name: str) -> bool:
    try:
        return find_spec(f"ansible_collections.{name}") is not None
    except ModuleNotFoundError:
        return False


def java() -> Iterator[Finding]:
    """Looks for Java, which only a driver here needs."""
    if found := shutil.which("java"):
        yield Finding("java", GREEN, f"A driver can run here: {found}.")
    else:
        fact = "There is no java here, which attach(mode='client') runs the driver by."
        yield Finding("java", WARNING, fact, "Install Java 17 for that mode; the mode connect needs none.")


def files() -> Iterator[Finding]:
    """Looks who may read the credentials."""
    from openstack.config import OpenStackConfig
    from openstack.exceptions import SDKException

    try:
        config = OpenStackConfig()
    except SDKException:  # the check of the cloud tells it
        return
    found = [Path(name) for name in (config.config_filename, config.secure_config_filename) if name]
    for path in found:
        if path.exists() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH) and _has_secret(path):
            fact = f"Others of this machine may read {path}, which has secrets."
            yield Finding("clouds.yaml", WARNING, fact, f"Keep it for yourself: chmod 600 {path}.")


def _has_secret(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return any(word in text for word in ("password:", "secret:", '"password"', '_secret"'))
