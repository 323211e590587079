"""What a granted access does not give: more than the own namespace, by rights, pods, the network or secrets."""

import json
import re
import socket
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import storage
import yaml
from accesses import BENS, MARIAS, answers, astrok8s, attach, kubectl, pod
from boxes import KUBECTL, SITE_BIN, Box
from minio.error import S3Error
from secrets_left import secrets_below, secrets_in

# Of the server of Spark Connect.
CONNECT, UI = 15002, 4040


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    return box


# What is asked of the user's own namespace, of another's, and of the cluster.
OWN = [
    "get pods",
    "get pods/log",
    "create pods",
    "delete pods",
    "get services",
    "get events",
    "create configmaps",
    "create pods/portforward",
    "get secrets:spark-connect",
    "create serviceaccounts/token:spark",
    "get resourcequotas",
    "patch deployments.apps/scale:spark-connect",
]
NOT_EVEN_OWN = [
    "create pods/exec",
    "create pods/attach",
    "update pods/ephemeralcontainers",
    "list secrets",
    "get secrets:spark-s3",
    "create secrets",
    "create serviceaccounts",
    "create serviceaccounts/token:spark-connect",
    "create serviceaccounts/token:default",
    "create roles.rbac.authorization.k8s.io",
    "create rolebindings.rbac.authorization.k8s.io",
    "bind roles.rbac.authorization.k8s.io",
    "escalate roles.rbac.authorization.k8s.io",
    "impersonate users",
    "update namespaces",
    "update resourcequotas",
    "update limitranges",
    "delete networkpolicies.networking.k8s.io",
    "create daemonsets.apps",
]
CLUSTER = [
    "list nodes",
    "get nodes/proxy",
    "list namespaces",
    "list persistentvolumes",
    "create clusterroles.rbac.authorization.k8s.io",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "bind clusterroles.rbac.authorization.k8s.io",
    "update validatingadmissionpolicies.admissionregistration.k8s.io",
    "create certificatesigningrequests.certificates.k8s.io",
    "impersonate groups",
    "create tokenreviews.authentication.k8s.io",
]


def test_a_user_can_do_all_of_the_own_namespaces_work(maria: Path) -> None:
    assert answers(maria, OWN, MARIAS) == dict.fromkeys(OWN, True)


@pytest.mark.parametrize("namespace", [BENS, "spark", "kube-system", "default", ""])
def test_a_user_can_do_nothing_elsewhere(maria: Path, ben: Path, namespace: str) -> None:  # noqa: ARG001  he is there
    asked = OWN + NOT_EVEN_OWN + CLUSTER
    assert answers(maria, asked, namespace) == dict.fromkeys(asked, False)


def test_a_user_cannot_get_more(maria: Path) -> None:
    assert answers(maria, NOT_EVEN_OWN, MARIAS) == dict.fromkeys(NOT_EVEN_OWN, False)


ESCAPES = {
    "hostPath": ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, "violates PodSecurity"),
    "privileged": ({"container": {"securityContext": {"privileged": True}}}, "violates PodSecurity"),
    "root": ({"securityContext": {"runAsUser": 0}}, "violates PodSecurity"),
    "hostNetwork": ({"hostNetwork": True}, "violates PodSecurity"),
    "hostPID": ({"hostPID": True}, "violates PodSecurity"),
    "node": ({"nodeName": "one-master-0"}, "does not choose its node by name"),
    "taints": ({"tolerations": [{"operator": "Exists"}]}, "tolerates no taints"),
    "account": ({"serviceAccountName": "root"}, "not found"),
}


@pytest.mark.parametrize(("spec", "reason"), ESCAPES.values(), ids=ESCAPES)
def test_a_pod_cannot_escape(box: Box, maria: Path, spec: dict[str, Any], reason: str) -> None:
    run = kubectl(box, maria, "create", "--filename=-", stdin=json.dumps(pod(**json.loads(json.dumps(spec)))))
    assert run.returncode == 1
    assert reason in run.stderr


def test_a_pod_that_keeps_the_rules_runs(box: Box, maria: Path) -> None:
    assert kubectl(box, maria, "create", "--filename=-", stdin=json.dumps(pod())).returncode == 0
    waited = kubectl(box, maria, "wait", "pod/mine", "--for=condition=Ready", "--timeout=60s")
    assert waited.returncode == 0, waited.stderr
    assert kubectl(box, maria, "delete", "pod", "mine").returncode == 0


def reaches(box: Box, namespace: str, address: str, port: int) -> bool:
    """Whether a pod of a namespace, one that has Python, makes a connection."""
    connect = f"import socket; socket.create_connection(({address!r}, {port}), timeout=3)"
    where = ("exec", f"--namespace={namespace}", "deployment/spark-connect", "--", "python3", "-c", connect)
    run = box.kubectl("one", *where)
    # Policies refuse, or drop.
    assert run.returncode == 0 or re.search("ConnectionRefusedError|TimeoutError", run.stderr), run.stderr
    return run.returncode == 0


def test_pods_reach_those_of_their_user_and_what_they_need(box: Box, maria: Path, ben: Path) -> None:
    web = pod(container={"command": ["httpd", "-f", "-p", "8080", "-h", "/etc"]}) | {"metadata": {"name": "web"}}
    addresses = []
    for access in (maria, ben):
        assert kubectl(box, access, "create", "--filename=-", stdin=json.dumps(web)).returncode == 0
        assert kubectl(box, access, "wait", "pod/web", "--for=condition=Ready", "--timeout=60s").returncode == 0
        addresses.append(kubectl(box, access, "get", "pod", "web", "--output=jsonpath={.status.podIP}").stdout)
    for namespace in (MARIAS, BENS):  # which have made room for each other
        where = ("deployment/spark-connect", f"--namespace={namespace}", "--timeout=180s")
        assert box.kubectl("one", "rollout", "status", *where).returncode == 0
    mine, other = addresses
    cloud = f"{box.network.removesuffix('0/16')}2"
    nodes = json.loads(box.kubectl("one", "get", "nodes", "--output=json").stdout)["items"]
    hosts = [node["status"]["addresses"][0]["address"] for node in nodes]
    assert reaches(box, MARIAS, mine, 8080)
    assert reaches(box, MARIAS, cloud, 8080)  # S3
    assert reaches(box, MARIAS, "kubernetes.default.svc", 443)
    assert reaches(box, BENS, other, 8080)
    assert not reaches(box, MARIAS, other, 8080)
    for port in (int(urlsplit(urls(box, service)).port or 0) for service in ("identity", "container-infra")):
        assert reaches(box, "spark", cloud, port)
        assert not reaches(box, MARIAS, cloud, port)
    # Kubelets: one's own node is always reached, as Kubernetes has it; it asks who is there.
    assert len([host for host in hosts if reaches(box, MARIAS, host, 10250)]) <= 1
    for access in (maria, ben):
        assert kubectl(box, access, "delete", "pod", "web").returncode == 0


def forwards(box: Box, access: Path, namespace: str, pod: str, port: int) -> bool:
    """Whether the API leads to a port of a pod, which says something there."""
    command = [
        str(KUBECTL),
        f"--kubeconfig={access}",
        f"--namespace={namespace}",
        "port-forward",
        f"pod/{pod}",
        f":{port}",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=box.environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stderr
        if not (line := process.stdout.readline()):
            assert "(Forbidden)" in process.stderr.read()
            return False
        here = int(re.findall(r":(\d+) ->", line)[0])
        with socket.create_connection(("127.0.0.1", here)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answered = bool(connection.recv(1))
        process.terminate()
    return answered


def pod_of(box: Box, namespace: str, name: str) -> tuple[str, str]:
    """Returns the name and the address of the pod of one of Spark's servers."""
    where = (f"--namespace={namespace}", f"--selector=app.kubernetes.io/name={name}")
    found = json.loads(box.kubectl("one", "get", "pods", *where, "--output=json").stdout)["items"][0]
    return found["metadata"]["name"], found["status"]["podIP"]


def test_a_server_of_spark_connect_and_its_pages_are_its_users_alone(box: Box, maria: Path, ben: Path) -> None:
    driver = int(attach(box, ben, "print(spark.conf.get('spark.driver.port'))").stdout)
    name, address = pod_of(box, BENS, "spark-connect")
    assert reaches(box, BENS, address, driver)
    for port in (driver, CONNECT, UI):
        assert not reaches(box, MARIAS, address, port)
    for port in (CONNECT, UI):
        assert forwards(box, ben, BENS, name, port)
        assert not forwards(box, maria, BENS, name, port)
        way = f"/api/v1/namespaces/{BENS}/pods/{name}/portforward?ports={port}"
        refused(kubectl(box, maria, "create", "--raw", way, "--filename=-", stdin="{}"))
    for what in (f"pods/{name}:{UI}", f"pods/{address}:{UI}", f"services/spark-connect:{UI}"):
        refused(kubectl(box, maria, "get", "--raw", f"/api/v1/namespaces/{BENS}/{what}/proxy/"))
    own = ("logs", "deployment/spark-connect", f"--namespace={BENS}", "--tail=1")
    assert kubectl(box, ben, *own).returncode == 0
    refused(kubectl(box, maria, *own))


def refused(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 1
    assert "Forbidden" in run.stderr


def test_the_history_is_not_the_users(box: Box, maria: Path) -> None:
    assert astrok8s(box, "history", "one").returncode == 0
    name, address = pod_of(box, "spark", "spark-history")
    which = ("configmap", "spark-history", "--namespace=spark", "--output=jsonpath={.data.port}")
    port = int(box.kubectl("one", "get", *which).stdout)
    assert reaches(box, "spark", address, port)
    assert not reaches(box, MARIAS, address, port)
    assert not forwards(box, maria, "spark", name, port)
    refused(kubectl(box, maria, "get", "--raw", f"/api/v1/namespaces/spark/pods/{name}:{port}/proxy/"))
    refused(kubectl(box, maria, "logs", name, "--namespace=spark"))


def test_the_buckets_of_the_cloud_are_not_the_users(box: Box, maria: Path) -> None:
    url, key = storage.endpoint(box), storage.key(box)
    owner = storage.client(url, key)
    owner.make_bucket(bucket_name="night")
    storage.put(owner, "night", "stars", b"Aldebaran")
    logs = [str(entry.object_name) for entry in owner.list_objects(bucket_name="spark-events", recursive=True)]
    objects = [("night", "stars"), ("spark-events", logs[-1])]
    for bucket, name in objects:
        assert owner.stat_object(bucket_name=bucket, object_name=name).object_name == name
    token = yaml.safe_load(maria.read_text())["users"][0]["user"]["token"]
    for pair in ({"access": MARIAS, "secret": token}, {"access": key["access"], "secret": token}):
        for bucket, name in objects:
            with pytest.raises(S3Error, match=r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied"):
                storage.get(storage.client(url, pair), bucket, name)
    for bucket, name in objects:
        assert status(f"{url}/{bucket}/{name}") >= 400
        run = attach(box, maria, f"print(spark.read.text('s3a://{bucket}/{name}').count())")
        assert run.returncode == 1
        assert "AWS" in run.stderr


def status(url: str, **headers: str) -> int:
    """Returns what a server answers."""
    try:
        with urlopen(Request(url, headers={name.replace("_", "-"): text for name, text in headers.items()})) as answer:  # noqa: S310  the cloud's
            return int(answer.status)
    except HTTPError as error:
        return error.code


def urls(box: Box, service: str) -> str:
    """Returns the URL of a service, as the catalogue says it."""
    run = box.openstack("catalog", "show", service, "-f", "json")
    assert run.returncode == 0, run.stderr
    return next(str(each["url"]) for each in json.loads(run.stdout)["endpoints"] if each["interface"] == "public")


def test_the_token_of_an_access_is_nobody_to_openstack(box: Box, maria: Path) -> None:
    token = yaml.safe_load(maria.read_text())["users"][0]["user"]["token"]
    owners = box.openstack("token", "issue", "-f", "value", "-c", "id").stdout.strip()
    for url in (f"{urls(box, 'identity')}/auth/projects", f"{urls(box, 'container-infra')}/clusters"):
        assert status(url, X_Auth_Token=owners) == 200
        assert status(url, X_Auth_Token=token) == 401
        assert status(url, Authorization=f"Bearer {token}") == 401


def known(box: Box) -> list[str]:
    """Returns the secrets of the cloud's user."""
    password = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]["auth"]["password"]
    return [password, storage.key(box)["secret"]]


# In base64, since not all of it is text.
_INSIDE = (
    "(cat /proc/*/environ; find /etc/astrok8s/ /var/run/secrets/ /tmp/ /opt/spark/work-dir/ -type f -exec cat {} +)"
    " 2>/dev/null | base64"
)


def test_no_credential_of_the_cloud_is_in_what_a_user_sees(box: Box, maria: Path) -> None:
    seen = maria.read_bytes()
    for kind in ("configmaps", "pods", "services", "events", "secrets/spark-connect", "resourcequotas"):
        run = kubectl(box, maria, "get", kind, "--output=yaml")
        assert run.returncode == 0, run.stderr
        seen += run.stdout.encode()
    where = ("exec", f"--namespace={MARIAS}", "deployment/spark-connect", "--", "sh", "-c", _INSIDE)
    inside = b64decode(box.kubectl("one", *where).stdout)
    assert b"SPARK_CONNECT_AUTHENTICATE_TOKEN=" in inside
    assert b"spark.kubernetes.namespace" in inside
    assert secrets_in(seen + inside, known(box)) == []
    # What the service account may not read, a pod could mount.
    secrets = box.kubectl("one", "get", "secrets", f"--namespace={MARIAS}", "--output=name")
    assert secrets.stdout.split() == ["secret/spark-connect"]


_SESSIONS = """
import sys, astrok8s
client = {{"cluster": "one", "mode": "client", "executors": 1}}
for arguments in ({{"cluster": "one"}}, client, {{"kubeconfig": {access!r}}}):
    spark = astrok8s.attach(**arguments)
    assert spark.range(3).count() == 3
    spark.stop()
"""


def test_a_whole_run_leaves_no_secret_outside_of_clouds_yaml(box: Box, tmp_path: Path) -> None:
    before = set(Path("/tmp").iterdir())  # noqa: S108  where some write in spite of TMPDIR
    home = {name: tmp_path / name.lower() for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for folder in home.values():
        folder.mkdir()
    access = home["HOME"] / "carl.kubeconfig"
    environment = {name: str(folder) for name, folder in home.items()} | {"OS_CLOUD": box.name}
    program, playbook = str(SITE_BIN / "astrok8s"), "playbooks/access.yml"
    for command in (
        # A worker more, since the others are full of users' servers.
        box.playbook_command("site.yml", clusters=["one"], size=3),
        [program, "provision", "one", "--size", "3"],
        [program, "grant", "one", "carl", "--output", str(access)],
        [sys.executable, "-c", _SESSIONS.format(access=str(access))],
        [program, "access", "list", "one"],
        [program, "history", "one"],
        box.playbook_command(playbook, "--extra-vars=user_access_user=carl", clusters=["one"]),
        [program, "revoke", "one", "carl", "-y"],
    ):
        run = box.run(*command, **environment)
        assert run.returncode == 0, run.stdout + run.stderr
    # The cloud's own home is its operator's.
    state = [path for path in (box.folder / "state").glob("*/*") if path != box.home]
    values = known(box)
    assert access.exists()
    left = secrets_below([*home.values(), *state], values)
    # An archive of Java's classes has what is in their code: netty's, a key that everybody knows.
    assert [found for file, found in left.items() if (file.suffix, found) != (".jsa", ["private key"])] == []
    new = [path for path in Path("/tmp").iterdir() if path not in before]  # noqa: S108
    assert secrets_below(new, values, shapes=()) == {}  # others write there, too


def test_secrets_are_found_where_they_are(box: Box) -> None:
    assert box.kubectl("one", "get", "nodes").returncode == 0  # by an administrator's file
    file = box.folder / f"{box.name}-one" / "config"
    shapes = ["private key in base64", "client key of a kubeconfig"]
    assert secrets_below([file.parent]) == {file: shapes}
    key = yaml.safe_load(file.read_text())["users"][0]["user"]["client-key-data"]
    assert secrets_in(b64decode(key)) == ["private key"]
    assert secrets_below([box.clouds], known(box)[:1]) == {box.clouds: known(box)[:1]}
    token = box.openstack("token", "issue", "-f", "value", "-c", "id").stdout
    assert secrets_in(token.encode()) == ["token of Keystone"]
