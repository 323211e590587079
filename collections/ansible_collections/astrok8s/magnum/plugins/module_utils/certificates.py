# Copyright: astrok8s contributors
# Apache-2.0
"""An administrator's kubeconfig, made in memory as `openstack coe cluster config` makes it in files."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_key() -> ec.EllipticCurvePrivateKey:
    """Returns a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def administrator_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Returns a certificate request (PEM) of Kubernetes' group of administrators."""
    subject = [
        x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
    ]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def kubeconfig(server: str, authority: str, certificate: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """Returns what kubectl would read from a file.

    All that it names is named by the URL: Ansible blackens every text of a secret wherever it prints it, and so would
    the cluster's name be, also where a node of that name is to be told.

    Args:
        server: The URL of its API.
        authority: The certificate of its authority, PEM.
        certificate: The client's certificate, PEM.
        key: The client's key.
    """
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    cluster = {"server": server, "certificate-authority-data": _base64(authority.encode())}
    user = {"client-certificate-data": _base64(certificate.encode()), "client-key-data": _base64(pem)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": server,
        "contexts": [{"name": server, "context": {"cluster": server, "user": server}}],
        "clusters": [{"name": server, "cluster": cluster}],
        "users": [{"name": server, "user": user}],
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
