"""What a granted access promises: a user's own namespace, all of it and nothing else, until it is taken."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from boxes import KUBECTL, SITE_BIN, Box, until
from kubernetes import client, config

MARIA, BEN = "maria.rossi@example.org", "ben"
MARIAS, BENS = "user-maria-2erossi-40example-2eorg", "user-ben"


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    return box


def astrok8s(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.run(str(SITE_BIN / "astrok8s"), *arguments, OS_CLOUD=box.name)


def grant(box: Box, user: str, *options: str) -> Path:
    path = box.folder / f"{user}.kubeconfig"
    run = astrok8s(box, "grant", "one", user, "--output", str(path), *options)
    assert run.returncode == 0, run.stdout + run.stderr
    return path


@pytest.fixture(scope="module")
def maria(box: Box) -> Path:
    return grant(box, MARIA)


@pytest.fixture(scope="module")
def ben(box: Box) -> Path:
    return grant(box, BEN)


def kubectl(box: Box, access: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs kubectl as a user; it has nothing of the cloud's."""
    return box.run(str(KUBECTL), f"--kubeconfig={access}", *arguments, stdin=stdin)


def attach(box: Box, access: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code with a session of a user, who has no cloud."""
    program = f"import astrok8s; spark = astrok8s.attach(kubeconfig={str(access)!r}, quiet=True); {code}"
    return box.run(sys.executable, "-c", program, OS_CLIENT_CONFIG_FILE="/nonexistent")


def test_the_file_is_of_its_owner_alone(maria: Path) -> None:
    assert maria.stat().st_mode & 0o777 == 0o600
    content = yaml.safe_load(maria.read_text())
    assert list(content["users"][0]["user"]) == ["token"]
    assert content["contexts"][0]["context"]["namespace"] == MARIAS


def test_each_has_a_session(box: Box, maria: Path, ben: Path) -> None:
    for access in (maria, ben):
        run = attach(box, access, "print(spark.range(10).selectExpr('sum(id)').first()[0])")
        assert run.stdout == "45\n", run.stderr


def test_the_token_is_renewed_while_it_is_used(box: Box, maria: Path) -> None:
    before = maria.read_text()
    assert attach(box, maria, "print(1)").returncode == 0
    assert maria.read_text() != before
    assert kubectl(box, maria, "get", "pods").returncode == 0


def test_mode_client_is_refused(box: Box, maria: Path) -> None:
    program = f"import astrok8s; astrok8s.attach(kubeconfig={str(maria)!r}, mode='client')"
    run = box.run(sys.executable, "-c", program)
    assert "OptionError: A granted access gives sessions of Spark Connect" in run.stderr


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


def answers(access: Path, questions: list[str], namespace: str) -> dict[str, bool]:
    """Returns whether Kubernetes allows what is asked, as `verb resource.group/subresource:name`.

    Args:
        access: Who asks.
        questions: What is asked.
        namespace: Where; everywhere if empty.
    """

    def allowed(question: str) -> bool:
        verb, what = question.split()
        what, _, name = what.partition(":")
        what, _, subresource = what.partition("/")
        resource, _, group = what.partition(".")
        attributes = client.V1ResourceAttributes(
            verb=verb, resource=resource, group=group, subresource=subresource, name=name, namespace=namespace
        )
        spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        review = client.V1SelfSubjectAccessReview(spec=spec)
        return bool(api.create_self_subject_access_review(review).status.allowed)

    with config.new_client_from_config(str(access)) as connection:  # type: ignore[no-untyped-call]
        api: Any = client.AuthorizationV1Api(connection)
        return {question: allowed(question) for question in questions}


def test_a_user_can_do_all_of_the_own_namespaces_work(maria: Path) -> None:
    assert answers(maria, OWN, MARIAS) == dict.fromkeys(OWN, True)


@pytest.mark.parametrize("namespace", [BENS, "spark", "kube-system", "default", ""])
def test_a_user_can_do_nothing_elsewhere(maria: Path, ben: Path, namespace: str) -> None:  # noqa: ARG001  he is there
    asked = OWN + NOT_EVEN_OWN + CLUSTER
    assert answers(maria, asked, namespace) == dict.fromkeys(asked, False)


def test_a_user_cannot_get_more(maria: Path) -> None:
    assert answers(maria, NOT_EVEN_OWN, MARIAS) == dict.fromkeys(NOT_EVEN_OWN, False)


def pod(**spec: Any) -> dict[str, Any]:
    """Returns a pod that a user may have, but for what is given."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "main", "image": "localcloud/busybox:1", "command": ["sleep", "infinity"]}
    own = {"runAsNonRoot": True, "runAsUser": 185, "seccompProfile": {"type": "RuntimeDefault"}}
    containers = [container | {"securityContext": secure} | spec.pop("container", {})]
    whole = {"containers": containers, "securityContext": own, "terminationGracePeriodSeconds": 0} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}, "spec": whole}


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

    def reaches(address: str, port: int, namespace: str = MARIAS) -> bool:
        """Whether a connection is made, from a pod of a user's that has Python."""
        connect = f"import socket; socket.create_connection(({address!r}, {port}), timeout=3)"
        where = ("exec", f"--namespace={namespace}", "deployment/spark-connect", "--", "python3", "-c", connect)
        run = box.kubectl("one", *where)
        # Policies refuse, or drop.
        assert run.returncode == 0 or re.search("ConnectionRefusedError|TimeoutError", run.stderr), run.stderr
        return run.returncode == 0

    mine, other = addresses
    cloud = f"{box.network.removesuffix('0/16')}2"
    nodes = json.loads(box.kubectl("one", "get", "nodes", "--output=json").stdout)["items"]
    hosts = [node["status"]["addresses"][0]["address"] for node in nodes]
    assert reaches(mine, 8080)
    assert reaches(cloud, 8080)  # S3
    assert reaches("kubernetes.default.svc", 443)
    assert reaches(other, 8080, namespace=BENS)
    assert not reaches(other, 8080)
    assert not reaches(cloud, 5000)  # Keystone
    # Kubelets: one's own node is always reached, as Kubernetes has it; it asks who is there.
    assert len([host for host in hosts if reaches(host, 10250)]) <= 1
    for access in (maria, ben):
        assert kubectl(box, access, "delete", "pod", "web").returncode == 0


def test_the_quota_holds(box: Box, maria: Path) -> None:
    path = grant(box, MARIA, "-o", "user_access_pods=1")
    until(lambda: kubectl(box, path, "get", "pods", "--output=name"), lambda run: run.stdout.count("\n") >= 1)
    run = kubectl(box, path, "create", "--filename=-", stdin=json.dumps(pod()))
    assert "exceeded quota" in run.stderr
    grant(box, MARIA)
    assert maria == path


def test_an_access_with_an_end_is_not_renewed(box: Box) -> None:
    access = grant(box, "guest", "--until", "2099-12-24T18:00")
    renew = "create serviceaccounts/token:spark"
    assert answers(access, [renew], "user-guest") == {renew: False}
    before = access.read_text()
    assert attach(box, access, "print(spark.range(3).count())").stdout == "3\n"
    assert access.read_text() == before


def test_who_has_access_is_listed(box: Box, maria: Path, ben: Path) -> None:  # noqa: ARG001  they have
    listed = astrok8s(box, "access", "list", "one").stdout
    for text in (MARIA, MARIAS, BEN, BENS, "guest", "2099-12-24 18:00"):
        assert text in listed


WRONG = {
    "nobody": (["grant", "one", " "], "There cannot be a user ' '."),
    "long": (["grant", "one", "@" * 20], "There cannot be a user '@@@"),
    "past": (["grant", "one", "eve", "--until", "2020-01-01"], "An access cannot end 2020-01-01."),
    "no time": (["grant", "one", "eve", "--until", "tomorrow"], "'tomorrow' is no time."),
    "no folder": (["grant", "one", "eve", "--output", "/none/eve"], "There is no folder /none."),
    "no pods": (["grant", "one", "eve", "-o", "user_access_pods=0"], "A user cannot have 0 pods"),
    "no option": (["grant", "one", "eve", "-o", "user_access_pod=1"], "Did you mean user_access_pods?"),
    "no cluster": (["grant", "two", "eve"], "has no cluster two; it has: one."),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_refused_before_anything_is_made(box: Box, arguments: list[str], message: str) -> None:
    run = astrok8s(box, *arguments)
    assert run.returncode in (1, 2)
    assert message in " ".join((run.stdout + run.stderr).split())
    assert box.kubectl("one", "get", "namespace", "user-eve").returncode == 1


def test_no_file_of_the_user_has_a_secret_of_the_cloud(box: Box, maria: Path) -> None:  # noqa: ARG001  it was run
    password = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]["auth"]["password"]
    home = Path.home()
    folders = [box.folder, home / ".ansible", home / ".cache" / "astrok8s" / "classes", Path("/tmp")]  # noqa: S108

    def files() -> Iterator[Path]:
        for folder in folders:
            for path in folder.rglob("*"):
                # The cloud's own home is its operator's; the test's kubectl has its file from OpenStack's client.
                if not {"state", f"{box.name}-one"} & set(path.relative_to(folder).parts) and path.is_file():
                    yield path

    found = [path for path in files() if path != box.clouds and path.stat().st_size < 1e6 and _holds(path, password)]
    assert found == []


def _holds(path: Path, password: str) -> bool:
    try:
        return password.encode() in path.read_bytes()
    except OSError:
        return False


def test_a_revoked_access_is_worth_nothing_at_once(box: Box, maria: Path, ben: Path) -> None:
    assert kubectl(box, maria, "get", "pods").returncode == 0
    run = astrok8s(box, "revoke", "one", MARIA, "-y")
    assert run.returncode == 0, run.stdout + run.stderr
    refused = kubectl(box, maria, "get", "pods")
    assert refused.returncode == 1
    assert "Forbidden" in refused.stderr or "Unauthorized" in refused.stderr or "logged in" in refused.stderr
    assert "has ended or was revoked" in attach(box, maria, "print(1)").stderr
    assert box.kubectl("one", "get", "namespace", MARIAS).returncode == 1
    assert attach(box, ben, "print(spark.range(3).count())").stdout == "3\n"
    assert MARIA not in astrok8s(box, "access", "list", "one").stdout
    assert astrok8s(box, "revoke", "one", MARIA, "-y").returncode == 0
