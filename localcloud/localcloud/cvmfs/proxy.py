"""The proxy in front of a box's stratum: squid, which keeps objects in memory, since the stratum shares its disk.

usage: python -m localcloud.cvmfs.proxy
"""

import os
import pwd
import shutil
import sys
from pathlib import Path

from localcloud.cloud.services import PROXY, STRATUM
from localcloud.home import INSIDE, Home
from localcloud.network import Addresses

# Debian's account for squid, which does not run as root. It may not read the home.
_USER = "proxy"
_CONFIG = Path("/run/squid.conf")


def configuration(addresses: Addresses) -> str:
    """Returns squid's configuration: it asks the stratum, and nobody else, for anybody.

    Args:
        addresses: The addresses of the box.
    """
    return f"""\
http_port {PROXY.port}
visible_hostname {PROXY.name}
acl stratum dst {addresses.box}
acl its_port port {STRATUM.port}
acl reading method GET HEAD
http_access allow stratum its_port reading
http_access deny all
collapsed_forwarding on
minimum_expiry_time 0 seconds
cache_mem 128 MB
# The largest objects are files just below the size from which they are chunked, and catalogs.
maximum_object_size 32 MB
maximum_object_size_in_memory 32 MB
# It would reserve memory for as many as it may have, which is a billion on some machines.
max_filedescriptors 4096
access_log stdio:/dev/stdout
cache_log /dev/stdout
pid_filename none
netdb_filename none
pinger_enable off
dns_nameservers 127.0.0.1
shutdown_lifetime 1 seconds
coredump_dir /
"""


def main() -> None:
    """Becomes squid."""
    network = Home("", INSIDE).network()
    assert network is not None  # noqa: S101  `up` wrote it before it started the box
    _CONFIG.write_text(configuration(Addresses(network)), encoding="utf-8")
    squid = shutil.which("squid")
    assert squid is not None  # noqa: S101  `up` looked for it
    account = pwd.getpwnam(_USER)
    os.fchown(sys.stdout.fileno(), account.pw_uid, account.pw_gid)  # it opens its logs by name
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.execv(squid, [squid, "-N", "-f", str(_CONFIG)])


if __name__ == "__main__":
    main()
