"""The processes of the OpenStack services."""

from __future__ import annotations

import sys

from localcloud.openstack import config
from localcloud.program import Program
from localcloud.settings import Settings

MODULES = {
    "keystone": "keystone.wsgi.api",
    "glance": "glance.wsgi.api",
    "nova": "nova.wsgi.osapi_compute",
    "neutron": "neutron.wsgi.api",
}
"""Modules of the services' WSGI applications; Magnum and Swift have launchers of their own."""


def programs(settings: Settings) -> list[Program]:
    """Return what supervisord runs for OpenStack.

    Args:
        settings: Of the localcloud.
    """
    services = [_served(settings, service) for service in MODULES]
    return [*services, _swift(settings), _magnum(settings)]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        # its owner may talk to the world through a proxy; these talk to each other
        "no_proxy": "*",
        "NO_PROXY": "*",
        "LOCALCLOUD_HOME": str(settings.home),
        # deprecations that only the services' authors can act on
        "PYTHONWARNINGS": "ignore",
    }


def _served(settings: Settings, service: str) -> Program:
    prefix = f"OS_{service.upper()}"
    environment = {**_environment(settings), f"{prefix}_CONFIG_DIR": str(settings.etc / service)}
    if service == "nova":
        environment[f"{prefix}_DISABLE_EVENTLET_PATCHING"] = "true"
    if service == "neutron":
        environment[f"{prefix}_CONFIG_FILES"] = config.file(settings, service).name
    # One thread: a request never meets another one in SQLite, where two writers can fail each other.
    # None of the four calls another one that calls it back, so none waits for itself.
    command = [sys.executable, "-m", "localcloud.openstack.serve", MODULES[service], str(settings.port(service)), "1"]
    return Program(service, command, environment, priority=20)


def _magnum(settings: Settings) -> Program:
    file = str(config.file(settings, "magnum"))
    command = [sys.executable, "-m", "localcloud.openstack.magnum_service", "--config-file", file]
    return Program("magnum", command, _environment(settings), priority=30)


def _swift(settings: Settings) -> Program:
    command = [sys.executable, "-m", "localcloud.openstack.swift_service"]
    # it compares and prints times by this clock
    return Program("swift", command, {**_environment(settings), "TZ": "UTC0"}, priority=25)
