"""Serves the WSGI application of a module: ``python -m localcloud.openstack.serve MODULE PORT THREADS``."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import waitress

from localcloud.settings import Settings


def leave(*_: object) -> None:
    """End the process in an orderly way: waitress lets the requests that run come to their end."""
    raise SystemExit(0)


def serve(application: Any, port: int, threads: int) -> None:
    """Serve an application of ``$LOCALCLOUD_HOME`` on the loopback device until SIGTERM.

    Args:
        application: By WSGI's rules.
        port: Where it listens.
        threads: How many requests it works on at a time.
    """
    signal.signal(signal.SIGTERM, leave)
    waitress.serve(
        application,
        host="127.0.0.1",
        port=port,
        threads=threads,
        ident=Settings.load().identity,  # the header Server
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,
    )


def main(module: str, port: str, threads: str) -> None:
    """Serve ``module.application``.

    Args:
        module: Name of a Python module.
        port: Where it listens.
        threads: How many requests it works on at a time.
    """
    # OpenStack's WSGI modules parse the command line when they are imported: ours is not for them
    sys.argv = [module]
    serve(importlib.import_module(module).application, int(port), int(threads))
    # threads that the service started would keep the process
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
