"""Passwords and keys of a localcloud: made once, at random, never shown."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from localcloud.openstack.files import write_private
from localcloud.settings import Settings

SERVICES = ("glance", "nova", "neutron", "magnum", "swift")
"""Services with a user of their own, which asks Keystone whether a caller's token is good."""

USER = "astronomer"
USERS = ("admin", USER, *SERVICES)


def passwords(settings: Settings) -> dict[str, str]:
    """Return the password of each user; the first call makes them.

    The file is written in one step, with every user that there is: one that it lacks is new to Keystone too.

    Raises:
        RuntimeError: They are lost or damaged, while Keystone's database still has their hashes.
    """
    path = settings.state / "secrets.json"
    try:
        kept: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        kept = {}
    except ValueError as error:
        raise RuntimeError(
            f"{path} is damaged ({error}): restore it, or start anew with `localcloud destroy`"
        ) from None
    missing = [user for user in USERS if user not in kept]
    if not missing:
        return kept
    if not kept and databases_marker(settings).exists():
        raise RuntimeError(
            f"{path} is missing or empty, and Keystone keeps only the hashes of its passwords: "
            "restore that file, or start anew with `localcloud destroy`"
        )
    kept |= {user: secrets.token_urlsafe(32) for user in missing}
    write_private(path, json.dumps(kept, indent=2) + "\n")
    return kept


def key_pair(settings: Settings) -> str:
    """Return the astronomer's public SSH key; the first call makes the pair.

    The private one is in ``settings.state``, for nodes that let the owner in.
    """
    path = private_key(settings)
    if path.exists():
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    else:
        key = Ed25519PrivateKey.generate()
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        write_private(path, encoded.decode())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{public.decode()} {USER}"


def private_key(settings: Settings) -> Path:
    """Return the file of the astronomer's private SSH key."""
    return settings.state / f"{USER}-key"


def seed_marker(settings: Settings) -> Path:
    """Return the file whose presence says that the cloud was filled to the end."""
    return settings.state / "seed-finished"


def databases_marker(settings: Settings) -> Path:
    """Return the file whose presence says that every database was made to its end."""
    return settings.state / "databases-finished"
