"""What a granted access promises: a user's own namespace and all of it, until it is taken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accesses import BEN, BENS, MARIA, MARIAS, answers, astrok8s, attach, grant, kubectl, pod
from boxes import SITE_BIN, Box, until


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    run = box.playbook("site.yml", clusters=["one"], size=2)
    assert run.returncode == 0, run.stdout
    return box


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


def test_the_quota_holds(box: Box, maria: Path) -> None:
    path = grant(box, MARIA, "-o", "user_access_pods=1")
    until(lambda: kubectl(box, path, "get", "pods", "--output=name"), lambda run: run.stdout.count("\n") >= 1)
    run = kubectl(box, path, "create", "--filename=-", stdin=json.dumps(pod()))
    assert "exceeded quota" in run.stderr
    assert grant(box, MARIA) == path
    assert kubectl(box, maria, "create", "--filename=-", stdin=json.dumps(pod())).returncode == 0
    assert kubectl(box, maria, "delete", "pod", "mine").returncode == 0


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
    "no pods": (["grant", "one", "eve", "-o", "user_access_pods=0"], "user_access_pods cannot be 0: it is at least 1."),
    "no option": (["grant", "one", "eve", "-o", "user_access_pod=1"], "Did you mean user_access_pods?"),
    "no cluster": (["grant", "two", "eve"], "has no cluster two; it has: one."),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_refused_before_anything_is_made(box: Box, arguments: list[str], message: str) -> None:
    run = astrok8s(box, *arguments)
    assert run.returncode in (1, 2)
    assert message in " ".join((run.stdout + run.stderr).split())
    assert box.kubectl("one", "get", "namespace", "user-eve").returncode == 1


def namespace(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return box.kubectl("one", arguments[0], "namespace", *arguments[1:])


def take(box: Box, user: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Takes an access as an operator does, with the inventory of the cluster."""
    options = ("--extra-vars=user_access_state=absent", f"--extra-vars=user_access_user={user}", *options)
    return box.playbook("playbooks/access.yml", *options, clusters=["one"])


def test_a_namespace_that_no_grant_has_made_is_left_alone(box: Box, tmp_path: Path) -> None:
    assert namespace(box, "create", "user-eve").returncode == 0
    refused = "has a namespace user-eve that no grant has made: it is without the label astrok8s/access=user."
    for command in (["grant", "one", "eve", "--output", str(tmp_path / "eve")], ["revoke", "one", "eve", "-y"]):
        run = astrok8s(box, *command)
        assert run.returncode == 1
        assert refused in run.stderr
    assert list(tmp_path.iterdir()) == []
    inside = box.kubectl("one", "get", "resourcequotas,deployments,roles", "--namespace=user-eve", "--output=name")
    assert (inside.returncode, inside.stdout) == (0, "")
    assert namespace(box, "get", "user-eve", "--output=jsonpath={.status.phase}").stdout == "Active"
    assert namespace(box, "delete", "user-eve").returncode == 0


def test_an_access_that_nobody_has_is_not_revoked(box: Box) -> None:
    run = astrok8s(box, "revoke", "one", "eve")  # nor is anybody asked
    assert (run.returncode, run.stdout) == (0, "eve has no access to one: nothing to revoke.\n")
    for options in ((), ("--check",)):
        played = take(box, "eve", *options)
        assert (played.returncode, "changed=0 " in played.stdout) == (0, True), played.stdout


def test_a_grant_waits_for_what_goes(box: Box) -> None:
    grant(box, "zoe")
    assert namespace(box, "delete", "user-zoe", "--wait=false").returncode == 0
    assert namespace(box, "get", "user-zoe", "--output=jsonpath={.status.phase}").stdout == "Terminating"
    assert kubectl(box, grant(box, "zoe"), "get", "deployment", "spark-connect").returncode == 0
    played = take(box, "zoe")
    assert (played.returncode, "changed=0 " in played.stdout) == (0, False), played.stdout


def test_a_grant_is_foretold(box: Box, maria: Path, tmp_path: Path) -> None:  # noqa: ARG001  she has one
    for user in ("eve", MARIA):
        options = (
            "--check",
            f"--extra-vars=user_access_user={user}",
            f"--extra-vars=user_access_file={tmp_path / 'file'}",
        )
        run = box.playbook("playbooks/access.yml", *options, clusters=["one"])
        assert run.returncode == 0, run.stdout
        assert ("Would make namespace user-eve" in run.stdout) == (user == "eve")
    assert list(tmp_path.iterdir()) == []
    assert namespace(box, "get", "user-eve").returncode == 1


def test_where_nobody_answers_the_way_is_told(box: Box, ben: Path) -> None:
    run = box.run(str(SITE_BIN / "astrok8s"), "revoke", "one", BEN, stdin="", OS_CLOUD=box.name)
    assert run.returncode == 2
    assert "Give --yes (-y)." in run.stderr
    assert kubectl(box, ben, "get", "pods").returncode == 0


# Says 0, and when it is told something how a query ends then, and what is said where the token is to be renewed.
_OPEN = """
import sys, time
from pathlib import Path
import astrok8s
from astrok8s import _granted
from astrok8s._kubernetes import spark_base
path = Path({path!r})
granted = _granted.Granted.read(path)
base = spark_base(granted.account.client(), granted.namespace)
spark = astrok8s.attach(kubeconfig=path, quiet=True)
print(spark.range(1).first()[0], flush=True)
sys.stdin.readline()
begin = time.monotonic()
try:
    spark.range(1).first()
except astrok8s.AttachError as error:
    print(error, time.monotonic() - begin < 20, flush=True)
_granted._RETRY_S = 1
granted._keep(base, 0, lambda: True)
"""


def test_an_open_session_is_told_at_once_that_its_access_was_revoked(box: Box) -> None:
    access = grant(box, "guest")  # whose server runs
    command = [sys.executable, "-c", _OPEN.format(path=str(access))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=box.environment, text=True, **pipes) as session:  # type: ignore[call-overload]
        assert session.stdout.readline() == "0\n"
        assert astrok8s(box, "revoke", "one", "guest", "-y").returncode == 0
        said, renewing = session.communicate("\n", timeout=100)
    told = (
        f"The access in {access} to one has ended or was revoked: Unauthorized. Ask whoever granted it for another one."
    )
    assert said == f"{told} True\n"
    assert f"astrok8s: {told}\n" in renewing


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
