"""The keys of a repository: a master key that signs its whitelist, and a certificate that signs its manifest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from localcloud.prerequisites import LocalcloudError
from localcloud.state import replace

MASTER, SIGNING, PUBLIC, CERTIFICATE = "master.key", "signing.key", "master.pub", "certificate.pem"
"""Files of the folder of keys."""

_BITS = 2048
_HASH = hashes.SHA1()  # noqa: S303
_CERTIFICATE_VALID = timedelta(days=3650)


@dataclass(frozen=True)
class Keys:
    """The keys of one repository.

    Attributes:
        master: Signs the whitelist.
        signing: Signs the manifest.
        certificate: Of the signing key, in PEM.
        public: The master key's public half, in PEM: what clients are given.
    """

    master: rsa.RSAPrivateKey
    signing: rsa.RSAPrivateKey
    certificate: bytes
    public: str

    @property
    def fingerprint(self) -> bytes:
        """SHA-1 of the certificate, as whitelists name it."""
        return x509.load_pem_x509_certificate(self.certificate).fingerprint(_HASH)

    def sign_manifest(self, message: bytes) -> bytes:
        """Return a signature by PKCS #1 v1.5 with SHA-1."""
        return self.signing.sign(message, padding.PKCS1v15(), _HASH)

    def sign_whitelist(self, message: bytes) -> bytes:
        """Return a signature that is the message itself, in a PKCS #1 block of type 1 without the name of a hash.

        That is OpenSSL's RSA_private_encrypt, which CernVM-FS uses here; `cryptography` has no name for it.
        """
        numbers = self.master.private_numbers()
        modulus = numbers.public_numbers.n
        size = (modulus.bit_length() + 7) // 8
        block = b"\x00\x01" + b"\xff" * (size - 3 - len(message)) + b"\x00" + message
        return pow(int.from_bytes(block), numbers.d, modulus).to_bytes(size)


def make(folder: Path, fqrn: str) -> None:
    """Make the keys of a repository in one step; those that are there stay.

    Args:
        folder: Theirs alone, mode 0700; the folder above exists.
        fqrn: Name of the repository.
    """
    if folder.exists():
        return
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # a killed run's
    new.mkdir(mode=0o700)
    master, signing = (rsa.generate_private_key(public_exponent=65537, key_size=_BITS) for _ in range(2))
    for name, key in ((MASTER, master), (SIGNING, signing)):
        replace(new / name, _pem(key), 0o600)
    public = master.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    replace(new / PUBLIC, public, 0o600)
    replace(new / CERTIFICATE, _certify(signing, fqrn), 0o600)
    new.rename(folder)


def read(folder: Path) -> Keys:
    """Return the keys of a repository.

    Raises:
        LocalcloudError: One is missing or damaged.
    """
    try:
        master, signing = (_private(folder / name) for name in (MASTER, SIGNING))
        certificate = (folder / CERTIFICATE).read_bytes()
        x509.load_pem_x509_certificate(certificate)
        return Keys(master, signing, certificate, public(folder))
    except (OSError, ValueError, TypeError) as error:
        fqrn = folder.parent.name
        raise LocalcloudError(
            f"a key of repository {fqrn} in {folder} is missing or damaged ({error}); restore it from a backup, or say "
            f"`localcloud cvmfs remove {fqrn}` and publish anew (clients then need the new public key)"
        ) from None


def public(folder: Path) -> str:
    """Return the public half of the master key, in PEM."""
    return (folder / PUBLIC).read_text()


def _private(path: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{os.fspath(path)} holds no RSA key")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _certify(key: rsa.RSAPrivateKey, fqrn: str) -> bytes:
    """Return a certificate of a key by itself: the whitelist is what makes it trusted."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{fqrn} of localcloud"[:64])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a client's clock may be behind
        .not_valid_after(now + _CERTIFICATE_VALID)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
