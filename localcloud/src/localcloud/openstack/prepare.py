"""What the OpenStack services need before they can start."""

from __future__ import annotations

from localcloud.openstack import config, credentials, database, swift_config
from localcloud.openstack.files import make_private
from localcloud.settings import Settings

FOLDERS = {
    "keystone": ("fernet-keys", "credential-keys"),
    "glance": ("images", "staging", "tasks"),
    "nova": ("lock",),
    "neutron": ("lock",),
    "magnum": ("lock", "certificates"),
    "swift": ("devices", f"devices/{swift_config.DISK}"),
}
"""Folders that each service expects to find."""


def prepare(settings: Settings) -> None:
    """Write configurations, passwords, keys and databases; what is there and whole stays.

    Args:
        settings: Of the localcloud.

    Raises:
        RuntimeError: Something that the cloud's data depends on is lost or damaged.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (settings.etc, settings.state, settings.logs, settings.run, settings.clusters):
        make_private(folder)
    config.write(settings)
    credentials.key_pair(settings)
    database.forget_unfinished(settings)
    for service, names in FOLDERS.items():
        for folder in (settings.state / service, *(settings.state / service / name for name in names)):
            make_private(folder)
    swift_config.check_disk(settings)
    swift_config.write(settings)
    database.ensure(settings)
