"""The bare floor: the same binaries started by hand, without OpenStack, supervisord or controller.

A control plane until its API server is ready, then one worker until its node is Ready. What
is not timed (keys, configuration, the node's image store) is what the cloud prepares, too.

usage: localcloud's python floor.py HOME IMAGES
prints JSON: {"control_plane": s, "node": s, "control_plane_memory": MB, "node_memory": MB, "idle": % of a core}
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from localcloud.cluster import config, pki
from localcloud.cluster.api import Api
from localcloud.cluster.node import Node
from localcloud.cluster.reconciler import copy_golden
from localcloud.settings import Settings
from processes import components, idle_cpu, memory

from localcloud import build, cgroups, network

NUMBER = 6
TIMEOUT = 120.0


def make_authority(folder: Path) -> pki.Authority:
    """Make a certificate authority as Magnum does (RSA 2048)."""
    folder.mkdir(parents=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "floor")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(certificate.public_bytes(pem))
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.key").write_bytes(plain)
    return pki.Authority(folder)


def start(settings: Settings, node: Node) -> list[subprocess.Popen[bytes]]:
    """Start every program of a node; one that fails because another is not there yet is started again."""
    log = open(node.folder(settings) / "log", "wb")  # noqa: SIM115 - the processes keep it
    again = ["sh", "-c", 'until "$@"; do sleep 0.1; done', "sh"]
    return [
        subprocess.Popen([*again, *program.command], stdout=log, stderr=log, start_new_session=True)
        for program in config.programs(settings, node)
    ]


def until(holds: Callable[[], bool]) -> float:
    """Return the seconds until something holds."""
    begun = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - begun
        except OSError:
            pass
        if time.monotonic() - begun > TIMEOUT:
            raise SystemExit(f"the bare floor was not reached within {TIMEOUT:.0f} s")
        time.sleep(0.05)


def main() -> None:
    """Measure, and leave nothing behind."""
    settings = Settings(Path(sys.argv[1]), NUMBER)
    artifacts = build.everything(Path(sys.argv[2]), lambda _: None)
    folder = settings.clusters / "floor"
    authority = make_authority(folder / "pki")
    master = Node("floor-master-0", "default-master", "master", 0, 0, "floor", 0)
    worker = Node("floor-node-0", "default-worker", "worker", 0, 1, "floor", 0)
    address = str(master.address(settings))
    server = f"https://{address}:{config.API_PORT}"
    pki.control_plane(authority, address, master.name)
    (folder / "pki/localcloud.kubeconfig").write_text(authority.kubeconfig("localcloud", server))
    network.ensure_bridge(settings)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for node in (master, worker):
            copy_golden(artifacts.golden, node.root(settings))
            config.write_node_files(settings, artifacts, authority, node, server)
        processes += start(settings, master)
        api = Api(server, folder / "pki", artifacts.bin / "kubectl")
        control_plane = until(lambda: not api.ready())
        until(lambda: api.nodes().get(master.name) == "")
        processes += start(settings, worker)
        node_ready = until(lambda: api.nodes().get(worker.name) == "")
        first, second = (components(node.folder(settings)) for node in (master, worker))
        figures = {
            "control_plane": control_plane,
            "node": node_ready,
            "control_plane_memory": memory(first),
            "node_memory": memory(second),
            "idle": idle_cpu([*first, *second]),
        }
        print(json.dumps({name: round(figure, 2) for name, figure in figures.items()}))
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        network.remove_all(settings, for_good=True)
        cgroups.remove(f"/{settings.device}")


if __name__ == "__main__":
    main()
