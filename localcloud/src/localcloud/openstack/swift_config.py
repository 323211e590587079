"""Swift's configuration, written anew at each start, and the two things that its data depends on.

Those are a file system that keeps attributes of files, and the words that Swift hashes with
every object's name into the name of its folder.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from localcloud.openstack.config import Sections, account, authtoken, ini
from localcloud.openstack.files import make_private, write_private
from localcloud.settings import REGION, Settings

DISK = "disk"
"""The one device of the rings: a folder of Swift's state."""

STORAGE = ("account", "container", "object")
"""The servers behind the proxy."""

PIPELINE = (
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "proxy-logging",
    "listing_formats",
    "authtoken",
    "s3api",
    "s3token",
    "keystoneauth",
    "bulk",  # deletes many objects in one request
    "copy",
    "slo",  # uploads in parts
    "dlo",
    "versioned_writes",
    "symlink",
)
"""Filters before the proxy, outermost first; those of S3 must surround each other in this order."""

ATTRIBUTE_BYTES = 2048
"""What S3 allows for an object's metadata: a file system that cannot keep so much is of no use."""


def folder(settings: Settings) -> Path:
    """Return the folder of Swift's configuration and rings."""
    return settings.etc / "swift"


def disk(settings: Settings) -> Path:
    """Return the folder of everything that is stored."""
    return settings.state / "swift/devices" / DISK


def check_disk(settings: Settings) -> None:
    """Refuse a file system on which Swift cannot keep what it knows of an object.

    Raises:
        RuntimeError: It has no attributes of files, or too small ones.
    """
    probe = settings.state / "swift/probe"
    try:
        probe.touch()
        os.setxattr(probe, "user.localcloud", b"x" * ATTRIBUTE_BYTES)
    except OSError as error:
        raise RuntimeError(
            f"the file system of {probe.parent} does not keep attributes of files, which object storage needs "
            f"({ATTRIBUTE_BYTES} bytes of user.localcloud: {error.strerror}); "
            "choose a --home on ext4, xfs or btrfs"
        ) from None
    finally:
        probe.unlink(missing_ok=True)


def hash_prefix(settings: Settings) -> str:
    """Return the word that Swift hashes with every name, so that nobody can choose where an object goes.

    Raises:
        RuntimeError: It is lost, while there are objects that cannot be found without it.
    """
    path = settings.state / "swift/hash-prefix"
    if not path.exists():
        if any(disk(settings).iterdir()):
            raise RuntimeError(
                f"{path} is missing, and the objects in {disk(settings)} cannot be found without it: "
                "restore that file from a backup, or start anew with `localcloud destroy`"
            )
        write_private(path, secrets.token_hex(16))
    return path.read_text()


def storage_options(settings: Settings) -> dict[str, object]:
    """Return what the servers behind the proxy, and what keeps their books, are told."""
    return {
        "swift_dir": folder(settings),
        "devices": disk(settings).parent,
        "mount_check": False,  # the device is a folder
        "log_level": "WARNING",
        **_TIMEOUTS,
    }


_TIMEOUTS = {
    # The servers share a process: a slow answer means a busy machine, and nobody else could give it
    "conn_timeout": 10,
    "node_timeout": 60,
}


def write(settings: Settings) -> None:
    """Write the configuration of Swift's four servers.

    Args:
        settings: Of the localcloud; its disk was checked.

    Raises:
        RuntimeError: The word that leads to the stored objects is lost.
    """
    make_private(folder(settings))
    common: Sections = {"swift-hash": {"swift_hash_path_prefix": hash_prefix(settings)}}
    write_private(folder(settings) / "swift.conf", ini(common, special=""))
    write_private(folder(settings) / "proxy.conf", ini(_proxy(settings), special=""))
    for server in STORAGE:
        write_private(folder(settings) / f"{server}.conf", ini(_storage(settings, server), special=""))


def _storage(settings: Settings, server: str) -> Sections:
    return {
        "DEFAULT": storage_options(settings),
        "pipeline:main": {"pipeline": "server"},
        "app:server": {"use": f"egg:swift#{server}"},
    }


def _proxy(settings: Settings) -> Sections:
    options: dict[str, dict[str, object]] = {
        "proxy-logging": {"use": "egg:swift#proxy_logging"},
        "authtoken": {
            "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
            **authtoken(settings, "swift"),
            # a request may carry an S3 signature instead of a token
            "delay_auth_decision": True,
        },
        "s3api": {"location": REGION},
        "s3token": {
            **account(settings, "swift"),
            "auth_uri": f"{settings.url('keystone')}/v3",
            # ask Keystone each time: a key that was deleted is refused at once
            "secret_cache_duration": 0,
        },
        "keystoneauth": {"operator_roles": "admin, member"},
        "versioned_writes": {"allow_versioned_writes": True, "allow_object_versioning": True},
    }
    filters = {f"filter:{name}": {"use": f"egg:swift#{name}", **options.get(name, {})} for name in PIPELINE}
    del filters["filter:authtoken"]["use"]  # it is not Swift's own
    return {
        "DEFAULT": {"swift_dir": folder(settings), "log_level": "INFO"},
        "pipeline:main": {"pipeline": " ".join((*PIPELINE, "proxy-server"))},
        "app:proxy-server": {
            "use": "egg:swift#proxy",
            "account_autocreate": True,
            **_TIMEOUTS,
            "recoverable_node_timeout": 60,
            # there is no other disk to turn to when this one failed a few times
            "error_suppression_limit": 1_000_000_000,
        },
        **filters,
    }
