"""What is Swift's own: its configuration, and the file system that it needs."""

import errno
import os
from pathlib import Path

from localcloud.cloud.services import ETC, REGION, SWIFT
from localcloud.errors import LocalcloudError
from localcloud.home import INSIDE

Sections = dict[str, dict[str, str]]

FOLDER = ETC / "swift"
# The one device of the rings: a folder of the state.
DISK = "disk"
DEVICES = INSIDE / "state" / "swift"
# The servers behind the proxy, and where each listens: on the box's loopback, which no node and no machine reaches.
STORAGE_PORTS = {"account": 6202, "container": 6201, "object": 6200}

# What a request goes through before it reaches the proxy; those of S3 surround each other in this order.
_PIPELINE = (
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
# The servers share a process: a slow answer means a busy machine, and nobody else could give it.
_TIMEOUTS = {"conn_timeout": "10", "node_timeout": "60"}
# What S3 allows for the metadata of an object; Swift keeps it in attributes of the object's file.
_ATTRIBUTE_BYTES = 2048


def check_file_system(folder: Path) -> None:
    """Checks that files may have attributes.

    Args:
        folder: Where they are going to lie.

    Raises:
        LocalcloudError: They may not, or only small ones.
    """
    probe = folder / f".attributes.{os.getpid()}"
    try:
        probe.touch()
        os.setxattr(probe, "user.localcloud", b"x" * _ATTRIBUTE_BYTES)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSPC, errno.E2BIG):
            raise
        raise LocalcloudError(
            f"The file system of {folder} keeps no attributes of {_ATTRIBUTE_BYTES} bytes, which object storage needs: "
            f"{error.strerror}.",
            remedy="Let XDG_STATE_HOME name a folder on ext4, xfs or btrfs.",
        ) from error
    finally:
        probe.unlink(missing_ok=True)


def storage_options() -> dict[str, str]:
    """Returns what the servers behind the proxy, and the updaters, are told."""
    return {
        "swift_dir": str(FOLDER),
        "devices": str(DEVICES),
        "mount_check": "false",  # the device is a folder
        "log_level": "WARNING",
        **_TIMEOUTS,
    }


def files(authtoken: dict[str, str]) -> dict[str, Sections]:
    """Returns the contents of Swift's configuration files, by name.

    Args:
        authtoken: The options by which a service knows Keystone.
    """
    storage: dict[str, Sections] = {
        f"{server}.conf": {
            "DEFAULT": storage_options(),
            "pipeline:main": {"pipeline": "server"},
            "app:server": {"use": f"egg:swift#{server}"},
        }
        for server in STORAGE_PORTS
    }
    # The prefix keeps users from choosing where an object goes; whoever knows ours has only his own cloud to harm.
    common = {"swift-hash": {"swift_hash_path_prefix": "localcloud"}}
    return {"swift.conf": common, "proxy.conf": _proxy(authtoken), **storage}


def _proxy(authtoken: dict[str, str]) -> Sections:
    options: Sections = {name: {"use": f"egg:swift#{name}"} for name in _PIPELINE}
    options["proxy-logging"] = {"use": "egg:swift#proxy_logging"}
    options["authtoken"] = {
        "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
        "delay_auth_decision": "true",  # a request may carry a signature of S3 instead of a token
        **authtoken,
    }
    options["s3api"]["location"] = REGION
    # Each signature is checked by Keystone: a key that was deleted is refused at once.
    options["s3token"] |= {"auth_uri": authtoken["auth_url"], "secret_cache_duration": "0", **authtoken}
    options["keystoneauth"]["operator_roles"] = "admin, member"
    options["versioned_writes"] |= {"allow_versioned_writes": "true", "allow_object_versioning": "true"}
    return {
        "DEFAULT": {"swift_dir": str(FOLDER), "bind_port": str(SWIFT.port), "log_level": "INFO"},
        "pipeline:main": {"pipeline": " ".join((*_PIPELINE, "proxy-server"))},
        "app:proxy-server": {
            "use": "egg:swift#proxy",
            "account_autocreate": "true",
            **_TIMEOUTS,
            "recoverable_node_timeout": "60",
            # There is no other disk to turn to when this one failed a few times.
            "error_suppression_limit": "1000000000",
        },
        **{f"filter:{name}": settings for name, settings in options.items()},
    }
