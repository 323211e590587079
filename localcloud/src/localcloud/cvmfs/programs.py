"""The processes of CVMFS: the stratum's web server and the proxy."""

from __future__ import annotations

import sys
from pathlib import Path

from localcloud.cvmfs import squid
from localcloud.program import Program
from localcloud.settings import Settings


def programs(settings: Settings, proxy: Path) -> list[Program]:
    """Return what supervisord runs for CVMFS.

    Args:
        settings: Of the localcloud.
        proxy: Where squid's packages were unpacked.
    """
    command = [sys.executable, "-m", "localcloud.cvmfs.web"]
    stratum = Program("stratum", command, {"LOCALCLOUD_HOME": str(settings.home)}, priority=26)
    return [stratum, squid.program(settings, proxy)]
