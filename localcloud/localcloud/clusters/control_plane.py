"""The control plane of a cluster: etcd, the apiserver, the controller manager and the scheduler, on one node."""

from pathlib import Path

from localcloud.clusters.addressing import Ranges
from localcloud.clusters.pki import Authority, signing_key
from localcloud.home import write_private

_CLIENTS = {"controller-manager": "system:kube-controller-manager", "scheduler": "system:kube-scheduler"}


def write(etc: Path, authority: Authority, ranges: Ranges) -> None:
    """Writes the keys of a control plane.

    Args:
        etc: The folder of its configuration.
        authority: The authority of the cluster.
        ranges: The ranges of the cluster.
    """
    service = "kubernetes.default.svc.cluster.local"
    names = [service.rsplit(".", count)[0] for count in range(4, 0, -1)] + [service, "localhost"]
    addresses = [ranges.kubernetes_service, ranges.node(0)]
    authority.issue("kube-apiserver", hosts=[*names, *addresses]).write(etc, "apiserver")
    authority.issue("kube-apiserver-kubelet-client", ["system:masters"]).write(etc, "apiserver-kubelet-client")
    for name, user in _CLIENTS.items():
        write_private(etc / f"{name}.kubeconfig", authority.kubeconfig(ranges.api_url, authority.issue(user)))
    write_private(etc / "ca.key", authority.key)  # the controller manager signs certificate requests
    private, public = signing_key()
    write_private(etc / "service-accounts.key", private)
    write_private(etc / "service-accounts.pub", public)


def programs(etc: Path, ranges: Ranges) -> dict[str, list[str]]:
    """Returns the programs of a control plane, by name.

    Args:
        etc: The folder of its configuration, as the node sees it.
        ranges: The ranges of the cluster.
    """
    return {
        "etcd": _etcd(),
        "kube-apiserver": _apiserver(etc, ranges),
        "kube-controller-manager": [
            *_client("kube-controller-manager", etc / "controller-manager.kubeconfig"),
            f"--root-ca-file={etc}/ca.crt",
            f"--cluster-signing-cert-file={etc}/ca.crt",
            f"--cluster-signing-key-file={etc}/ca.key",
            f"--service-account-private-key-file={etc}/service-accounts.key",
            "--use-service-account-credentials",
            # With the default of 20 requests a second its controllers alone take four seconds to start.
            *("--kube-api-qps=200", "--kube-api-burst=400"),
        ],
        "kube-scheduler": _client("kube-scheduler", etc / "scheduler.kubeconfig"),
    }


def conditions(etc: Path) -> dict[str, list[str]]:
    """Returns what must succeed before a program is started, by the program's name.

    A controller that is refused by an apiserver whose roles are not made yet backs off for many seconds.

    Args:
        etc: The folder of its configuration, as the node sees it.
    """
    ready = ("get", "--raw", "/readyz", "--request-timeout=10s")
    return {f"kube-{name}": ["kubectl", f"--kubeconfig={etc}/{name}.kubeconfig", *ready] for name in _CLIENTS}


def _etcd() -> list[str]:
    clients, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return [
        *("etcd", "--name=master", "--data-dir=/var/lib/etcd"),
        *(f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"),
        *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"),
        f"--initial-cluster=master={peers}",
        # Losing the last second of a local cluster in a power cut is cheaper than waiting for the disk on every write.
        "--unsafe-no-fsync",
    ]


def _apiserver(etc: Path, ranges: Ranges) -> list[str]:
    return [
        "kube-apiserver",
        f"--advertise-address={ranges.node(0)}",
        "--secure-port=6443",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={ranges.services}",
        f"--client-ca-file={etc}/ca.crt",
        f"--tls-cert-file={etc}/apiserver.crt",
        f"--tls-private-key-file={etc}/apiserver.key",
        f"--kubelet-certificate-authority={etc}/ca.crt",
        f"--kubelet-client-certificate={etc}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={etc}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={etc}/service-accounts.pub",
        f"--service-account-signing-key-file={etc}/service-accounts.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
    ]


def _client(program: str, kubeconfig: Path) -> list[str]:
    kinds = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [program, *(f"--{kind}={kubeconfig}" for kind in kinds), "--leader-elect=false", "--bind-address=127.0.0.1"]
