"""Configuration files and programs of a node's components."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from localcloud.build import Artifacts
from localcloud.cluster.node import Node, cluster_pods
from localcloud.cluster.pki import FRONT_PROXY, Authority
from localcloud.program import Program
from localcloud.settings import CLUSTER_DNS, SERVICE_RANGE, Settings

CERTIFIED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "network-policy")
"""Components that read keys and certificates when they start, in the order of a restart."""

API_PORT = 6443
"""Port of every cluster's API server."""

AFTER_API = ("kube-controller-manager", "kube-scheduler")
"""Started once the API server is ready: asked before, it refuses them, and they back off for seconds."""

MACHINE = Path(__file__).parent.parent / "machine"

CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  # root may lack CAP_SYS_RESOURCE; without this every sandbox fails there
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"""


def write_node_files(settings: Settings, artifacts: Artifacts, authority: Authority, node: Node, server: str) -> None:
    """Write the node's ``/etc`` and the image store that it starts with.

    Args:
        settings: Of this localcloud.
        artifacts: Binaries and the golden node image.
        authority: Signs the node's certificates.
        node: Whose files to write.
        server: URL of the cluster's API server.
    """
    root, address = node.root(settings), str(node.address(settings))
    authority.issue(node.name, f"system:node:{node.name}", "system:nodes", (node.name, address), server=True)
    files = {
        "etc/hostname": f"{node.name}\n",
        # Kubernetes wants one of its own from every machine
        "etc/machine-id": f"{uuid5(NAMESPACE_DNS, node.name).hex}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{address} {node.name}\n",
        # cluster names only: an image or host that is not there fails at once
        "etc/resolv.conf": f"nameserver {CLUSTER_DNS}\n",
        "etc/containerd/config.toml": CONTAINERD.format(pause=artifacts.images["pause"]),
        "etc/cni/net.d/10-pods.conflist": json.dumps(_cni(str(node.pod_range(settings)))),
        "etc/kubernetes/kube-proxy.json": json.dumps(_kube_proxy(settings, node)),
        "etc/kubernetes/resolv.conf": "",  # CoreDNS asks nobody outside
        "etc/kubernetes/kubelet.kubeconfig": authority.kubeconfig(node.name, server),
        "etc/kubernetes/kube-proxy.kubeconfig": authority.kubeconfig("proxy", server),
        "etc/kubernetes/network-policy.kubeconfig": authority.kubeconfig("network-policy", server),
    }
    pairs = {"ca.crt": "ca.crt", f"{node.name}.crt": "kubelet.crt", f"{node.name}.key": "kubelet.key"}
    if node.is_master:
        for name in ("controller-manager", "scheduler"):
            files[f"etc/kubernetes/{name}.kubeconfig"] = authority.kubeconfig(name, server)
        pairs |= {name: name for name in ("ca.key", "sa.key", "sa.pub")}
        stems = ("apiserver", "apiserver-kubelet-client", "front-proxy")
        pairs |= {f"{stem}.{end}": f"{stem}.{end}" for stem in stems for end in ("crt", "key")}
    for relative, content in files.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "etc/kubernetes/pki").mkdir(mode=0o700, exist_ok=True)
    for source, target in pairs.items():
        shutil.copy2(authority.folder / source, root / "etc/kubernetes/pki" / target)
    write_machine_environment(settings, artifacts, node)


def write_machine_environment(settings: Settings, artifacts: Artifacts, node: Node) -> None:
    """Write what depends on the machine: what power-on.sh reads, and the kubelet's configuration.

    Anew at each start: the folder of programs moves with their versions, and the machine may have grown.
    """
    facts = {
        "HOSTNAME": node.name,
        "DEVICE": f"{settings.device}-{node.namespace}",
        "ADDRESS": node.address(settings),
        "PREFIX": settings.node_range.prefixlen,
        "BRIDGE": settings.device,
        "CLUSTER_PODS": cluster_pods(settings, node.network),
        "SERVICES": SERVICE_RANGE,
        "CGROUP": cgroup(settings, node).lstrip("/"),
        "BIN": artifacts.bin,
        # where the machine has no more, there is nothing to hold back
        "CORES": node.vcpus if 0 < node.vcpus < (os.cpu_count() or 1) else "",
        "MEMORY": node.ram * 2**20 if node.ram else "",
    }
    text = "".join(f"{name}='{value}'\n" for name, value in facts.items())
    (node.folder(settings) / "machine.env").write_text(text)
    kubelet = node.root(settings) / "etc/kubernetes/kubelet.json"
    kubelet.parent.mkdir(parents=True, exist_ok=True)
    kubelet.write_text(json.dumps(_kubelet(settings, node)))


def _reserved(node: Node) -> dict[str, str]:
    """Return what the machine has beyond the node's flavor: allocatable is then what a server of it would have."""
    cores, kib = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**10
    reserved = {}
    if 0 < node.vcpus < cores:
        reserved["cpu"] = str(cores - node.vcpus)
    if 0 < node.ram * 2**10 < kib:
        reserved["memory"] = f"{kib - node.ram * 2**10}Ki"
    return reserved


def cgroup(settings: Settings, node: Node) -> str:
    """Return the cgroup that holds all pods of a node."""
    return f"/{settings.device}/{node.name}"


def _cni(pods: str) -> dict[str, Any]:
    """Bridge and host-local: each node's pods are a link of their own, routed by the node, behind the policy engine."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    gate = {"type": "policy-gate"}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, portmap, gate]}


def _kubelet(settings: Settings, node: Node) -> dict[str, Any]:
    pki = "/etc/kubernetes/pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup(settings, node),
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [str(CLUSTER_DNS)],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/kubernetes/resolv.conf",
        # The disk is the machine's. There is no registry to fetch an image again, so a node
        # never deletes one; eviction only when the disk is nearly full.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "systemReserved": _reserved(node),
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "registerWithTaints": (
            [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}] if node.is_master else []
        ),
    }


def _kube_proxy(settings: Settings, node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.kubeconfig"},
        "mode": "iptables",
        "clusterCIDR": str(cluster_pods(settings, node.network)),
        "hostnameOverride": node.name,
        "oomScoreAdj": 0,
        # the limit is the machine's own and not settable in a network namespace
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def programs(settings: Settings, node: Node) -> list[Program]:
    """Return the programs of a node: the machine, then what runs on it."""
    folder = str(node.folder(settings))
    address = str(node.address(settings))
    # the machine dies with supervisord, and with it every process of the node
    power_on = ["setpriv", "--pdeathsig", "KILL", "sh", str(MACHINE / "power-on.sh"), folder]

    def inside(name: str, *command: str, priority: int, autostart: bool = True) -> Program:
        return Program(
            name,
            ["sh", str(MACHINE / "enter.sh"), folder, *command],
            priority=priority,
            stop_seconds=5,
            autostart=autostart,
        )

    labels = f"magnum.openstack.org/nodegroup={node.group},magnum.openstack.org/role={node.role}"
    kubelet = [
        "kubelet",
        "--config=/etc/kubernetes/kubelet.json",
        "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={address}",
        f"--node-labels={labels}",
    ]
    network_policy = [
        "network-policy",
        "--kubeconfig=/etc/kubernetes/network-policy.kubeconfig",
        f"--node={node.name}",
        f"--services={SERVICE_RANGE}",
    ]
    result = [
        Program("machine", power_on, priority=10, stop_signal="KILL"),
        inside("containerd", "containerd", "--config=/etc/containerd/config.toml", priority=20),
        inside("kubelet", *kubelet, priority=30),
        inside("kube-proxy", "kube-proxy", "--config=/etc/kubernetes/kube-proxy.json", priority=30),
        inside("network-policy", *network_policy, priority=30),
    ]
    if node.is_master:
        for name, command in _control_plane(address).items():
            result.append(inside(name, *command, priority=15, autostart=name not in AFTER_API))
    return result


def _control_plane(address: str) -> dict[str, list[str]]:
    kubernetes = "/etc/kubernetes"
    pki = f"{kubernetes}/pki"

    def client(name: str) -> list[str]:
        file = f"{kubernetes}/{name}.kubeconfig"
        # one of each: nobody to elect a leader against
        return [f"--{kind}kubeconfig={file}" for kind in ("", "authentication-", "authorization-")] + [
            "--leader-elect=false"
        ]

    etcd = "http://127.0.0.1:2379"
    return {
        "etcd": [
            "etcd",
            "--data-dir=/var/lib/etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ],
        "kube-apiserver": [
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--advertise-address={address}",
            f"--secure-port={API_PORT}",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            # to API servers behind it (metrics-server and the like), which learn from it who asks
            f"--proxy-client-cert-file={pki}/front-proxy.crt",
            f"--proxy-client-key-file={pki}/front-proxy.key",
            f"--requestheader-client-ca-file={pki}/front-proxy.crt",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ],
        "kube-controller-manager": [
            "kube-controller-manager",
            *client("controller-manager"),
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
            "--use-service-account-credentials=true",
            # it asks for a token per controller when it starts: by its own limit of 20 a second, for 5 seconds
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--allocate-node-cidrs=false",
        ],
        "kube-scheduler": ["kube-scheduler", *client("scheduler")],
    }
