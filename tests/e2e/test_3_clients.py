"""The unmodified clients of OpenStack and Kubernetes on a cluster of three workers."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import RANGES, Cloud, run
from kube import Kubectl, eventually
from machine import NUMBER
from site_yml import CLUSTER
from sniffer import Sniffer

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  nodeName: %(first)s
  containers:
    - name: web
      image: docker.io/library/busybox:1.36
      command: [sh, -c, "hostname >/tmp/index.html; echo ready; exec httpd -f -p 8080 -h /tmp"]
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: %(second)s
  containers:
    - {name: shell, image: "docker.io/library/busybox:1.36", command: [sleep, "3600"]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  containers:
    - name: write
      image: docker.io/library/busybox:1.36
      command: [sh, -c, "echo kept >/data/file && cat /data/file"]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl, with a server and a client pod on two workers."""
    kubectl = Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))
    workers = [name for name, worker in kubectl.ready_nodes().items() if worker]
    kubectl("apply", "-f", "-", stdin=PODS % {"first": workers[0], "second": workers[1]})
    kubectl("wait", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=60s")
    return kubectl


def test_openstack_lists_and_shows(cloud: Cloud) -> None:
    shown = json.loads(run("openstack", "coe", "cluster", "show", CLUSTER, "-f", "json").stdout)
    assert shown["status"].endswith("_COMPLETE")
    assert shown["health_status"] == "HEALTHY"
    assert int(shown["node_count"]) == 3
    assert CLUSTER in run("openstack", "coe", "cluster", "list").stdout


def test_exec_and_logs(kubectl: Kubectl) -> None:
    assert kubectl("exec", "client", "--", "cat", "/etc/hostname").strip() == "client"
    assert kubectl("logs", "server").strip() == "ready"


@pytest.mark.parametrize("name", ["server", "server.default", "server.default.svc.cluster.local"])
def test_dns_and_service_between_nodes(kubectl: Kubectl, name: str) -> None:
    assert kubectl("exec", "client", "--", "wget", "-qO-", f"http://{name}/").strip() == "server"


def test_pod_address_between_nodes(kubectl: Kubectl) -> None:
    address = kubectl.get("pod", "server")["status"]["podIP"]
    assert kubectl("exec", "client", "--", "wget", "-qO-", f"http://{address}:8080/").strip() == "server"


@contextmanager
def forwarded(kubectl: Kubectl, target: str, port: int) -> Iterator[int]:
    """Forward a free local port to a port of the cluster."""
    command = ["kubectl", f"--kubeconfig={kubectl.config}", "port-forward", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found
            yield int(found.group(1))
        finally:
            process.terminate()


def test_port_forward(kubectl: Kubectl) -> None:
    with forwarded(kubectl, "service/server", 80) as port:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read().strip() == b"server"


def test_default_storage_class_provisions(kubectl: Kubectl) -> None:
    eventually("the pod with a volume to end", lambda: kubectl.get("pod", "writer")["status"]["phase"] == "Succeeded")
    assert kubectl("logs", "writer").strip() == "kept"


def test_missing_image_fails_at_once(kubectl: Kubectl) -> None:
    kubectl("run", "nothing", "--image=example.invalid/nothing:1", "--restart=Never")

    def reason() -> str:
        statuses = kubectl.get("pod", "nothing")["status"].get("containerStatuses", [])
        return str(statuses[0]["state"].get("waiting", {}).get("reason", "")) if statuses else ""

    eventually("an image error", lambda: reason() in ("ErrImagePull", "ImagePullBackOff"), seconds=30)


def test_a_pod_cannot_leave_the_machine(kubectl: Kubectl) -> None:
    """Nodes have no default route: an address of documentation (RFC 5737) is unreachable at once."""
    said = kubectl("exec", "client", "--", "sh", "-c", "timeout 10 wget -qO- http://198.51.100.1/ 2>&1 || true")
    assert "unreachable" in said


def test_the_machine_reaches_pods(kubectl: Kubectl) -> None:
    address = kubectl.get("pod", "server")["status"]["podIP"]
    with Sniffer([f"lc{NUMBER}"], RANGES) as sniffer:
        urllib.request.urlopen(f"http://{address}:8080/", timeout=5).read()
        eventually("the sniffer to see packets of ours on our bridge", lambda: bool(sniffer.seen), seconds=5)
