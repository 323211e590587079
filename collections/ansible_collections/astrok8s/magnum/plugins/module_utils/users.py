# Copyright: astrok8s contributors
# Apache-2.0
"""Users of a cluster and their namespaces: each has one, and its name says whose it is."""

from .errors import MagnumError

PREFIX = "user-"
# Of a label of DNS.
_LONGEST = 63
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def namespace_of(user: str) -> str:
    """Returns the name of a user's namespace.

    Lower-case letters and digits stay; of all else, each byte of UTF-8 becomes a hyphen and two hexadecimal digits. So
    no two users share a namespace.

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
