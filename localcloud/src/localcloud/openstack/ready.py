"""Whether the services answer."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

from localcloud.settings import PORTS, Settings

PATHS = {"keystone": "/v3", "swift": "/healthcheck"}
"""What a service answers without a login; the others do so at ``/``."""

FOREIGN = "another program"
PAUSE = 0.1
"""Seconds between two looks."""


def wait(settings: Settings, report: Callable[[str], None], timeout: float = 120) -> None:
    """Return when every service answers.

    Args:
        settings: Of the localcloud.
        report: Takes a line whenever it waits for something else.
        timeout: Seconds for all of them together.

    Raises:
        RuntimeError: One does not answer in time.
    """
    deadline = time.monotonic() + timeout
    told = ""
    while missing := _missing(settings):
        waiting = f"waiting for {', '.join(missing)} to answer"
        if waiting != told:
            report(waiting)
            told = waiting
        if foreign := [service for service, error in missing.items() if error.startswith(FOREIGN)]:
            ports = ", ".join(f"{settings.port(service)} ({service})" for service in foreign)
            raise RuntimeError(
                f"another program answers on port {ports}, which localcloud number {settings.number} uses: "
                "stop that program, or start this localcloud with another --number"
            )
        if time.monotonic() > deadline:
            found = "; ".join(f"{service} at {settings.url(service)}: {error}" for service, error in missing.items())
            raise RuntimeError(
                f"not every service answers after {timeout:.0f} s ({found}); "
                f"the reason is at the end of {settings.logs}/{next(iter(missing))}.log"
            )
        time.sleep(PAUSE)


def alive(settings: Settings) -> dict[str, bool]:
    """Return for each service whether it answers."""
    missing = _missing(settings)
    return {service: service not in missing for service in PORTS}


def _missing(settings: Settings) -> dict[str, str]:
    """Return the services that do not answer, and what came instead."""
    errors = {service: _error(settings, service) for service in PORTS}
    return {service: error for service, error in errors.items() if error}


def _error(settings: Settings, service: str) -> str:
    """Return what is wrong with a service, or nothing."""
    connection = http.client.HTTPConnection(settings.address(service), settings.port(service), timeout=5)
    try:
        connection.request("GET", _question(settings, service))
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    if not _ours(settings, answer):
        return f"{FOREIGN} answers"
    return "" if answer.status < 400 else f"HTTP status {answer.status}"


def _question(settings: Settings, service: str) -> str:
    """Return what a service is asked for; a proxy, for what is behind it."""
    return f"{settings.url('stratum')}/" if service == "squid" else PATHS.get(service, "/")


def _ours(settings: Settings, answer: http.client.HTTPResponse) -> bool:
    """Whether a server of ours answered, or our proxy in its place."""
    via = answer.headers.get("Via", "").split()
    return answer.headers.get("Server") == settings.identity or settings.host_name in via
