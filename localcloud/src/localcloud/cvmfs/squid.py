"""The proxy in front of the stratum: Debian's squid, from the build cache, with a cache of its own.

It hands out what the stratum has and nothing else, to nodes, pods and the machine. It will not run as root, and the
folder of a localcloud is root's alone: so it runs in a mount namespace which shows it what it needs.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from localcloud.prerequisites import LocalcloudError
from localcloud.program import Program
from localcloud.settings import Settings
from localcloud.state import replace

USER = "proxy"
"""Who squid runs as: an account that every Debian and Ubuntu has for this."""

DISK_MB, MEMORY_MB = 2000, 64
"""What its cache may take of the disk, and of the memory."""

SHOWN = Path("/mnt")
"""Where squid sees its program and its folder; nothing else of the machine is looked for there."""

STOP_SECONDS = 5
"""It needs one or two, without waiting for requests that run: clients ask again."""

_CONFIGURATION = """\
http_port {address}:{port}
visible_hostname {name}
acl users src {users}
acl stratum dstdomain -n {stratum}
acl port port {stratum_port}
http_access deny !users
http_access deny CONNECT
http_access allow stratum port
http_access deny all
cache_mem {memory} MB
cache_dir aufs {shown}/folder/cache {disk} 16 64
# objects are up to 16 MiB and what zlib adds; catalogs can be larger
maximum_object_size 256 MB
maximum_object_size_in_memory 1 MB
# many executors ask for the same object at once
collapsed_forwarding on
max_filedescriptors 8192
# it looks up no name, and talks to nobody else
dns_nameservers 127.0.0.1
udp_incoming_address 127.0.0.1
pinger_enable off
mime_table {shown}/program/usr/share/squid/mime.conf
icon_directory {shown}/program/usr/share/squid/icons
error_directory {shown}/program/usr/share/squid-langpack/templates
err_page_stylesheet none
unlinkd_program {shown}/program/usr/lib/squid/unlinkd
netdb_filename none
pid_filename none
coredump_dir none
access_log none
cache_log /dev/null
cache_store_log none
shutdown_lifetime 0 seconds
"""

_START = Path(__file__).with_name("squid.sh")


def prepare(settings: Settings) -> None:
    """Write squid's configuration, and make the folder of its cache.

    Args:
        settings: Of the localcloud.

    Raises:
        LocalcloudError: The machine lacks the account that it runs as.
    """
    folder, account = settings.squid, _account()
    (folder / "cache").mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chown(folder / "cache", account.pw_uid, account.pw_gid)
    folder.chmod(0o755)  # its own user looks into it
    replace(folder / "squid.conf", configuration(settings).encode(), 0o644)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise LocalcloudError(
            f"this machine has no account {USER}, which squid runs as. Remedy: apt-get install --reinstall base-passwd"
        ) from None


def configuration(settings: Settings) -> str:
    """Return squid's configuration."""
    return _CONFIGURATION.format(
        address=settings.address("squid"),
        port=settings.port("squid"),
        name=settings.host_name,
        users=f"{settings.node_range} {settings.pod_range}",
        stratum=settings.address("stratum"),
        stratum_port=settings.port("stratum"),
        memory=MEMORY_MB,
        disk=DISK_MB,
        shown=SHOWN,
    )


def program(settings: Settings, folder: Path) -> Program:
    """Return what supervisord runs.

    Args:
        settings: Of the localcloud.
        folder: Where squid's packages were unpacked.
    """
    arguments = [str(folder), str(settings.squid), str(SHOWN), USER]
    command = ["unshare", "--mount", "--propagation", "private", "sh", str(_START), *arguments]
    return Program("squid", command, priority=28, stop_seconds=STOP_SECONDS)
