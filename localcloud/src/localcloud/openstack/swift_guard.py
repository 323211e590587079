"""Around the applications of Swift's servers: who answers, and whom."""

from __future__ import annotations

import hmac
from typing import Any

KEY = "X-Localcloud-Key"
"""Header by which the servers behind the proxy, which know no users, recognize each other."""


def named(application: Any, name: str) -> Any:
    """Return an application whose answers say in their header ``Server`` who gave them."""

    def answer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("Server", name)], exc_info)

        return application(environ, start)

    return answer


def guarded(application: Any, key: str) -> Any:
    """Return an application that answers this process alone: other users of the machine know no key."""

    def answer(environ: Any, start_response: Any) -> Any:
        given = environ.pop(f"HTTP_{KEY.upper().replace('-', '_')}", "")
        if not hmac.compare_digest(given.encode(), key.encode()):
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return application(environ, start_response)

    return answer


def send_key(key: str) -> None:
    """Let every connection to the servers behind the proxy carry the key."""
    from swift.common.bufferedhttp import BufferedHTTPConnection

    put = BufferedHTTPConnection.putrequest

    def putrequest(connection: Any, *arguments: Any, **options: Any) -> None:
        put(connection, *arguments, **options)
        connection.putheader(KEY, key)

    BufferedHTTPConnection.putrequest = putrequest
