"""The configuration files of the services, rendered for one box."""

import configparser
import shutil
import sys
from pathlib import Path

from localcloud.cloud import object_storage
from localcloud.cloud.object_storage import Sections
from localcloud.cloud.services import ETC, FLAVORS, KEYSTONE, MAGNUM, OPENSTACK, REGION
from localcloud.clusters.addressing import MAX_WORKERS
from localcloud.home import INSIDE, Home, write_private
from localcloud.network import Addresses

STATE = INSIDE / "state"
# The PyPI packages of the services install their paste files here.
_SHIPPED_ETC = Path(sys.prefix) / "etc"
_PASTE_FILES = {"nova": "api-paste.ini", "neutron": "api-paste.ini", "magnum": "api-paste.ini"}


def write(home: Home, addresses: Addresses) -> None:
    """Writes the configuration of every service into the home.

    Args:
        home: The home of the box.
        addresses: Its addresses.
    """
    auth_url, passwords = KEYSTONE.url(addresses), home.passwords()
    files: dict[str, dict[str, Sections]] = {
        "keystone": {"keystone.conf": _keystone()},
        "glance": {"glance-api.conf": _glance(auth_url, passwords["glance"])},
        "nova": {"nova.conf": _nova(auth_url, passwords["nova"])},
        "neutron": {"neutron.conf": _neutron(auth_url, passwords["neutron"])},
        "magnum": {"magnum.conf": _magnum(auth_url, passwords["magnum"])},
        "swift": object_storage.files(_authtoken("swift", auth_url, passwords["swift"])),
    }
    for service, contents in files.items():
        folder = home.path / "etc" / service
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, sections in contents.items():
            _write_ini(folder / name, sections)
        if service in _PASTE_FILES:
            shutil.copyfile(_SHIPPED_ETC / service / _PASTE_FILES[service], folder / _PASTE_FILES[service])
        (folder / "policy.yaml").touch()  # none of our own: the services' defaults


def _write_ini(path: Path, sections: Sections) -> None:
    parser = configparser.RawConfigParser(default_section="")
    parser.read_dict(sections)
    parts = []
    for section in parser.sections():
        parts.append(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in parser.items(section)))
    write_private(path, "\n".join(parts))


def database_url(service: str, database: str | None = None) -> str:
    """Returns the URL of a service's SQLite database, which waits for its turn for up to a minute."""
    return f"sqlite:///{STATE / service / (database or service)}.db?timeout=60"


def _database(service: str, database: str | None = None) -> dict[str, str]:
    # Losing the last second of a local cloud in a power cut is cheaper than waiting for the disk on every write.
    return {"connection": database_url(service, database), "sqlite_synchronous": "false"}


def _account(auth_url: str, user: str, password: str) -> dict[str, str]:
    return {
        "auth_url": auth_url,
        "auth_type": "password",
        "username": user,
        "password": password,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }


def _authtoken(service: str, auth_url: str, password: str) -> dict[str, str]:
    (type_,) = (entry.type for entry in OPENSTACK if entry.name == service)
    return {
        "www_authenticate_uri": auth_url,
        "service_token_roles_required": "true",
        "service_type": type_,
        **_account(auth_url, service, password),
    }


def _common(service: str, auth_url: str, password: str) -> Sections:
    return {
        "DEFAULT": {"log_file": str(INSIDE / "log" / f"{service}.log")},
        "database": _database(service),
        "oslo_concurrency": {"lock_path": str(STATE / service / "lock")},
        "oslo_policy": {"policy_file": str(ETC / service / "policy.yaml")},
        "keystone_authtoken": _authtoken(service, auth_url, password),
    }


def _keystone() -> Sections:
    return {
        "DEFAULT": {"log_file": str(INSIDE / "log" / "keystone.log")},
        "database": _database("keystone"),
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": str(STATE / "keystone" / "fernet-keys")},
        # Unless told, it looks for the keys of receipts below /etc, and does not start where there are none.
        "fernet_receipts": {"key_repository": str(STATE / "keystone" / "fernet-keys")},
        "credential": {"key_repository": str(STATE / "keystone" / "credential-keys")},
        "cache": {"enabled": "true", "backend": "dogpile.cache.memory"},
        # Our passwords are random: a slow hash protects nothing and costs a quarter of a second for every client.
        "identity": {"password_hash_rounds": "4"},
    }


def _glance(auth_url: str, password: str) -> Sections:
    store = STATE / "glance"
    return _common("glance", auth_url, password) | {
        "DEFAULT": {"log_file": str(INSIDE / "log" / "glance.log"), "enabled_backends": "fs:file"},
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": str(store / "images")},
        "os_glance_staging_store": {"filesystem_store_datadir": str(store / "staging")},
        "os_glance_tasks_store": {"filesystem_store_datadir": str(store / "tasks")},
        "paste_deploy": {"flavor": "keystone", "config_file": str(_SHIPPED_ETC / "glance" / "glance-api-paste.ini")},
    }


def _nova(auth_url: str, password: str) -> Sections:
    return _common("nova", auth_url, password) | {
        "DEFAULT": {
            "log_file": str(INSIDE / "log" / "nova.log"),
            "transport_url": "fake://",
            "state_path": str(STATE / "nova"),
            "host": "box",
        },
        "api": {"auth_strategy": "keystone"},
        "wsgi": {"api_paste_config": str(ETC / "nova" / "api-paste.ini")},
        "api_database": _database("nova", "nova_api"),
        "keystone": _account(auth_url, "nova", password) | {"region_name": REGION},
        "quota": _quota(),
    }


def _quota() -> dict[str, str]:
    """Returns room for the largest cluster, of the largest flavor."""
    machines = MAX_WORKERS + 1
    ram, cores, _ = max(FLAVORS.values())
    return {"instances": f"{machines}", "cores": f"{machines * cores}", "ram": f"{machines * ram}"}


def _neutron(auth_url: str, password: str) -> Sections:
    return _common("neutron", auth_url, password) | {
        "DEFAULT": {
            "log_file": str(INSIDE / "log" / "neutron.log"),
            "transport_url": "fake://",
            "state_path": str(STATE / "neutron"),
            "host": "box",
            "core_plugin": "ml2",
            "service_plugins": "router",
            "auth_strategy": "keystone",
            "api_paste_config": str(ETC / "neutron" / "api-paste.ini"),
            "notify_nova_on_port_status_changes": "false",
            "notify_nova_on_port_data_changes": "false",
        },
        "ml2": {
            "type_drivers": "local,flat",
            "tenant_network_types": "local",
            "mechanism_drivers": "",
            "extension_drivers": "",
        },
        "ml2_type_flat": {"flat_networks": "*"},
    }


def _magnum(auth_url: str, password: str) -> Sections:
    region = {"region_name": REGION}
    clients = ("magnum", "glance", "nova", "neutron", "cinder")
    return _common("magnum", auth_url, password) | {
        "DEFAULT": {
            "log_file": str(INSIDE / "log" / "magnum.log"),
            "transport_url": "fake://",
            "host": "box",
            "periodic_interval_max": "5",
        },
        "api": {
            "host": "0.0.0.0",  # noqa: S104  inside the box, whose only link leads to the machine
            "port": str(MAGNUM.port),
            "api_paste_config": str(ETC / "magnum" / "api-paste.ini"),
        },
        "certificates": {"cert_manager_type": "x509keypair"},  # the default is Barbican, which we do not run
        "cinder": {"default_boot_volume_size": "1"},  # or a cluster without a flavor is refused
        "drivers": {"default_driver": "localcloud"},
        "cluster": {"temp_cache_dir": str(STATE / "magnum" / "certcache")},
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_auth": _account(auth_url, "magnum", password),
        **{f"{client}_client": region for client in clients},
    }
