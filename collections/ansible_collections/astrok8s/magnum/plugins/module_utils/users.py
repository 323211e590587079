# Copyright: astrok8s contributors
# Apache-2.0
"""Users of a cluster and their namespaces: each has one, and its name says whose it is."""

import re

from .errors import MagnumError

PREFIX = "user-"
# Of a label of DNS.
_LONGEST = 63
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def namespace_of(user: str) -> str:
    """Returns the name of a user's namespace.

    Lower-case letters and digits stay; of all else, each byte of UTF-8 becomes a hyphen and two hexadecimal digits. So
    no two users share a namespace, and `user_of` finds the user again.

    Args:
        user: The name of the user, as `maria` or `maria.rossi@example.org`.

    Raises:
        MagnumError: No namespace can be named after the user.
    """
    escaped = "".join(chr(byte) if byte in _PLAIN else f"-{byte:02x}" for byte in user.encode())
    if not user.strip() or not user.isprintable() or len(PREFIX + escaped) > _LONGEST:
        raise MagnumError(
            f"There cannot be a user {user!r}.",
            f"Give a name of letters and digits, of at most {_LONGEST - len(PREFIX)}; any other character takes three.",
        )
    return PREFIX + escaped


def user_of(namespace: str) -> str | None:
    """Returns the user of a namespace; None where it is nobody's."""
    if not namespace.startswith(PREFIX):
        return None
    escaped = namespace.removeprefix(PREFIX)
    parts = re.findall(r"-([0-9a-f]{2})|([a-z0-9])", escaped)
    try:
        user = bytes(int(code, 16) if code else ord(letter) for code, letter in parts).decode()
        return user if namespace_of(user) == namespace else None
    except (UnicodeDecodeError, MagnumError):
        return None
