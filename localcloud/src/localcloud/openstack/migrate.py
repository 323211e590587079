"""Makes the tables of one service: ``python -m localcloud.openstack.migrate HOME NUMBER SERVICE``.

A process of its own per service, since their global configurations do not get along. Within it
each command of the service's management tool runs in a fork, which spares it the imports.
"""

from __future__ import annotations

import grp
import multiprocessing
import os
import pwd
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localcloud.openstack import config
from localcloud.openstack.credentials import passwords
from localcloud.settings import REGION, Settings


def main(home: str, service: str) -> None:
    """Make the tables of a service in its empty databases.

    Args:
        home: Folder of the localcloud.
        service: Name of the service.
    """
    # nothing is lost by a power cut here: half-made databases are made anew
    for group in ("DATABASE", "API_DATABASE"):
        os.environ[f"OS_{group}__SQLITE_SYNCHRONOUS"] = "false"
    MIGRATIONS[service](Settings.load(Path(home)))


def _run(function: Callable[[], Any], *words: str) -> None:
    """Run a command-line tool's main function with these arguments, in a fork."""

    def child() -> None:
        sys.argv = list(words)
        sys.exit(function())

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{' '.join(words)}: exit code {process.exitcode}")


def _arguments(settings: Settings, service: str, tool: str) -> Sequence[str]:
    return (tool, "--config-file", str(config.file(settings, service)))


def _keystone(settings: Settings) -> None:
    from keystone.cmd import manage

    common = _arguments(settings, "keystone", "keystone-manage")
    os.environ["OS_BOOTSTRAP_PASSWORD"] = passwords(settings)["admin"]
    url = f"{settings.url('keystone')}/v3"
    urls = [word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", url)]
    _run(manage.main, *common, "db_sync")
    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    for keys in ("fernet_setup", "credential_setup"):
        _run(manage.main, *common, keys, "--keystone-user", owner, "--keystone-group", group)
    _run(manage.main, *common, "bootstrap", "--bootstrap-region-id", REGION, *urls)


def _glance(settings: Settings) -> None:
    from glance.cmd import manage

    _run(manage.main, *_arguments(settings, "glance", "glance-manage"), "db", "sync")


def _nova(settings: Settings) -> None:
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
    from nova.cmd import manage

    common = _arguments(settings, "nova", "nova-manage")
    cell = f"sqlite:///{config.database(settings, 'nova', 'nova_cell0')}?timeout=60"
    _run(manage.main, *common, "api_db", "sync")
    _run(manage.main, *common, "cell_v2", "map_cell0", "--database_connection", cell)
    _run(manage.main, *common, "db", "sync")
    _run(manage.main, *common, "cell_v2", "create_cell", "--name", "cell1")


def _neutron(settings: Settings) -> None:
    from neutron.db.migration import cli

    common = _arguments(settings, "neutron", "neutron-db-manage")

    def create() -> None:
        # Neutron's migrations cannot run on SQLite (ALTER of constraints): make what they lead to
        import sqlalchemy
        from neutron.db.migration.models import head

        engine = sqlalchemy.create_engine(f"sqlite:///{config.database(settings, 'neutron')}")
        head.get_metadata().create_all(engine)

    _run(create, *common)
    _run(cli.main, *common, "stamp", "heads")


def _magnum(settings: Settings) -> None:
    from magnum.common import service

    def create() -> None:
        # as for Neutron
        service.prepare_service(sys.argv)
        from magnum.db import migration
        from magnum.db.sqlalchemy import models
        from oslo_db.sqlalchemy import enginefacade

        models.Base.metadata.create_all(enginefacade.writer.get_engine())
        migration.stamp("head")

    _run(create, *_arguments(settings, "magnum", "magnum-db-manage"))


MIGRATIONS: dict[str, Callable[[Settings], None]] = {
    "keystone": _keystone,
    "glance": _glance,
    "nova": _nova,
    "neutron": _neutron,
    "magnum": _magnum,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
