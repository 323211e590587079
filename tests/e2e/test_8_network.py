"""NetworkPolicies hold, in both directions and from a pod's first instruction on; load balancers; volumes go away."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Cloud, run
from kube import Kubectl, eventually
from machine import NUMBER
from probe import FIRST, LISTEN, OTHER_TCP, TCP, UDP, opens, pod
from site_yml import CLUSTER, playbook

NAMESPACES = ("blue", "red", "open")
PODS = tuple(f"{namespace}/{name}" for namespace in NAMESPACES for name in ("one", "two"))
DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
ANYBODY_HERE: dict[str, Any] = {"podSelector": {}}


def policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a NetworkPolicy; for all pods of the namespace unless ``spec`` says otherwise."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": {}, **spec},
    }


def isolated(namespace: str) -> list[dict[str, Any]]:
    """Return what keeps a namespace to itself: nothing passes but to and from its own pods, and DNS."""
    both = ["Ingress", "Egress"]
    own = policy(
        namespace, "own", policyTypes=both, ingress=[{"from": [ANYBODY_HERE]}], egress=[{"to": [ANYBODY_HERE]}, DNS]
    )
    return [policy(namespace, "nothing", policyTypes=both), own]


def apply(kubectl: Kubectl, *objects: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl of a cluster of three workers, with a listening pod on each of two in three namespaces."""
    assert "failed=0" in playbook("-e", "size=3").text
    kubectl = Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))
    workers = sorted(name for name, worker in kubectl.ready_nodes().items() if worker)
    objects: list[dict[str, Any]] = []
    for namespace in NAMESPACES:
        labels = {"colour": namespace}
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        objects += [
            pod(namespace, name, node, LISTEN, app="web", on=name)
            for name, node in zip(("one", "two"), workers, strict=False)
        ]
        service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]}
        metadata = {"namespace": namespace, "name": "web"}
        objects.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    apply(kubectl, *objects)
    for namespace in NAMESPACES:
        kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/one", "pod/two", "--timeout=60s")
    yield kubectl
    kubectl("delete", "namespace", *NAMESPACES)


@pytest.fixture(scope="module")
def targets(kubectl: Kubectl) -> dict[str, str]:
    """What to connect to: every pod and Service of ours, and parts of the cluster."""
    found = {}
    for name in PODS:
        address = kubectl.get("pod", "-n", *name.split("/"))["status"]["podIP"]
        found |= {f"{name}:web": f"tcp,{address},{TCP}", f"{name}:other": f"tcp,{address},{OTHER_TCP}"}
        found[f"{name}:udp"] = f"udp,{address},{UDP}"
    for namespace in NAMESPACES:
        found[f"{namespace}:service"] = f"tcp,web.{namespace}.svc.cluster.local,80"
    dns = kubectl.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"][0]["status"]
    found["metrics of DNS"] = f"tcp,{dns['podIP']},9153"
    found["kubelet"] = f"tcp,{dns['hostIP']},10250"
    found["API server"] = "tcp,kubernetes.default.svc.cluster.local,443"
    found["DNS"] = "dns,kubernetes.default.svc.cluster.local,443"
    return found


def within(targets: dict[str, str], namespace: str) -> set[str]:
    """Return the targets that a namespace kept to itself still reaches."""
    return {name for name in targets if name.startswith((f"{namespace}/", f"{namespace}:"))} | {"DNS"}


@pytest.fixture
def expect(kubectl: Kubectl, targets: dict[str, str]) -> Callable[[str, set[str]], None]:
    """A check: what a pod reaches becomes exactly this."""

    def check(source: str, wanted: set[str]) -> None:
        last: list[set[str]] = []

        def holds() -> bool:
            last[:] = [opens(kubectl, source, targets)]
            return last[0] == wanted

        try:
            eventually("", holds, seconds=15)
        except pytest.fail.Exception:
            lacking, more = sorted(wanted - last[0]), sorted(last[0] - wanted)
            pytest.fail(f"{source} does not reach {lacking}, and reaches {more}", pytrace=False)

    return check


Expect = Callable[[str, set[str]], None]


def test_without_policies_everything_connects(expect: Expect, targets: dict[str, str]) -> None:
    for source in PODS:
        expect(source, set(targets))


def test_link_local_addresses_lead_to_no_other_pod(kubectl: Kubectl) -> None:
    """Policies do not know of IPv6, so none passes between two pods of a node."""
    show = ("python3", "-c", "print(open('/proc/net/if_inet6').read())")
    lines = kubectl("exec", "-n", "red", "one", "--", *show).splitlines()
    number = next((line.split()[0] for line in lines if line.startswith("fe80")), None)
    if number is None:
        pytest.skip("this kernel gives no link-local addresses")
    address = ":".join(number[i : i + 4] for i in range(0, 32, 4))
    assert opens(kubectl, "red/one", {"itself": f"tcp,{address}%eth0,{TCP}"}) == {"itself"}
    assert opens(kubectl, "blue/one", {"red/one": f"tcp,{address}%eth0,{TCP}"}) == set()


def test_namespaces_kept_to_themselves(kubectl: Kubectl, expect: Expect, targets: dict[str, str]) -> None:
    apply(kubectl, *isolated("blue"), *isolated("red"))
    for source in PODS[:4]:
        expect(source, within(targets, source.split("/")[0]))
    for source in PODS[4:]:  # from outside, where no policy is
        expect(source, set(targets) - {name for name in targets if name.startswith(("blue", "red"))})


def test_a_rule_opens_exactly_what_it_names(kubectl: Kubectl, expect: Expect, targets: dict[str, str]) -> None:
    """From one pod of red to one pod of blue: by its port's name, and by UDP."""
    peer = {"namespaceSelector": {"matchLabels": {"colour": "red"}}, "podSelector": {"matchLabels": {"on": "two"}}}
    ports = [{"protocol": "TCP", "port": "web"}, {"protocol": "UDP", "port": UDP}]
    here = {"matchLabels": {"on": "one"}}
    ingress = policy(
        "blue", "in", podSelector=here, policyTypes=["Ingress"], ingress=[{"from": [peer], "ports": ports}]
    )
    blue = {"namespaceSelector": {"matchLabels": {"colour": "blue"}}}
    some = [{"protocol": "TCP", "port": 8000, "endPort": 8999}, {"protocol": "UDP", "port": UDP}]
    egress = policy("red", "out", policyTypes=["Egress"], egress=[{"to": [blue], "ports": some}])
    apply(kubectl, ingress, egress)
    expect("red/two", within(targets, "red") | {"blue/one:web", "blue/one:udp"})
    expect("red/one", within(targets, "red"))
    expect("blue/one", within(targets, "blue"))
    kubectl("delete", "networkpolicy", "-n", "blue", "in")
    kubectl("delete", "networkpolicy", "-n", "red", "out")
    expect("red/two", within(targets, "red"))


def test_a_rule_with_addresses(kubectl: Kubectl, expect: Expect, targets: dict[str, str]) -> None:
    """A range, and what is taken out of it."""
    address = {name: targets[f"{name}:web"].split(",")[1] for name in PODS}
    everywhere = {"ipBlock": {"cidr": "0.0.0.0/0", "except": [f"{address['open/two']}/32"]}}
    both = [{"ipBlock": {"cidr": f"{address[name]}/32"}} for name in PODS[4:]]
    apply(
        kubectl,
        policy("blue", "in", policyTypes=["Ingress"], ingress=[{"from": [everywhere]}]),
        policy("red", "out", policyTypes=["Egress"], egress=[{"to": both}]),
    )
    blue = {name for name in targets if name.startswith("blue")}
    red = {name for name in targets if name.startswith("red")}
    expect("open/one", set(targets) - red)
    expect("open/two", set(targets) - red - blue)
    expect("red/one", within(targets, "red") | within(targets, "open"))
    kubectl("delete", "networkpolicy", "-n", "blue", "in")
    kubectl("delete", "networkpolicy", "-n", "red", "out")


def first(kubectl: Kubectl, namespace: str, count: int, *arguments: str) -> list[list[str]]:
    """Start pods that connect to ``open/two`` from their first instruction on; return what each says."""
    address = kubectl.get("pod", "-n", "open", "two")["status"]["podIP"]
    node = kubectl.get("pod", "-n", "open", "one")["spec"]["nodeName"]
    names = [f"fresh-{number}" for number in range(count)]
    apply(kubectl, *(pod(namespace, name, node, FIRST, address, str(TCP), *arguments) for name in names))
    said = []
    for name in names:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        kubectl("wait", "-n", namespace, done, f"pod/{name}", "--timeout=60s")
        said.append(kubectl("logs", "-n", namespace, name).split())
    kubectl("delete", "pod", "-n", namespace, *names)
    return said


def test_a_new_pod_is_never_open(kubectl: Kubectl) -> None:
    for tries, opened in first(kubectl, "blue", 4, "0.1"):
        assert opened == "never"
        assert int(tries) > 20


def test_a_new_pod_that_may_connects_at_once(kubectl: Kubectl) -> None:
    """Its rules are there before it starts: a lost first packet would take TCP a second to send again."""
    for tries, opened in first(kubectl, "open", 4, "5", "once"):
        assert tries == "1"
        assert float(opened) < 0.9


def engines(cloud: Cloud) -> dict[str, int]:
    """Return the PID of the policy engine of each node of the cluster, where it runs."""
    facts = json.loads(run("localcloud", "status", "--json", check=False).stdout)
    found = [p for p in facts["processes"] if p["name"].endswith(".network-policy") and p["state"] == "RUNNING"]
    return {p["group"]: int(p["pid"]) for p in found if p["group"].startswith(f"{CLUSTER}-")}


def test_a_killed_engine_opens_nothing_and_comes_back(
    cloud: Cloud, kubectl: Kubectl, expect: Expect, targets: dict[str, str]
) -> None:
    before = engines(cloud)
    assert len(before) == 4
    for process in before.values():
        os.kill(process, signal.SIGKILL)
    assert opens(kubectl, "blue/one", targets) == within(targets, "blue")
    eventually(
        "other engines to run",
        lambda: engines(cloud).keys() == before.keys() and not set(engines(cloud).values()) & set(before.values()),
    )
    apply(kubectl, policy("blue", "out", policyTypes=["Egress"], egress=[{}]))
    blue_and_more = {name for name in targets if not name.startswith("red")}
    expect("blue/one", blue_and_more)
    kubectl("delete", "networkpolicy", "-n", "blue", "out")
    expect("blue/one", within(targets, "blue"))


def test_policies_removed_open_everything_again(kubectl: Kubectl, expect: Expect, targets: dict[str, str]) -> None:
    kubectl("delete", "networkpolicy", "--all", "-n", "blue")
    kubectl("delete", "networkpolicy", "--all", "-n", "red")
    for source in PODS:
        expect(source, set(targets))


BALANCED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: balanced, namespace: open}
spec:
  replicas: 3
  selector: {matchLabels: {app: balanced}}
  template:
    metadata: {labels: {app: balanced}}
    spec:
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          nodeTaintsPolicy: Honor
          labelSelector: {matchLabels: {app: balanced}}
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [sh, -c, "echo balanced >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
          ports: [{containerPort: 8080, hostPort: 8081}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: balanced, namespace: open}
spec:
  type: LoadBalancer
  selector: {app: balanced}
  ports: [{port: 80, targetPort: 8080}]
"""


def fetched(address: str) -> bool:
    """Return whether the machine reaches the pods behind an address of a load balancer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/", timeout=1) as answer:
            return bool(answer.read() == b"balanced\n")
    except OSError:
        return False


BRIDGE = f"lc{NUMBER}"


def answers(*command: str) -> list[dict[str, Any]]:
    """Return what a program says in JSON."""
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout or "[]"
    )
    return found


def cable(address: str) -> str:
    """Return the device that a neighbour on the bridge is plugged in with; empty if there is none."""
    hardware = {entry.get("lladdr") for entry in answers("ip", "-json", "neigh", "show", address, "dev", BRIDGE)}
    ports = answers("bridge", "-json", "fdb", "show", "br", BRIDGE)
    return next((port["ifname"] for port in ports if port["mac"] in hardware and port["ifname"] != BRIDGE), "")


def balancer(kubectl: Kubectl) -> str:
    """Return the address of the load balancer, once it has one."""

    def ingress() -> list[dict[str, str]]:
        found = kubectl.get("service", "-n", "open", "balanced")["status"]["loadBalancer"].get("ingress", [])
        assert isinstance(found, list)
        return found

    eventually("the Service to have an address", lambda: bool(ingress()), seconds=30)
    return ingress()[0]["ip"]


def nodes(kubectl: Kubectl, selector: str = "") -> list[str]:
    """Return the addresses of the cluster's nodes."""
    found = kubectl.get("nodes", "-l", selector)["items"]
    return [a["address"] for node in found for a in node["status"]["addresses"] if a["type"] == "InternalIP"]


def test_a_load_balancer_gets_an_address_that_everybody_reaches(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=BALANCED)
    kubectl("rollout", "status", "-n", "open", "deployment/balanced", "--timeout=60s")
    address = balancer(kubectl)
    assert ipaddress.ip_address(address) in ipaddress.ip_network(f"{nodes(kubectl)[0]}/24", strict=False)
    eventually("the machine to reach it", lambda: fetched(address), seconds=15)
    for name in PODS[4:]:
        assert opens(kubectl, name, {"balanced": f"tcp,{address},80"})


def test_the_machine_keeps_its_hardware_address(kubectl: Kubectl) -> None:
    """It is none of the nodes': a bridge that borrows one loses it with its node, and nodes lose the machine."""
    (bridge,) = answers("ip", "-json", "link", "show", "dev", BRIDGE)
    cables = {port["address"] for port in answers("ip", "-json", "link", "show", "master", BRIDGE)}
    assert len(cables) >= len(nodes(kubectl))
    assert bridge["address"] not in cables


def test_ports_of_nodes_lead_to_pods(kubectl: Kubectl) -> None:
    """A Service's on every node, a pod's own on the pod's."""
    port = kubectl.get("service", "-n", "open", "balanced")["spec"]["ports"][0]["nodePort"]
    for address in nodes(kubectl):
        eventually(f"the port on {address}", lambda a=address: fetched(f"{a}:{port}"), seconds=15)
        assert [fetched(f"{address}:{port}") for _ in range(4)] == [True] * 4
    for address in nodes(kubectl, "magnum.openstack.org/role=worker"):
        assert fetched(f"{address}:8081")


def test_another_node_takes_a_load_balancer_over(kubectl: Kubectl) -> None:
    """The node that answers for the address loses its cable."""
    address = balancer(kubectl)
    assert fetched(address)
    device = cable(address)
    assert device.startswith(f"lc{NUMBER}-")
    subprocess.run(["ip", "link", "set", device, "down"], check=True)
    try:
        eventually("another node to answer", lambda: fetched(address) and cable(address) != device, seconds=60)
    finally:
        subprocess.run(["ip", "link", "set", device, "up"], check=True)
    eventually("all nodes to be Ready", lambda: len(kubectl.ready_nodes()) == 4)


def test_the_address_is_free_when_its_service_goes(kubectl: Kubectl) -> None:
    def assigned() -> int:
        (pool,) = kubectl.get("ipaddresspools", "-n", "metallb-system")["items"]
        return int(pool["status"]["assignedIPv4"])

    address = balancer(kubectl)
    assert assigned() == 1
    kubectl("delete", "service", "-n", "open", "balanced")
    eventually("the address to be free", lambda: assigned() == 0)
    eventually("nobody to answer", lambda: not fetched(address))


VOLUME = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: open}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer, namespace: open}
spec:
  restartPolicy: Never
  containers:
    - name: write
      image: docker.io/library/busybox:1.36
      command: [sh, -c, "echo kept >/data/file"]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


def test_a_deleted_volume_frees_its_folder(cloud: Cloud, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=VOLUME)
    kubectl("wait", "-n", "open", "--for=jsonpath={.status.phase}=Succeeded", "pod/writer", "--timeout=60s")
    name = kubectl.get("persistentvolumeclaim", "-n", "open", "data")["spec"]["volumeName"]
    node = kubectl.get("pod", "-n", "open", "writer")["spec"]["nodeName"]
    (folder,) = cloud.home.glob(f"clusters/*/nodes/{node}/root/opt/local-path-provisioner/{name}_*")
    assert (folder / "file").read_text() == "kept\n"
    kubectl("delete", "-n", "open", "pod/writer", "persistentvolumeclaim/data")
    eventually("the folder to be gone", lambda: not folder.exists())
    eventually("the volume to be gone", lambda: name not in kubectl("get", "persistentvolumes", "-o", "name"))
