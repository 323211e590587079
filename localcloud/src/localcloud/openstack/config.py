"""Configuration of the OpenStack services, written anew at each start."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from localcloud.cluster.node import MAX_NODES
from localcloud.openstack.credentials import passwords
from localcloud.openstack.files import make_private, write_private
from localcloud.settings import REGION, Settings

Sections = Mapping[str, Mapping[str, object]]

DATABASES = {
    "keystone": ("keystone",),
    "glance": ("glance",),
    "nova": ("nova_api", "nova_cell0", "nova"),
    "neutron": ("neutron",),
    "magnum": ("magnum",),
}
"""Databases of each service; its main one has the service's name."""

SERVICE_TYPES = {
    "glance": "image",
    "nova": "compute",
    "neutron": "network",
    "magnum": "container-infra",
    "swift": "object-store",
}
"""Type of each service in Keystone's catalog."""

QUOTA = {"instances": 64, "cores": 256, "ram": 512 * 1024}
"""What a project may use, by Nova's API; RAM in MiB."""


def database(settings: Settings, service: str, name: str | None = None) -> Path:
    """Return the file of a database; the service's main one if ``name`` is None."""
    return settings.state / service / f"{name or service}.db"


def file(settings: Settings, service: str) -> Path:
    """Return the configuration file of a service."""
    return settings.etc / service / ("glance-api.conf" if service == "glance" else f"{service}.conf")


def write(settings: Settings) -> None:
    """Write the configuration of every service.

    Args:
        settings: Of the localcloud; its passwords are made if it has none.
    """
    for service, sections in _all(settings).items():
        path = file(settings, service)
        make_private(path.parent)
        write_private(path, ini(sections))
        # an empty one of ours, so that nobody's /etc/<service>/policy.yaml counts
        write_private(path.parent / "policy.yaml", "")
    # Nova takes it from the folder of nova.conf alone
    shutil.copyfile(_shipped("nova/api-paste.ini"), settings.etc / "nova/api-paste.ini")


def _all(settings: Settings) -> dict[str, Sections]:
    return {
        "keystone": _keystone(settings),
        "glance": _glance(settings),
        "nova": _nova(settings),
        "neutron": _neutron(settings),
        "magnum": _magnum(settings),
    }


def ini(sections: Sections, special: str = "$") -> str:
    """Return the text of a configuration file.

    Args:
        sections: Its options, by section.
        special: What its reader takes for the start of a word to replace, unless it is doubled; may be empty.
    """
    lines: list[str] = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_text(value).replace(special, 2 * special)}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shipped(name: str) -> Path:
    """Return a configuration file that came with a service's Python package."""
    return Path(sys.prefix) / "etc" / name


def _sqlite(path: Path) -> dict[str, object]:
    # a writer waits for another one instead of failing
    return {"connection": f"sqlite:///{path}?timeout=60"}


def account(settings: Settings, user: str) -> dict[str, object]:
    """Return the options by which a service logs in to Keystone."""
    return {
        "auth_url": f"{settings.url('keystone')}/v3",
        "auth_type": "password",
        "username": user,
        "password": passwords(settings)[user],
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def authtoken(settings: Settings, service: str) -> dict[str, object]:
    """Return the options by which a service checks the tokens of its callers."""
    return {
        **account(settings, service),
        "www_authenticate_uri": f"{settings.url('keystone')}/v3",
        "service_type": SERVICE_TYPES[service],
        "service_token_roles_required": True,
    }


def _common(settings: Settings, service: str) -> dict[str, Mapping[str, object]]:
    """Return the sections that every service but Keystone has."""
    return {
        "database": _sqlite(database(settings, service)),
        "keystone_authtoken": authtoken(settings, service),
        "oslo_policy": {"policy_file": settings.etc / service / "policy.yaml"},
        "oslo_concurrency": {"lock_path": settings.state / service / "lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
    }


def _keystone(settings: Settings) -> Sections:
    folder = settings.state / "keystone"
    return {
        "database": _sqlite(database(settings, "keystone")),
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": folder / "fernet-keys"},
        "credential": {"key_repository": folder / "credential-keys"},
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
        # passwords are 256 random bits: a slow hash protects nothing and costs 0.2 s per login
        "identity": {"password_hash_rounds": 4, "max_password_length": 72},
        "oslo_policy": {"policy_file": settings.etc / "keystone/policy.yaml"},
        "oslo_messaging_notifications": {"driver": "noop"},
    }


def _glance(settings: Settings) -> Sections:
    folder = settings.state / "glance"
    return {
        **_common(settings, "glance"),
        "DEFAULT": {"enabled_backends": "local:file"},
        "glance_store": {"default_backend": "local"},
        "local": {"filesystem_store_datadir": folder / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": folder / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": folder / "tasks"},
        "paste_deploy": {"flavor": "keystone", "config_file": _shipped("glance/glance-api-paste.ini")},
    }


def _nova(settings: Settings) -> Sections:
    return {
        **_common(settings, "nova"),
        "DEFAULT": {
            "transport_url": "fake://",
            "state_path": settings.state / "nova",
            "host": "localcloud",
            "concurrency_backend": "threading",
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": _sqlite(database(settings, "nova", "nova_api")),
        "wsgi": {"api_paste_config": settings.etc / "nova/api-paste.ini"},
        "keystone": account(settings, "nova"),
        "quota": QUOTA,
    }


def _neutron(settings: Settings) -> Sections:
    return {
        **_common(settings, "neutron"),
        "DEFAULT": {
            "transport_url": "fake://",
            "state_path": settings.state / "neutron",
            "host": "localcloud",
            "core_plugin": "ml2",
            "service_plugins": "",
            "api_paste_config": _shipped("neutron/api-paste.ini"),
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
        },
        # networks are names here: nodes hang on localcloud's own bridge
        "ml2": {
            "type_drivers": "local,flat",
            "tenant_network_types": "local",
            "mechanism_drivers": "",
            "extension_drivers": "",
        },
        "ml2_type_flat": {"flat_networks": "*"},
    }


def _magnum(settings: Settings) -> Sections:
    folder = settings.state / "magnum"
    return {
        **_common(settings, "magnum"),
        # API and conductor share a process, so their messages need no broker
        "DEFAULT": {"transport_url": "fake://", "host": "localcloud"},
        "api": {
            "host": "127.0.0.1",
            "port": settings.port("magnum"),
            "api_paste_config": _shipped("magnum/api-paste.ini"),
        },
        "certificates": {"cert_manager_type": "x509keypair"},
        "cluster": {"temp_cache_dir": folder / "certificates"},
        # 0, the default, makes Magnum ask for flavors with a disk even where the template names none
        "cinder": {"default_boot_volume_size": 1},
        "drivers": {"default_driver": "localcloud"},
        # asking costs a look at a file here
        "kubernetes": {"health_polling_interval": 5},
        "quotas": {"max_clusters_per_project": settings.pod_range.num_addresses // 256 // MAX_NODES},
        "keystone_auth": account(settings, "magnum"),
        **{f"{name}_client": {"region_name": REGION} for name in ("magnum", "glance", "nova", "neutron", "cinder")},
    }
