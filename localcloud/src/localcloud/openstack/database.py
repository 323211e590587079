"""The services' SQLite databases: made once, checked at each start, never made anew over data."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localcloud.openstack import config
from localcloud.openstack.credentials import databases_marker, seed_marker
from localcloud.openstack.files import write_private
from localcloud.settings import Settings

JOBS = 2
"""How many services' databases are made at a time: each keeps a core busy."""

ORDER = ("nova", "keystone", "neutron", "glance", "magnum")
"""Longest first, so that the jobs end together."""


def files(settings: Settings) -> list[Path]:
    """Return the database files of every service."""
    return [config.database(settings, service, name) for service, names in config.DATABASES.items() for name in names]


def forget_unfinished(settings: Settings) -> None:
    """Remove databases that were never finished: no service ever ran on them."""
    marker = databases_marker(settings)
    if marker.exists():
        return
    if seed_marker(settings).exists():
        raise RuntimeError(
            f"{marker} is missing, yet {seed_marker(settings)} says that this cloud was in use: restore the folder "
            f"{settings.state} from a backup, or start anew with `localcloud destroy`"
        )
    for service in config.DATABASES:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(settings.state / service)


def ensure(settings: Settings) -> None:
    """Make the databases, or check the ones that were made.

    Raises:
        RuntimeError: One cannot be made, is missing or is damaged.
    """
    marker = databases_marker(settings)
    if marker.exists():
        check(settings)
        return
    for path in files(settings):
        _create(path)
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda service: _migrate(settings, service), ORDER))
    for path in files(settings):
        _check(path)
        _flush(path)
    # the last thing that is written: without it the next start makes them all anew
    write_private(marker, "every database was made to its end\n")


def check(settings: Settings) -> str:
    """Return how many databases are whole.

    Raises:
        RuntimeError: One is missing or damaged.
    """
    if not databases_marker(settings).exists():
        return "not made yet"
    for path in files(settings):
        _check(path)
    return f"{len(files(settings))} are whole"


def _create(path: Path) -> None:
    path.touch(mode=0o600)
    # readers do not stop a writer in this mode; the file remembers it
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _migrate(settings: Settings, service: str) -> None:
    command = [sys.executable, "-m", "localcloud.openstack.migrate", str(settings.home), service]
    log = settings.logs / f"database-{service}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if done.returncode:
        last = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        raise RuntimeError(
            f"the database of {service} could not be made (exit code {done.returncode}): {last}; see {log}"
        )


def _flush(path: Path) -> None:
    """Bring a database to the disk: it was made without waiting for that."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    remedy = "restore that file from a backup, or start anew with `localcloud destroy` (which drops its clusters)"
    try:
        # mode=rw: do not make a missing one; reading alone could not roll back what a killed writer left
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=60)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if tables else "it is empty"
    except sqlite3.Error as error:
        found = "it is missing" if not path.exists() else str(error)
    if found != "ok":
        raise RuntimeError(f"database {path} cannot be used: {found}; {remedy}")
