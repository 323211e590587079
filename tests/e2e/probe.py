"""Pods that listen, and connections that are tried from them: run inside pods by ``python3 -c``."""

from __future__ import annotations

import json

from kube import Kubectl

IMAGE = "docker.io/astrok8s/spark:4.1.4"  # has a Python, and is on every node

TCP, OTHER_TCP, UDP = 8080, 9090, 5353
"""Ports that a listening pod answers on; the first one has the name ``web``."""

LISTEN = f"""
import socket, threading
def tcp(port):
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        while True:
            server.accept()[0].close()
def udp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        while True:
            server.sendto(*server.recvfrom(99))
for target, port in ((tcp, {TCP}), (tcp, {OTHER_TCP}), (udp, {UDP})):
    threading.Thread(target=target, args=(port,)).start()
"""

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(target):
    kind, host, port = target.split(",")
    try:
        if kind == "dns":
            return bool(socket.getaddrinfo(host, int(port)))
        if kind == "tcp":
            socket.create_connection((host, int(port)), timeout=1).close()
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.connect((host, int(port)))
            client.send(b"?")
            return client.recv(9) == b"?"
    except OSError:
        return False
targets = sys.argv[1:]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(opens, targets)))))
"""

FIRST = """
import socket, sys, time
begun, count, opened = time.monotonic(), 0, []
while time.monotonic() < begun + 3:
    count += 1
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()
    except OSError:
        continue
    opened.append(time.monotonic() - begun)
    if len(sys.argv) > 4:
        break
print(count, opened[0] if opened else "never")
"""
"""Tries to connect from a pod's first instruction on; ``tries, seconds to the first success``."""


def pod(namespace: str, name: str, node: str, script: str, *arguments: str, **labels: str) -> dict[str, object]:
    """Return a pod that runs a script of Python."""
    ports = [{"name": "web", "containerPort": TCP}]
    container = {"name": "python", "image": IMAGE, "command": ["python3", "-c", script, *arguments], "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def opens(kubectl: Kubectl, source: str, targets: dict[str, str]) -> set[str]:
    """Return the names of the targets that can be reached from a pod, named ``namespace/name``."""
    namespace, name = source.split("/")
    said = kubectl("exec", "-n", namespace, name, "--", "python3", "-c", CONNECT, *targets.values())
    reached = json.loads(said)
    return {label for label, target in targets.items() if reached[target]}
