"""The keys of a repository: the master key, and a certificate that it vouches for, whose key signs revisions."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from localcloud.cvmfs import files
from localcloud.cvmfs.repository import Repository

# Clients judge by the whitelist, which is short-lived; the certificate is to live as long as the repository.
_CERTIFICATE_LIFETIME = datetime.timedelta(days=20 * 365)
_CLOCK_SKEW = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Keys:
    """The keys of a repository.

    Attributes:
        master: Signs the whitelist.
        signer: Signs manifests.
        certificate: That of the signer, as PEM.
    """

    master: rsa.RSAPrivateKey
    signer: rsa.RSAPrivateKey
    certificate: bytes

    @classmethod
    def of(cls, repository: Repository) -> "Keys":
        """Returns the keys of a repository; each is made when it is first asked for."""
        repository.public_key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        master = _key(repository.key("masterkey"))
        signer = _key(repository.key("key"))
        certificate = _once(repository.key("crt"), lambda: _certify(signer, repository.fqrn), 0o600)
        _once(repository.public_key, lambda: _public(master), 0o644)
        return cls(master, signer, certificate)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the certificate, as whitelists name it."""
        digest = x509.load_pem_x509_certificate(self.certificate).fingerprint(hashes.SHA1())  # noqa: S303  the format's
        return digest.hex(":").upper()

    def sign_manifest(self, message: bytes) -> bytes:
        """Signs as the certificate's holder, by PKCS #1 v1.5 with SHA-1."""
        return self.signer.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  the format's

    def sign_whitelist(self, message: bytes) -> bytes:
        """Signs with the master key: a block of type 1 of PKCS #1 around the message itself, without a DigestInfo.

        No library signs so: it is what OpenSSL calls a private encryption.
        """
        numbers = self.master.private_numbers()
        modulus = numbers.public_numbers.n
        size = (modulus.bit_length() + 7) // 8
        block = b"\x00\x01" + b"\xff" * (size - 3 - len(message)) + b"\x00" + message
        return pow(int.from_bytes(block, "big"), numbers.d, modulus).to_bytes(size, "big")


def _once(path: Path, make: Callable[[], bytes], mode: int) -> bytes:
    """Returns the content of a file, which is made where there is none."""
    if not path.exists():
        files.write(path, make(), mode)
    return path.read_bytes()


def _key(path: Path) -> rsa.RSAPrivateKey:
    loaded = serialization.load_pem_private_key(_once(path, _draw, 0o600), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)  # noqa: S101  we made it
    return loaded


def _draw() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _certify(key: rsa.RSAPrivateKey, fqrn: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fqrn)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _CERTIFICATE_LIFETIME)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
