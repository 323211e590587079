"""Controllers, Services, names, quotas, the scheduler and kubectl do what upstream says.

The objects are in ``conformance/NAMESPACE/*.yaml``, made all at once.
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import BUSYBOX, declared, pod
from conftest import Cloud
from kube import Kubectl, Namespace, eventually
from kubernetes.utils.quantity import parse_quantity
from site_yml import CLUSTER

ECHO = "timeout 5 wget -qO- http://%s/cgi-bin/who"


@pytest.fixture(scope="module")
def namespaces(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Namespace]]:
    """All namespaces; their pods are started, none is waited for."""
    kubectl = Kubectl(CLUSTER, tmp_path_factory.mktemp("kubectl"))
    with declared(kubectl, "workloads", "elsewhere", "bounded") as found:
        yield found


@pytest.fixture(scope="module")
def here(namespaces: dict[str, Namespace]) -> Namespace:
    """The namespace of the workloads, with a pod named client."""
    return namespaces["workloads"]


@pytest.fixture(scope="module")
def elsewhere(namespaces: dict[str, Namespace]) -> Namespace:
    """The namespace of the servers."""
    namespaces["workloads"].ready("client")
    namespaces["elsewhere"]("rollout", "status", "deployment/echo", "--timeout=60s")
    namespaces["elsewhere"].ready("local")
    return namespaces["elsewhere"]


# -- workloads -------------------------------------------------------------------------------------------


def test_jobs_end_well_and_badly(here: Namespace) -> None:
    here("wait", "--for=condition=Complete", "job/indexed", "--timeout=60s")
    assert sorted(here("logs", "-l", "job-name=indexed", "-c", "main").split()) == ["0", "1", "2"]
    here("wait", "--for=condition=Failed", "job/failing", "--timeout=60s")
    conditions = here.get("job", "failing")["status"]["conditions"]
    assert [c["reason"] for c in conditions if c["type"] == "Failed"] == ["BackoffLimitExceeded"]


def test_a_daemon_set_is_on_every_node(here: Namespace) -> None:
    here("rollout", "status", "daemonset/everywhere", "--timeout=60s")
    found = {p["spec"]["nodeName"] for p in here.get("pods", "-l", "app=everywhere")["items"]}
    assert found == set(here.kubectl.ready_nodes())


def test_pods_of_a_stateful_set_keep_name_and_data(here: Namespace) -> None:
    here("rollout", "status", "statefulset/db", "--timeout=60s")
    # they keep away from each other
    assert len({p["spec"]["nodeName"] for p in here.get("pods", "-l", "app=db")["items"]}) == 2
    before = here.uid("db-0")
    here("delete", "pod", "db-0")
    eventually("another db-0", lambda: here.uid("db-0") not in ("", before))
    here("rollout", "status", "statefulset/db", "--timeout=60s")
    here.ready("client", "db-0")
    fetch = "timeout 5 wget -qO- http://db-0.db:8080/starts"
    eventually("its name to lead to it", lambda: here.sh("client", f"{fetch} || true").split() == ["db-0", "db-0"])


# -- names and Services ------------------------------------------------------------------------------------


def addresses(namespace: Namespace, *selector: str) -> set[str]:
    """Return the addresses of pods."""
    return {p["status"]["podIP"] for p in namespace.get("pods", *selector)["items"]}


def looked_up(here: Namespace, name: str, kind: str = "a") -> str:
    """Return what cluster DNS answers."""
    return here.sh("client", f"nslookup -type={kind} {name} 2>&1 || true")


def test_names_of_headless_services(here: Namespace) -> None:
    here("rollout", "status", "statefulset/db", "--timeout=60s")
    here.ready("client")
    domain = "db.workloads.svc.cluster.local"
    wanted = addresses(here, "-l", "app=db")
    eventually("both pods", lambda: all(address in looked_up(here, domain) for address in wanted))
    said = looked_up(here, f"_web._tcp.{domain}", "srv")
    for number in range(2):
        assert f"8080 db-{number}.{domain}" in said
    assert looked_up(here, "nothing.workloads.svc.cluster.local").count("NXDOMAIN") >= 1


def test_names_of_pods(here: Namespace) -> None:
    here.ready("client")
    full = "lonely.home.workloads.svc.cluster.local"
    assert here.sh("client", "hostname; hostname -f").split() == ["lonely", full]
    (address,) = addresses(here, "-l", "app=client")
    assert address in looked_up(here, full)
    assert "192.0.2.1" in here.sh("client", "grep nowhere.example /etc/hosts")
    options = here.sh("client", "cat /etc/resolv.conf")
    assert "search workloads.svc.cluster.local svc.cluster.local cluster.local" in options
    assert "ndots:5" in options


def test_a_service_by_name_across_namespaces(here: Namespace, elsewhere: Namespace) -> None:
    wanted = {p["metadata"]["name"] for p in elsewhere.get("pods", "-l", "app=echo")["items"]}
    for name in ("echo.elsewhere", "echo.elsewhere.svc.cluster.local", "alias"):
        assert here.sh("client", ECHO % name).split()[0] in wanted
    assert "canonical name = echo.elsewhere.svc.cluster.local" in looked_up(here, "alias.workloads.svc.cluster.local")
    assert "bad address" in here.sh("client", f"{ECHO % 'echo'} 2>&1 || true")


def askers(here: Namespace, name: str, count: int) -> list[list[str]]:
    """Ask a server several times; return who answered and whom it saw asking."""
    said = here.sh("client", f"for i in $(seq {count}); do {ECHO % name}; done")
    return [line.split() for line in said.splitlines() if line]


def test_a_service_spreads_or_sticks(here: Namespace, elsewhere: Namespace) -> None:
    """And the server sees who asks: no address is translated between pods."""
    said = askers(here, "echo.elsewhere", 24)
    assert len({server for server, _ in said}) == 2
    (address,) = addresses(here, "-l", "app=client")
    # as busybox writes an IPv4 address that it got over IPv6's socket
    assert {asker for _, asker in said} <= {address, f"[::ffff:{address}]"}
    assert len({server for server, _ in askers(here, "sticky.elsewhere", 12)}) == 1


def test_a_local_port_of_a_node(here: Namespace, elsewhere: Namespace) -> None:
    """Answers only on the node of the pod, which sees who asks."""
    node = elsewhere.get("pod", "local")["spec"]["nodeName"]
    port = elsewhere.get("service", "local")["spec"]["ports"][0]["nodePort"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def asked(address: str) -> str:
        with opener.open(f"http://{address}:{port}/cgi-bin/who", timeout=2) as answer:
            return str(answer.read().decode())

    for found in here.kubectl.get("nodes")["items"]:
        address = next(a["address"] for a in found["status"]["addresses"] if a["type"] == "InternalIP")
        if found["metadata"]["name"] == node:
            question = ("ip", "-json", "route", "get", address)
            (route,) = json.loads(subprocess.run(question, capture_output=True, text=True, check=True).stdout)
            assert route["prefsrc"] in asked(address)
        else:
            with pytest.raises(urllib.error.URLError):
                asked(address)


# -- quotas and the scheduler ------------------------------------------------------------------------------


def test_quotas_and_default_limits(namespaces: dict[str, Namespace]) -> None:
    bounded = namespaces["bounded"]
    large = json.dumps(pod("large", main={"resources": {"limits": {"memory": "1Gi"}}}))
    said = bounded.refused("apply", "-f", "-", stdin=large)
    assert "maximum memory usage per Container is 64Mi, but limit is 1Gi" in said
    bounded.apply(pod("first"))
    resources = bounded.get("pod", "first")["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "200m", "memory": "48Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}}
    said = bounded.refused("apply", "-f", "-", stdin=json.dumps(pod("second")))
    assert "exceeded quota: one-pod, requested: pods=1, used: pods=1, limited: pods=1" in said


def worker(kubectl: Kubectl) -> dict[str, Any]:
    """Return a worker."""
    found: dict[str, Any] = kubectl.get("nodes", "-l", "magnum.openstack.org/role=worker")["items"][0]
    return found


def on(node: dict[str, Any]) -> dict[str, str]:
    """Return the selector of one node."""
    return {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]}


def pending(here: Namespace, name: str) -> str:
    """Return why a pod is not scheduled, once the scheduler has said so."""

    def reasons() -> list[str]:
        conditions = here.get("pod", name)["status"].get("conditions", [])
        return [c.get("message", "") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"]

    eventually(f"the scheduler to say why {name} waits", lambda: bool(reasons()))
    return reasons()[0]


def test_a_pod_of_higher_priority_takes_the_room(here: Namespace) -> None:
    node = worker(here.kubectl)
    most = str(int(parse_quantity(node["status"]["allocatable"]["memory"])) * 6 // 10)
    wants = {"nodeSelector": on(node), "main": {"resources": {"requests": {"memory": most}}}}
    here.apply(pod("low", **wants))
    here.ready("low")
    here.apply(pod("other", **wants))
    assert "Insufficient memory" in pending(here, "other")
    important = {"kind": "PriorityClass", "metadata": {"name": "important"}, "value": 1000}
    here.apply({"apiVersion": "scheduling.k8s.io/v1", **important})
    try:
        here.apply(pod("high", priorityClassName="important", **wants))
        here.ready("high")
        assert "NotFound" in here.refused("get", "pod", "low")
        events = here.get("events", "--field-selector", "involvedObject.name=low,reason=Preempted")["items"]
        assert len(events) == 1
    finally:
        here("delete", "pod", "low", "other", "high", "--ignore-not-found", check=False)
        here.kubectl("delete", "priorityclass", "important")


def test_a_taint_keeps_pods_away(here: Namespace) -> None:
    node = worker(here.kubectl)
    name = node["metadata"]["name"]
    here.kubectl("taint", "node", name, "conformance=yes:NoSchedule")
    try:
        here.apply(pod("kept-away", nodeSelector=on(node)))
        tolerations = [{"key": "conformance", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
        here.apply(pod("tolerant", nodeSelector=on(node), tolerations=tolerations))
        here.ready("tolerant")
        assert "untolerated taint" in pending(here, "kept-away")
    finally:
        here.kubectl("taint", "node", name, "conformance-")
    here.ready("kept-away")


def test_a_budget_of_disruption_refuses_evictions(here: Namespace) -> None:
    here("rollout", "status", "statefulset/db", "--timeout=60s")
    eventually("the budget to be known", lambda: here.get("pdb", "db")["status"].get("currentHealthy") == 2)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "db-1", "namespace": here.name}}
    ask = ("create", "--raw", f"/api/v1/namespaces/{here.name}/pods/db-1/eviction", "-f", "-")
    said = here.kubectl.refused(*ask, stdin=json.dumps(eviction))
    assert "Cannot evict pod as it would violate the pod's disruption budget" in said
    here("patch", "pdb", "db", "--patch", json.dumps({"spec": {"minAvailable": 1}}))
    eventually("one to be allowed", lambda: here.get("pdb", "db")["status"]["disruptionsAllowed"] == 1)
    before = here.uid("db-1")
    here.kubectl(*ask, stdin=json.dumps(eviction))
    eventually("another db-1", lambda: here.uid("db-1") not in ("", before))


# -- kubectl -----------------------------------------------------------------------------------------------


def test_a_debugger_joins_a_pod(here: Namespace) -> None:
    """It sees the processes of its target."""
    here.ready("client")
    options = (f"--image={BUSYBOX}", "--target=main", "--container=debugger", "--quiet", "--profile=general")
    here("debug", "client", *options, "--", "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline")

    def ended() -> bool:
        statuses = here.get("pod", "client")["status"].get("ephemeralContainerStatuses", [])
        return any("terminated" in s["state"] for s in statuses)

    eventually("the debugger to end", ended)
    assert here("logs", "client", "-c", "debugger").split() == ["sleep", "600"]


def test_copies_go_in_and_out(here: Namespace, tmp_path: Path) -> None:
    here.ready("client")
    content = bytes(range(256)) * 4096
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_bytes(content)
    here("cp", str(tmp_path / "in"), "client:/tmp/copied", "-c", "main")
    here("cp", "client:/tmp/copied", str(tmp_path / "out"), "-c", "main")
    assert (tmp_path / "out/file").read_bytes() == content


def test_commands_have_input_and_an_exit_code(here: Namespace) -> None:
    here.ready("client")
    assert here("exec", "-i", "client", "--", "wc", "-c", stdin="x" * 100_000).strip() == "100000"
    assert "exit code 7" in here.refused("exec", "client", "--", "sh", "-c", "exit 7")


def test_attaching_talks_to_the_first_process(here: Namespace) -> None:
    echo = ["sh", "-c", "read line; echo you said $line"]
    here.apply(pod("listener", main={"stdin": True, "stdinOnce": True, "command": echo}, restartPolicy="Never"))
    here.ready("listener")
    assert "you said hello" in here("attach", "-i", "listener", stdin="hello\n")


def test_kubelets_tell_what_pods_use(here: Namespace) -> None:
    """What metrics-server and Prometheus ask kubelets for; without it, kubectl top says that it is not there."""
    here.ready("client")
    node = here.get("pod", "client")["spec"]["nodeName"]
    stats = json.loads(here.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    (found,) = (p for p in stats["pods"] if p["podRef"] == {**p["podRef"], "name": "client", "namespace": here.name})
    assert found["containers"][0]["memory"]["workingSetBytes"] > 0
    assert found["network"]["txBytes"] > 0
    metrics = here.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/cadvisor")
    assert f'namespace="{here.name}",pod="client"' in metrics
    assert "Metrics API not available" in here.kubectl.refused("top", "nodes")


def test_nodes_are_machines_of_their_own(here: Namespace) -> None:
    nodes = here.kubectl.get("nodes")["items"]
    assert len({node["status"]["nodeInfo"]["machineID"] for node in nodes} - {""}) == len(nodes)


def test_servers_behind_the_api_server_learn_who_asks(here: Namespace) -> None:
    """What metrics-server and the like read to trust the API server, and nobody else."""
    found = here.kubectl.get("configmap", "-n", "kube-system", "extension-apiserver-authentication")["data"]
    assert "BEGIN CERTIFICATE" in found["requestheader-client-ca-file"]
    assert found["requestheader-client-ca-file"].strip() != found["client-ca-file"].strip()
    assert json.loads(found["requestheader-username-headers"]) == ["X-Remote-User"]


def test_a_cron_job_runs_each_minute(here: Namespace) -> None:
    """The last test: its minute has passed meanwhile."""
    eventually(
        "a job of the schedule",
        lambda: bool(here.get("cronjob", "minutely")["status"].get("lastSuccessfulTime")),
        seconds=90,
    )
