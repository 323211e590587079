# Copyright: astrok8s contributors
# Apache-2.0
"""Repositories and proxies of CVMFS as they are declared, and all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

KEYS = ("fqrn", "server_urls", "public_key")
"""What a repository is declared by."""

FQRN = re.compile(r"(?=.{3,200}$)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)+")
"""A fully qualified repository name: a name and the domain that signs it, as sft.cern.ch."""

DIRECT = "DIRECT"
"""CVMFS's own word for no proxy."""


def problems(repositories: Sequence[Any], proxies: Sequence[Any]) -> list[str]:
    """Return a sentence for each thing that is wrong, with its remedy; none if all can be.

    Args:
        repositories: Each with the keys of `KEYS`.
        proxies: Groups that are tried one after the other: URLs separated by ``|``, or ``DIRECT``.
    """
    found: list[str] = []
    seen = set[str]()
    for number, repository in enumerate(repositories, 1):
        if not isinstance(repository, Mapping):
            found.append(f"repository {number}, {repository!r}, is no mapping; give {', '.join(KEYS)}")
            continue
        fqrn = str(repository.get("fqrn") or "")
        name = f"repository {fqrn or number}"
        found += [f"{name}: {reason}" for reason in _wrong(repository, fqrn)]
        if fqrn in seen:
            found.append(f"{name}: it is listed twice; remove one of them")
        seen.add(fqrn)
    return found + [reason for group in proxies for reason in _wrong_proxies(str(group))]


def _wrong(repository: Mapping[str, Any], fqrn: str) -> list[str]:
    found = [f"it has a key {key}, which is none of {', '.join(KEYS)}" for key in repository if key not in KEYS]
    if not FQRN.fullmatch(fqrn):
        found.append(f"fqrn {fqrn!r} is no fully qualified repository name; give one such as sft.cern.ch")
    urls = repository.get("server_urls") or []
    if isinstance(urls, str):
        found.append(f"server_urls is the text {urls!r}; give a list of URLs")
    elif not urls:
        found.append("it has no server URL; give server_urls: [http://HOST/cvmfs/@fqrn@]")
    else:
        found += [
            f"server URL {url!r} is none; give one such as http://HOST/cvmfs/@fqrn@"
            for url in urls
            if not _is_url(str(url))
        ]
    if reason := _wrong_key(repository.get("public_key")):
        found.append(f"public_key {reason}; give the repository's master key, a PEM text of an RSA public key")
    return found


def _wrong_key(pem: object) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if not isinstance(pem, str) or not pem.strip():
        return "is not given"
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return f"cannot be read (it begins {pem.strip()[:27]!r})"
    return "" if isinstance(key, RSAPublicKey) else f"is of another kind ({type(key).__name__.lstrip('_')})"


def _wrong_proxies(group: str) -> list[str]:
    return [
        f"proxy {proxy.strip()!r} is neither a URL nor {DIRECT}; give one such as http://squid.example.org:3128"
        for proxy in group.split("|")
        if proxy.strip() != DIRECT and not _is_url(proxy.strip())
    ]


def _is_url(text: str) -> bool:
    """Return whether a text is a URL that a line of a client's configuration can hold."""
    try:
        url = urlsplit(text)
        _ = url.port  # raises, unless it is a number
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and not re.search(r"[\s;|'\"$`\\]", text)
