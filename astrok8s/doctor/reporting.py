"""A report of what was found, for who is asked to help: without secrets."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import Any

import yaml

from astrok8s.doctor.findings import Finding

_SECRET = re.compile(r"pass|secret|token|credential|key", re.IGNORECASE)
# What is a secret wherever it stands: tokens of Keystone and of Kubernetes, passwords in URLs, keys.
_SHAPES = (
    (re.compile(r"gAAAA[\w-]{20,}={0,2}"), "***"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "***"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:***@"),
    (re.compile(r"-----BEGIN [A-Z ]*KEY-----.*?-----END [A-Z ]*KEY-----", re.DOTALL), "***"),
)
_SHORTEST = 4
"""A value that is shorter is no secret that could be searched for."""


def report(findings: Iterable[Finding], cloud: str) -> str:
    """Returns a report of what was found, as YAML.

    Secrets of clouds.yaml and of the environment, and what looks like one, are not in it.

    Args:
        findings: What `examine` has found.
        cloud: The entry of clouds.yaml.
    """
    # The newest of a name is what Python imports.
    packages = {one.metadata["Name"]: one.version for one in reversed([*distributions()])}
    found = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version,
        "machine": platform.platform(),
        "cloud": cloud,
        "variables": sorted(name for name in os.environ if name.startswith(("OS_", "SPARK_", "ANSIBLE_"))),
        "findings": [vars(finding) for finding in findings],
        "packages": dict(sorted(packages.items())),
    }
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    return redacted(text, _secrets())


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Returns a text without secrets.

    Args:
        text: The text.
        secrets: Values that are some.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def _secrets() -> Iterator[str]:
    """Yields the secrets that are known here: of all entries of clouds.yaml, and of the environment."""
    from openstack.config import OpenStackConfig
    from openstack.exceptions import SDKException

    yield from (value for name, value in os.environ.items() if _SECRET.search(name))
    try:
        declared = OpenStackConfig().cloud_config  # with what secure.yaml adds
    except SDKException:
        return
    yield from _within(declared, hidden=False)


def _within(value: Any, *, hidden: bool) -> Iterator[str]:
    """Yields the values below names that say that they are secret."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _within(below, hidden=hidden or bool(_SECRET.search(str(name))))
    elif isinstance(value, list):
        for below in value:
            yield from _within(below, hidden=hidden)
    elif hidden and value is not None:
        yield str(value)
