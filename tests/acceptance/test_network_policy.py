"""What a NetworkPolicy promises: in a cluster of localcloud it is enforced, at any moment of a pod's and a node's life.

There are three namespaces with a pod on each of two workers. Each pod serves TCP on two ports and UDP on one, and tries
all pods and Services at once when it is asked to: who reaches what is one table.
"""

import functools
import json
import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boxes import Box, until
from processes import command_of, in_box

from astrok8s import load_options

IMAGE = f"docker.io/astrok8s/spark:{load_options()['spark_base_version'].default}"
NAMESPACES = ("a", "b", "free")
NODES = ("one-node-1", "one-node-2")
# What a policy needs to reach the pods.
SETTLE_S = 20

SERVER = """
import socket, threading
def tcp(port):
    with socket.create_server(("", port), backlog=100) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"here")
threads = [threading.Thread(target=tcp, args=[port]) for port in (8080, 9090)]
for thread in threads: thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 5000))
    while True:
        _, sender = server.recvfrom(10)
        server.sendto(b"here", sender)
"""

# Says which of the targets "NAME=PROTOCOL:HOST:PORT" connect, or answer.
PROBE = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
def is_open(target):
    protocol, host, port = target.partition("=")[2].split(":")
    try:
        with socket.socket(socket.AF_INET, KINDS[protocol]) as client:
            client.settimeout(1.5)
            client.connect((host, int(port)))
            if protocol == "udp":
                client.send(b"?")
                return client.recv(10) == b"here"
            return True
    except OSError:
        return False
targets = sys.argv[1:]
with ThreadPoolExecutor(len(targets)) as pool:
    print(*(target.partition("=")[0] for target, yes in zip(targets, pool.map(is_open, targets)) if yes))
"""

# A fresh pod's: tries without a pause, from its first moment, to reach each "HOST PORT" by TCP; says which it does.
RUSH = r"""
n=0
while [ $n -lt 60 ]; do
  for target; do (nc -w 1 $target </dev/null >/dev/null 2>&1 && echo "open $target") & done
  n=$((n + 1))
  usleep 20000
done
wait
echo tried
"""

# A fresh pod's: says after how many seconds the cluster's DNS answered its first question.
ASK = """
import socket, time
start = time.monotonic()
socket.getaddrinfo("web.b.svc.cluster.local", 80)
print(time.monotonic() - start)
"""

SERVERS = """
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: web, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: {image}
          command: [python3, -c, {server}]
          ports: [{{name: web, containerPort: 8080, hostPort: {host_port}}}]
          readinessProbe: {{tcpSocket: {{port: 9090}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports:
    - {{name: web, port: 80, targetPort: web}}
    - {{name: echo, port: 5000, protocol: UDP}}
"""

DENY_AND_OWN = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: default-deny, namespace: {namespace}}}
spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: own-namespace, namespace: {namespace}}}
spec:
  podSelector: {{}}
  policyTypes: [Ingress, Egress]
  ingress: [{{from: [{{podSelector: {{}}}}]}}]
  egress:
    - to: [{{podSelector: {{}}}}]
    - to:
        - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: kube-system}}}}
          podSelector: {{matchLabels: {{k8s-app: kube-dns}}}}
      ports: [{{protocol: UDP, port: 53}}, {{protocol: TCP, port: 53}}]
"""

# One port of one address.
STORAGE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: storage, namespace: a}}
spec:
  podSelector: {{}}
  policyTypes: [Egress]
  egress: [{{to: [{{ipBlock: {{cidr: {address}/32}}}}], ports: [{{protocol: TCP, port: 8080}}]}}]
"""

# The reader of b to the port of a that has a name.
READER = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: reader, namespace: a}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}
          podSelector: {matchLabels: {role: reader}}
      ports: [{protocol: TCP, port: web}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: to-a, namespace: b}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: a}}}]}]
"""

FRESH = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: fresh}}}}
spec:
  restartPolicy: Never
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: fresh, image: {image}, command: {command}}}]
"""

Table = dict[str, set[str]]


@pytest.fixture(scope="module")
def cluster(box: Box) -> Box:
    """A box with a cluster of two workers, and the servers of three namespaces in it."""
    options = ("--cluster-template", "kubernetes", "--keypair", "astro", "--node-count", "2")
    created = box.openstack("coe", "cluster", "create", *options, "one")
    assert created.returncode == 0, created.stderr
    box.wait_for_cluster("one", "CREATE_COMPLETE")
    for number, namespace in enumerate(NAMESPACES):
        values = {"image": IMAGE, "server": json.dumps(SERVER), "host_port": 8000 + number}
        apply(box, SERVERS.format(namespace=namespace, **values))
    for namespace in NAMESPACES:
        rolled = box.kubectl("one", "rollout", "status", "daemonset/web", "--namespace", namespace, "--timeout=60s")
        assert rolled.returncode == 0, rolled.stderr
    return box


def apply(box: Box, manifest: str) -> None:
    run = box.kubectl("one", "apply", "--filename=-", stdin=manifest)
    assert run.returncode == 0, run.stderr


def get(box: Box, *arguments: str) -> Any:
    run = box.kubectl("one", "get", *arguments, "--output=json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def pods(box: Box) -> dict[str, dict[str, Any]]:
    """Returns the servers by namespace and number of the node: "a1", "a2", "b1", …"""
    listed = get(box, "pods", "--all-namespaces", "--selector=app=web")["items"]
    return {f"{pod['metadata']['namespace']}{pod['spec']['nodeName'][-1]}": pod for pod in listed}


def targets(box: Box) -> dict[str, str]:
    """Returns all that a pod may try, by name: whose it is, and what."""
    found: dict[str, str] = {}
    for name, pod in pods(box).items():
        address = pod["status"]["podIP"]
        found |= {f"{name}-web": f"tcp:{address}:8080", f"{name}-other": f"tcp:{address}:9090"}
        found |= {f"{name}-udp": f"udp:{address}:5000"}
    for namespace in NAMESPACES:
        address = service(box, namespace)["clusterIP"]
        name = f"web.{namespace}.svc.cluster.local"
        found |= {f"{namespace}-service": f"tcp:{address}:80", f"{namespace}-named": f"tcp:{name}:80"}
        found |= {f"{namespace}-service-udp": f"udp:{name}:5000"}
    return found


def service(box: Box, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = get(box, "service", "web", "--namespace", namespace)["spec"]
    return spec


def probe(box: Box, pod: dict[str, Any], wanted: dict[str, str]) -> set[str]:
    """Returns what a pod reaches."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    arguments = [f"{target}={where}" for target, where in wanted.items()]
    run = box.kubectl("one", "exec", name, "--namespace", namespace, "--", "python3", "-c", PROBE, *arguments)
    assert run.returncode == 0, run.stderr
    return {*run.stdout.split()}


def table(box: Box) -> Table:
    """Returns what each server reaches."""
    wanted, servers = targets(box), pods(box)
    with ThreadPoolExecutor(len(servers)) as pool:
        reached = pool.map(lambda pod: probe(box, pod, wanted), servers.values())
        return dict(zip(servers, reached, strict=True))


def own_namespace(box: Box) -> Table:
    """Returns the table where each namespace is alone."""
    names, everything = pods(box), targets(box)  # no namespace's name begins with another's
    return {pod: {target for target in everything if target.startswith(pod.rstrip("12"))} for pod in names}


def settle(box: Box, expected: Table) -> None:
    """Waits until the table is as expected, and looks whether it stays so."""
    deadline = time.monotonic() + SETTLE_S
    while (found := table(box)) != expected and time.monotonic() < deadline:
        pass
    assert found == expected
    assert table(box) == expected


def connects(address: str, port: int) -> bool:
    """Returns whether this machine reaches a server."""
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            return connection.recv(4) == b"here"
    except OSError:
        return False


def engines(box: Box) -> dict[int, str]:
    """Returns the processes that enforce policies, with their nodes."""
    found = {process: command_of(process) for process in in_box(box, "network-policy")}
    return {process: next(word for word in command if word.startswith("--node=")) for process, command in found.items()}


def rush(box: Box, begin: str, namespace: str, count: int) -> list[set[str]]:
    """Starts pods that rush: to the pods of free, to a port of their node that leads there, to the kubelet of it.

    Args:
        box: The box.
        begin: How their names begin.
        namespace: Their namespace.
        count: How many of them, on one node after the other.

    Returns:
        What each of them reached.
    """
    there = [f"{pod['status']['podIP']} 8080" for name, pod in pods(box).items() if name.startswith("free")]
    port = service(box, "free")["ports"][0]["nodePort"]
    reached = []
    for number in range(count):
        name, node = f"{begin}-{number}", NODES[number % 2]
        address = get(box, "node", node)["status"]["addresses"][0]["address"]
        command = json.dumps(["sh", "-c", RUSH, "rush", *there, f"{address} {port}", f"{address} 10250"])
        values = {"image": "localcloud/busybox:1", "command": command}
        apply(box, FRESH.format(name=name, namespace=namespace, node=node, **values))
        log = ("logs", name, "--namespace", namespace)
        text = until(functools.partial(box.kubectl, "one", *log), lambda run: "tried" in run.stdout).stdout
        reached.append({*re.findall(r"^open (.*)$", text, flags=re.M)})
        assert box.kubectl("one", "delete", "pod", name, "--namespace", namespace, "--wait=false").returncode == 0
    return reached


def test_without_policies_everyone_reaches_everyone(cluster: Box) -> None:
    everything = {*targets(cluster)}
    assert len(everything) == 6 * 3 + 3 * 3
    settle(cluster, dict.fromkeys(pods(cluster), everything))


def test_the_machine_reaches_pods_services_and_ports_of_nodes(cluster: Box) -> None:
    spec = service(cluster, "free")
    assert connects(spec["clusterIP"], 80)
    for address in [pod["status"]["podIP"] for pod in pods(cluster).values()]:
        assert connects(address, 8080)
    for node in get(cluster, "nodes")["items"]:
        address = node["status"]["addresses"][0]["address"]
        assert connects(address, spec["ports"][0]["nodePort"])
        if node["metadata"]["name"] in NODES:
            assert connects(address, 8002)  # the hostPort of free's


def test_a_namespace_with_policies_is_alone(cluster: Box) -> None:
    for namespace in ("a", "b"):
        apply(cluster, DENY_AND_OWN.format(namespace=namespace))
    settle(cluster, own_namespace(cluster))


def test_one_port_of_one_address_is_opened(cluster: Box) -> None:
    address = ".".join(cluster.network.split(".")[:2]) + ".0.2"
    services = {"storage": f"tcp:{address}:8080", "keystone": f"tcp:{address}:5000"}
    assert probe(cluster, pods(cluster)["free1"], services) == {*services}
    assert probe(cluster, pods(cluster)["a1"], services) == set()
    apply(cluster, STORAGE.format(address=address))
    deadline = time.monotonic() + SETTLE_S
    while not (found := probe(cluster, pods(cluster)["a1"], services)) and time.monotonic() < deadline:
        pass
    assert found == {"storage"}
    assert cluster.kubectl("one", "delete", "networkpolicy/storage", "--namespace=a").returncode == 0


def test_a_port_with_a_name_is_opened_to_the_pods_that_are_selected(cluster: Box) -> None:
    before = own_namespace(cluster)
    reader = ("pod", pods(cluster)["b1"]["metadata"]["name"], "--namespace=b")
    assert cluster.kubectl("one", "label", *reader, "role=reader").returncode == 0
    apply(cluster, READER)
    opened = {"a1-web", "a2-web", "a-service", "a-named"}
    settle(cluster, before | {"b1": before["b1"] | opened})
    assert cluster.kubectl("one", "label", *reader, "role-").returncode == 0
    settle(cluster, before)
    assert cluster.kubectl("one", "delete", "networkpolicy/reader", "--namespace=a").returncode == 0
    assert cluster.kubectl("one", "delete", "networkpolicy/to-a", "--namespace=b").returncode == 0


def test_a_fresh_pod_never_gets_out(cluster: Box) -> None:
    assert rush(cluster, "denied", "b", 5) == [set()] * 5
    assert [len(reached) for reached in rush(cluster, "allowed", "free", 2)] == [4, 4]


def test_a_fresh_pod_is_told_names_at_once(cluster: Box) -> None:
    values = {"image": IMAGE, "command": json.dumps(["python3", "-c", ASK])}
    apply(cluster, FRESH.format(name="asking", namespace="b", node=NODES[0], **values))
    log = ("logs", "asking", "--namespace=b")
    answered = until(lambda: cluster.kubectl("one", *log), lambda run: bool(run.stdout)).stdout
    assert float(answered) < 2  # a question that is lost is asked again after five seconds


def test_policies_hold_while_nobody_enforces_them(cluster: Box) -> None:
    expected, before = own_namespace(cluster), engines(cluster)
    assert len(before) == 3
    for process in before:
        os.kill(process, signal.SIGSTOP)
    assert table(cluster) == expected
    assert rush(cluster, "unseen", "b", 2) == [set()] * 2
    for process in before:
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(after := engines(cluster)) < 3:
        assert time.monotonic() < deadline
    assert not {*before} & {*after}
    settle(cluster, expected)
    assert [len(reached) for reached in rush(cluster, "late", "free", 2)] == [4, 4]  # it lets in who comes now


def test_policies_hold_after_a_power_cut(cluster: Box) -> None:
    def restarts() -> dict[str, int]:
        statuses = {name: pod["status"]["containerStatuses"][0] for name, pod in pods(cluster).items()}
        return {name: status["restartCount"] for name, status in statuses.items() if status["ready"]}

    before, addresses = restarts(), {pod["status"]["podIP"] for pod in pods(cluster).values()}
    (node,) = [process for process in in_box(cluster, "localcloud.clusters.node_init")
               if command_of(process)[0] == "unshare" and command_of(process)[-2].endswith("/nodes/1")]  # fmt: skip
    os.kill(node, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while [name for name, count in restarts().items() if count > before[name]] != ["a1", "b1", "free1"]:
        assert time.monotonic() < deadline
    # Nobody has the address of another, whose rules it would have until the apiserver knew.
    assert not addresses & {pods(cluster)[name]["status"]["podIP"] for name in ("a1", "b1", "free1")}
    settle(cluster, own_namespace(cluster))
