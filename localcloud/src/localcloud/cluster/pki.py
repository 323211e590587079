"""Keys and certificates of a cluster, signed by the certificate authority that Magnum made."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.settings import SERVICE_RANGE

VALIDITY = datetime.timedelta(days=5 * 365)
"""As long as Magnum's own certificates (5 years)."""

FRONT_PROXY = "front-proxy-client"
"""Name by which the API server shows itself to API servers behind it, the one that Magnum's clusters use, too."""

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8
_PLAIN = serialization.NoEncryption()


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


class Authority:
    """The cluster's certificate authority, in ``ca.crt`` and ``ca.key`` of a folder.

    Args:
        folder: The cluster's ``pki`` folder; signed pairs are kept there too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"the key in {folder / 'ca.key'} is neither RSA nor EC; Magnum makes RSA keys")
        self._key = key

    def issue(
        self, name: str, common_name: str, organization: str = "", hosts: tuple[str, ...] = (), server: bool = False
    ) -> None:
        """Make ``<name>.crt`` and ``<name>.key`` unless they are there.

        Args:
            name: File stem.
            common_name: CN, the user's name in Kubernetes.
            organization: O, the group in Kubernetes.
            hosts: DNS names and addresses that the certificate is valid for.
            server: Also (or, without an organization, only) for TLS servers.
        """
        if (self.folder / f"{name}.crt").exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        if organization or not server:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + VALIDITY)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            # Python 3.13 refuses certificates without it
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(h) for h in hosts]), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _write(self.folder / f"{name}.key", key.private_bytes(_PEM, _PKCS8, _PLAIN))
        # the certificate last: its presence says that the pair is whole
        _write(self.folder / f"{name}.crt", certificate.public_bytes(_PEM))

    def kubeconfig(self, name: str, server: str) -> str:
        """Return a kubeconfig (JSON, which is YAML) that holds a pair made by `issue`."""

        def encoded(file: str) -> str:
            return base64.b64encode((self.folder / file).read_bytes()).decode()

        cluster = {"server": server, "certificate-authority-data": encoded("ca.crt")}
        user = {
            "client-certificate-data": encoded(f"{name}.crt"),
            "client-key-data": encoded(f"{name}.key"),
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "cluster", "cluster": cluster}],
                "users": [{"name": name, "user": user}],
                "contexts": [{"name": "default", "context": {"cluster": "cluster", "user": name}}],
                "current-context": "default",
            }
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def service_account_key(folder: Path) -> None:
    """Make the pair that signs service account tokens, unless it is there."""
    if (folder / "sa.pub").exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(folder / "sa.key", key.private_bytes(_PEM, _PKCS8, _PLAIN))
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write(folder / "sa.pub", public)


def front_proxy(folder: Path) -> None:
    """Make the pair by which the API server shows itself to API servers behind it, unless it is there.

    It signs itself, and is the only one that such a server trusts: whoever shows it names a user without further proof.
    """
    if (folder / "front-proxy.crt").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, FRONT_PROXY)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder / "front-proxy.key", key.private_bytes(_PEM, _PKCS8, _PLAIN))
    _write(folder / "front-proxy.crt", certificate.public_bytes(_PEM))


def control_plane(authority: Authority, address: str, hostname: str) -> None:
    """Issue the pairs of the control plane's components.

    Args:
        authority: The cluster's authority.
        address: Address of the API server.
        hostname: Host name of the control-plane node.
    """
    kubernetes = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    hosts = (*kubernetes, hostname, "localhost", "127.0.0.1", str(SERVICE_RANGE[1]), address)
    authority.issue("apiserver", "kube-apiserver", hosts=hosts, server=True)
    authority.issue("apiserver-kubelet-client", "apiserver-kubelet-client", "system:masters")
    authority.issue("controller-manager", "system:kube-controller-manager")
    authority.issue("scheduler", "system:kube-scheduler")
    authority.issue("proxy", "system:kube-proxy")
    authority.issue("network-policy", "localcloud:network-policy")
    authority.issue("localcloud", "localcloud", "system:masters")
    front_proxy(authority.folder)
    service_account_key(authority.folder)
