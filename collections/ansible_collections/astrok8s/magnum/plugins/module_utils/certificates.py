# Copyright: astrok8s contributors
# Apache-2.0
"""The administrator's key and certificate request, as `openstack coe cluster config` makes them."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """Return a new private key, and the same as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key, pem.decode()


def request_for_admin(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a certificate request (PEM) for Kubernetes' administrators' group."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def to_base64(text: str) -> str:
    """Return text as a kubeconfig's ``…-data`` wants it."""
    return base64.b64encode(text.encode()).decode()
