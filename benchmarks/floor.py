"""The bare floor of a cluster: the same programs in the same nodes, started by hand inside a box.

No OpenStack, driver, rack or supervisord: all nodes are started at once, and what every cluster has is applied as soon
as the apiserver answers. Keys, configuration and roots are written before the clock starts. cluster_create.py runs it.

usage: localcloud's python, inside a box: floor.py BOX NETWORK WORKERS
prints the seconds until all nodes are Ready and the cluster's DNS answers
"""

import datetime
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import resources
from ipaddress import IPv4Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localcloud.clusters import cgroups
from localcloud.clusters.addressing import MAX_CLUSTERS, Ranges
from localcloud.clusters.kubectl import Kubectl
from localcloud.clusters.node import Node
from localcloud.clusters.pki import Authority
from localcloud.home import INSIDE, write_private

FOLDER = INSIDE / "floor"
TIMEOUT_S = 300
POLL_S = 0.1


def make_authority() -> Authority:
    """Returns the authority of a cluster, which Magnum would make."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "floor")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return Authority(certificate.public_bytes(pem).decode(), private.decode())


def wait_for(what: str, predicate: Callable[[], bool]) -> None:
    """Waits until a predicate holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not predicate():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {TIMEOUT_S} s for {what}")
        time.sleep(POLL_S)


def start(node: Node) -> subprocess.Popen[bytes]:
    """Starts a node."""
    folder = FOLDER / str(node.number)
    with (folder / "node.log").open("wb") as log:
        command = [sys.executable, "-m", "localcloud.clusters.node_init", str(folder)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main() -> None:
    """Measures, and leaves nothing behind."""
    box, network, workers = sys.argv[1], IPv4Network(sys.argv[2]), int(sys.argv[3])
    ranges = Ranges(network, MAX_CLUSTERS)
    nodes = [Node(cluster="floor", box=box, number=number, ranges=ranges) for number in range(workers + 1)]
    manifests = resources.files("localcloud.clusters").joinpath("manifests")
    texts = [path.read_text(encoding="utf-8") for path in manifests.iterdir()]
    text = "---\n".join(texts).replace("$DNS_SERVICE", str(ranges.dns_service))
    authority, kubectl = make_authority(), Kubectl(FOLDER / "kubeconfig")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for node in nodes:
            node.write(FOLDER / str(node.number), authority)
        write_private(
            kubectl.kubeconfig, authority.kubeconfig(ranges.api_url, authority.issue("floor", ["system:masters"]))
        )
        begun = time.monotonic()
        processes += [start(node) for node in nodes]
        wait_for("the apiserver to answer", kubectl.answers)
        kubectl.run("apply", "--filename=-", stdin=text)
        wait_for("all nodes to be Ready", lambda: {node.name for node in nodes} <= kubectl.ready_nodes())
        wait_for("the cluster's DNS to be ready", kubectl.dns_is_ready)
        print(time.monotonic() - begun)
    finally:
        for process in processes:
            process.kill()  # the kernel ends all that runs in the node
            process.wait()
        for node in nodes:
            subprocess.run(["ip", "link", "delete", node.link], capture_output=True, check=False)
            cgroups.remove_node(node.cgroup)
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
