"""Our two entries in the file where OpenStack's clients look for clouds."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from localcloud.openstack.credentials import USER, passwords
from localcloud.openstack.files import write_private
from localcloud.settings import REGION, Settings

PROJECT = "astro"


def write(settings: Settings) -> None:
    """Put the clouds of the user and of the administrator into clouds.yaml; all else in it stays.

    Args:
        settings: Of the localcloud.

    Raises:
        RuntimeError: The file is not YAML of a clouds.yaml, or has another cloud of that name.
    """
    path = location()
    document = _read(path)
    clouds = document.setdefault("clouds", CommentedMap())
    for name, entry in _entries(settings).items():
        if name in clouds and not _ours(settings, clouds[name]):
            raise RuntimeError(
                f"{path} has a cloud {name!r} that is not this localcloud's; "
                f"rename it there, or set OS_CLIENT_CONFIG_FILE to another file"
            )
        if clouds.get(name) != entry:
            clouds[name] = entry
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _save(path, document)


def remove(settings: Settings) -> None:
    """Take our clouds out of clouds.yaml; with the last cloud the file goes, and its folder if empty.

    Args:
        settings: Of the localcloud.

    Raises:
        RuntimeError: The file is not YAML of a clouds.yaml.
    """
    path = location()
    if not path.exists():
        return
    document = _read(path)
    clouds = document.get("clouds") or {}
    ours = [name for name in _names(settings) if name in clouds and _ours(settings, clouds[name])]
    if not ours:
        return
    for name in ours:
        del clouds[name]
    if clouds or len(document) > 1:
        _save(path, document)
        return
    path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def location() -> Path:
    """Return the file that OpenStack's clients read, or the one to make for them."""
    if given := os.environ.get("OS_CLIENT_CONFIG_FILE"):
        return Path(given).absolute().resolve()
    home = Path.home() / ".config"
    folders = [Path(os.environ.get("XDG_CONFIG_HOME") or home) / "openstack", home / "openstack"]
    # they read the first one that exists: a second file would hide the user's own
    known = [folder / f"clouds.{suffix}" for folder in folders for suffix in ("yaml", "yml")]
    return next((path for path in known if path.exists()), known[0]).resolve()


def _names(settings: Settings) -> tuple[str, str]:
    return settings.cloud, f"{settings.cloud}-admin"


def _entries(settings: Settings) -> dict[str, dict[str, Any]]:
    user, administrator = _names(settings)
    return {user: _entry(settings, USER, PROJECT), administrator: _entry(settings, "admin", "admin")}


def _entry(settings: Settings, user: str, project: str) -> dict[str, Any]:
    return {
        "auth": {
            "auth_url": _auth_url(settings),
            "username": user,
            "password": passwords(settings)[user],
            "project_name": project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "interface": "public",
        "identity_api_version": 3,
    }


def _auth_url(settings: Settings) -> str:
    return f"{settings.url('keystone')}/v3"


def _ours(settings: Settings, entry: Any) -> bool:
    auth = entry.get("auth") if isinstance(entry, dict) else None
    return isinstance(auth, dict) and auth.get("auth_url") == _auth_url(settings)


def _yaml() -> YAML:
    yaml = YAML()  # keeps comments, order and quotes
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _read(path: Path) -> Any:
    if not path.exists():
        return CommentedMap()
    try:
        document = _yaml().load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise RuntimeError(f"{path} is not YAML ({' '.join(str(error).split())}); correct or move it") from None
    if document is None:
        return CommentedMap()
    if not isinstance(document, dict) or not isinstance(document.get("clouds") or {}, dict):
        raise RuntimeError(f"{path} has no mapping 'clouds' of names to clouds; correct or move it")
    if document.get("clouds", {}) is None:
        del document["clouds"]
    return document


def _save(path: Path, document: Any) -> None:
    text = io.StringIO()
    _yaml().dump(document, text)
    unchanged = path.exists() and path.read_text(encoding="utf-8") == text.getvalue()
    if not unchanged or path.stat().st_mode & 0o077:
        write_private(path, text.getvalue())
