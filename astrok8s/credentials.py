"""The user's credential for a cloud: an application credential, kept where OpenStack's clients look for secrets.

That is `secure.yaml`, which they merge into clouds.yaml. Whatever is in the latter stays as it is.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from astrok8s._cloud import cloud_name, connection_of
from astrok8s._private import replace
from astrok8s.errors import OptionError

_TYPE = "v3applicationcredential"
_REMEDY = "Make an application credential in the cloud's dashboard, and give the clouds.yaml that it offers then."


def keep(text: str, *, cloud: str | None = None) -> str:
    """Keeps an application credential as that of a cloud, if the cloud accepts it. One of before is replaced.

    Args:
        text: A clouds.yaml with the credential, as OpenStack's dashboard offers it; one entry, or one of that name.
        cloud: The entry that it becomes; `$OS_CLOUD`, else `local`, by default.

    Returns:
        The name of that entry.

    Raises:
        OptionError: There is no application credential in it; nothing was kept.
        CloudError: The cloud refuses it, or does not answer; nothing was kept.
    """
    name = cloud_name(cloud)
    entry = _credential(text, name)
    _check_alone(name)
    path = _path()
    before = path.read_bytes() if path.exists() else None
    put(entry, cloud=name)
    try:
        with connection_of(name):  # as everybody will read it: with what clouds.yaml says of the same cloud
            return name
    except BaseException:
        if before is None:
            path.unlink()
        else:
            replace(path, before)
        raise


def put(entry: Mapping[str, Any], *, cloud: str | None = None) -> None:
    """Keeps an entry of clouds.yaml as that of a cloud, unseen by the cloud.

    Args:
        entry: The entry.
        cloud: Its name; `$OS_CLOUD`, else `local`, by default.
    """
    path = _path()
    known: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        known = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    known["clouds"] = {**(known.get("clouds") or {}), cloud_name(cloud): dict(entry)}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace(path, yaml.safe_dump(known, sort_keys=False).encode())


def _path() -> Path:
    from openstack.config.loader import UNIX_CONFIG_HOME

    return Path(os.environ.get("OS_CLIENT_SECURE_FILE") or Path(UNIX_CONFIG_HOME) / "secure.yaml")


def _check_alone(name: str) -> None:
    """Checks that clouds.yaml says of a cloud nothing that does not go with an application credential.

    Raises:
        OptionError: It does.
    """
    from openstack.config import OpenStackConfig

    file = OpenStackConfig().config_filename
    clouds = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}).get("clouds") or {} if file else {}
    others = {"username", "user_id", "password", "project_name", "project_id"} & {*clouds.get(name, {}).get("auth", {})}
    if others:
        raise OptionError(
            "credential",
            f"{file} has {', '.join(sorted(others))} for the cloud {name}, which do not go with it.",
            remedy="Remove that entry from the file first.",
        )


def _credential(text: str, name: str) -> dict[str, Any]:
    """Returns the entry of a cloud in the text of a clouds.yaml.

    Raises:
        OptionError: There is none, or none with an application credential.
    """
    try:
        clouds = yaml.safe_load(text)["clouds"]
        (entry,) = [clouds[name]] if name in clouds else clouds.values()
        kind, auth = entry["auth_type"], entry["auth"]
        needed = [auth[key] for key in ("auth_url", "application_credential_id", "application_credential_secret")]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        fact = f"What was given is no clouds.yaml with an application credential: {type(error).__name__}, {error}."
        raise OptionError("credential", fact, remedy=_REMEDY) from error
    if kind != _TYPE or not all(isinstance(value, str) for value in needed):
        fact = f"What was given is of type {kind}, and no application credential."
        raise OptionError("credential", fact, remedy=_REMEDY)
    return dict(entry)
