"""A node: its root, its configuration and its programs. Number 0 is the control plane's, as Magnum makes it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.clusters import cgroups, control_plane, golden, programs
from localcloud.clusters.addressing import Ranges
from localcloud.clusters.images import REGISTRY
from localcloud.clusters.node_init import ADDRESSES, ADMITTED, Machine
from localcloud.clusters.pki import Authority
from localcloud.network import Addresses

# Where a node keeps its configuration, as it sees it.
ETC = Path("/etc/kubernetes")
_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_CONTAINERD = f"""\
version = 2
oom_score = 0

[grpc]
address = "{_CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/{REGISTRY}/pause:1"
disable_apparmor = true
# Not even root may lower the score where CAP_SYS_RESOURCE is missing; runc would refuse every pod.
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a cluster.

    Attributes:
        cluster: The name of its cluster.
        box: The name of the box.
        number: Its number in the cluster; 0 is the control plane's.
        ranges: The ranges of its cluster.
    """

    cluster: str
    box: str
    number: int
    ranges: Ranges

    @property
    def is_control_plane(self) -> bool:
        """Whether the control plane runs in it."""
        return self.number == 0

    @property
    def name(self) -> str:
        """Its name, also in Kubernetes."""
        label = "".join(letter if letter.isalnum() else "-" for letter in self.cluster.lower())[:40].strip("-")
        return f"{label}-master-0" if self.is_control_plane else f"{label}-node-{self.number}"

    @property
    def link(self) -> str:
        """The name of its link, and of its process, in the box."""
        return f"c{self.ranges.index}n{self.number}"

    @property
    def address(self) -> str:
        """Its address."""
        return str(self.ranges.node(self.number))

    @property
    def cgroup(self) -> str:
        """Its cgroup, below that of all nodes of the box."""
        return f"{cgroups.parent(self.box)}/{self.link}"

    def write(self, folder: Path, authority: Authority) -> None:
        """Writes the node into its folder, which is whole when it holds machine.json; what is there already stays.

        Args:
            folder: The folder of the node.
            authority: The authority of its cluster.
        """
        if (folder / "machine.json").exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = folder / "root"
        if not root.exists():
            golden.copy(root)
        self._write_system(root / "etc")
        self._write_kubernetes(root / ETC.relative_to("/"), authority)
        if self.is_control_plane:
            control_plane.write(root / ETC.relative_to("/"), authority, self.ranges)
        self._machine().write(folder)

    def _machine(self) -> Machine:
        behind = [self.ranges.node_pods(self.number)]
        if self.is_control_plane:
            behind.append(self.ranges.services)  # its kube-proxy translates for whoever comes from the machine
        return Machine(
            name=self.name,
            link=self.link,
            cgroup=self.cgroup,
            gateway=str(Addresses(self.ranges.box).box),
            address=self.address,
            routes=[str(network) for network in behind],
            pods=str(self.ranges.node_pods(self.number)),
            dns=str(self.ranges.dns_service),
            binaries=str(programs.kubernetes()),
            network_policy=str(programs.network_policy()),
            layers=str(golden.layers()),
            programs=self._programs(),
            conditions=control_plane.conditions(ETC) if self.is_control_plane else {},
        )

    def _programs(self) -> dict[str, list[str]]:
        kubelet = [
            *("kubelet", f"--config={ETC}/kubelet.yaml", f"--kubeconfig={ETC}/kubelet.kubeconfig"),
            *(f"--hostname-override={self.name}", f"--node-ip={self.address}"),
            f"--node-labels=magnum.openstack.org/role={'master' if self.is_control_plane else 'worker'}",
        ]
        if self.is_control_plane:
            kubelet.append("--register-with-taints=node-role.kubernetes.io/control-plane=:NoSchedule")
        return {
            "containerd": ["containerd"],
            **(control_plane.programs(ETC, self.ranges) if self.is_control_plane else {}),
            "kubelet": kubelet,
            "kube-proxy": ["kube-proxy", f"--config={ETC}/kube-proxy.yaml"],
            "network-policy": [
                *("network-policy", f"--kubeconfig={ETC}/network-policy.kubeconfig"),
                *(f"--node={self.name}", f"--services={self.ranges.services}", f"--admitted={ADMITTED}"),
            ],
        }

    def _write_system(self, etc: Path) -> None:
        (etc / "containerd/config.toml").write_text(_CONTAINERD, encoding="ascii")
        (etc / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n", encoding="ascii")
        # Only the cluster's own names: asking others would leave the box.
        (etc / "resolv.conf").write_text(f"nameserver {self.ranges.dns_service}\n", encoding="ascii")
        network = {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": ADDRESSES,
                "ranges": [[{"subnet": str(self.ranges.node_pods(self.number))}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        _write_json(
            etc / "cni/net.d/10-pods.conflist", {"cniVersion": "1.0.0", "name": "pods", "plugins": [network, ports]}
        )

    def _write_kubernetes(self, etc: Path, authority: Authority) -> None:
        (etc / "ca.crt").write_text(authority.certificate, encoding="ascii")
        kubelet = authority.issue(
            f"system:node:{self.name}", ["system:nodes"], [self.name, self.ranges.node(self.number)]
        )
        kubelet.write(etc, "kubelet")
        url = self.ranges.api_url
        (etc / "kubelet.kubeconfig").write_text(authority.kubeconfig(url, kubelet), encoding="ascii")
        for name in ("kube-proxy", "network-policy"):
            pair = authority.issue(f"system:{name}")
            (etc / f"{name}.kubeconfig").write_text(authority.kubeconfig(url, pair), encoding="ascii")
        _write_json(etc / "kubelet.yaml", _kubelet(self.ranges))
        _write_json(etc / "kube-proxy.yaml", _kube_proxy(self.ranges, self.name))


def _kubelet(ranges: Ranges) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{ETC}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{ETC}/kubelet.crt",
        "tlsPrivateKeyFile": f"{ETC}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{_CONTAINERD_SOCKET}",
        "clusterDNS": [str(ranges.dns_service)],
        "clusterDomain": "cluster.local",
        # The disk is the machine's: others may fill it, and no registry gives back an image that was collected.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": ranges.node_pods(0).num_addresses - 8,
    }


def _kube_proxy(ranges: Ranges, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{ETC}/kube-proxy.kubeconfig"},
        "mode": "iptables",
        "clusterCIDR": str(ranges.pods),
        "hostnameOverride": name,
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "min": 0},  # the kernel has these only once
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="ascii")  # JSON is YAML too
