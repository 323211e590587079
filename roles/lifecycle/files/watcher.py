"""Ends the cluster that it runs in, when the time of that is over, or when nobody has used it for long.

When that is stands in the ConfigMap `lifecycle`, which it reads again and again: somebody may extend it. The credential
beside it may look at this cluster, delete it and write a record of that, and nothing else. What does not answer is
asked again, for as long as the credential lives.

What counts as use, here and nowhere else: a kernel that has a session, which says so by a Lease that it renews
(`astrok8s/_lease.py`), and a driver or an executor of Spark that runs, whoever has started it. Whether somebody did
while this program could not look, nobody knows: it counts as use, too.
"""

import json
import os
import ssl
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

CREDENTIAL = Path("/etc/credential")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
READY = Path("/tmp/ready")
OWN = f"/api/v1/namespaces/{os.environ['NAMESPACE']}/configmaps"
POLL_S = 10
ANSWER_S = 30
# How often it tries to write why the cluster ends, before the cluster ends without.
TRIES = 3
SERVER = "spark-connect"
# Longer than a server has to end by itself (terminationGracePeriodSeconds).
CLOSE_S = 45
UNITS = (("h", 3600), ("m", 60))
# How long after the end it goes by what it has read last, where the cluster's own API does not answer any more.
PATIENCE_S = 600
# After how long without a look somebody may have come and gone unseen: a lease is good for as long.
UNSEEN = timedelta(seconds=90)


def main() -> None:
    """Waits for the end of the cluster, and ends it."""
    told, why = wait_for_end()
    say(f"{why}: deleting the cluster")
    try:
        end_servers()
    except OSError as error:
        say(f"the servers of Spark Connect did not end, their sessions are not in the history: {words(error)}")
    recorded = False
    while True:  # until this pod goes with its cluster
        try:
            cluster = look()
            if cluster is None:
                say("the cluster is gone")
            elif cluster["status"] != "DELETE_IN_PROGRESS":
                recorded = recorded or record(told, why, cluster["node_count"])
                ask_magnum("DELETE")
        except OSError as error:
            say(f"the cloud does not delete it, trying again: {words(error)}")
        time.sleep(POLL_S)


def wait_for_end() -> tuple[dict[str, str], str]:
    """Returns when the cluster is to end: what it tells of that, and why it is."""
    told: dict[str, str] = {}
    used = looked = datetime.min.replace(tzinfo=UTC)
    while True:
        get_ready()
        now, fresh = datetime.now(UTC), True
        try:
            told = ask_kubernetes(f"{OWN}/lifecycle")["data"]
            if now > looked + UNSEEN or in_use(now):
                used = note_use(now)
            looked = now
        except OSError as error:
            say(f"Kubernetes does not answer, trying again: {words(error)}")
            fresh = False
        if told and now >= end_of(told) + timedelta(seconds=0 if fresh else PATIENCE_S):
            return told, f"its time of {spoken(end_of(told) - datetime.fromisoformat(told['since']))} was over"
        # Only who was answered knows that nobody uses it.
        if fresh and now >= used + timedelta(seconds=float(told["idle_s"])):
            return told, f"nobody had used it for {told['idle']}"
        time.sleep(POLL_S)


def end_of(told: Mapping[str, str]) -> datetime:
    """Returns when the time of the cluster is over: whoever has written that, no later than the site allows."""
    return min(datetime.fromisoformat(told[name]) for name in ("end", "last") if name in told)


def get_ready() -> None:
    """Says that this pod is ready, once the cloud has told of the cluster."""
    if not READY.exists():
        try:
            say(f"the cluster is {(look() or {}).get('status', 'gone')}")
            READY.touch()
        except OSError as error:
            say(f"the cloud does not answer, trying again: {words(error)}")


def in_use(now: datetime) -> bool:
    """Returns whether somebody uses the cluster."""
    running = f"labelSelector={quote('spark-role in (driver,executor)')}&fieldSelector=status.phase%3DRunning&limit=1"
    if ask_kubernetes(f"/api/v1/pods?{running}")["items"]:
        return True
    leases = ask_kubernetes("/apis/coordination.k8s.io/v1/leases?labelSelector=astrok8s/use")["items"]
    return any(is_held(lease["spec"], now) for lease in leases)


def is_held(lease: Mapping[str, Any], now: datetime) -> bool:
    """Returns whether who holds a lease still renews it."""
    renewed = datetime.fromisoformat(lease["renewTime"])
    return now < renewed + timedelta(seconds=lease["leaseDurationSeconds"])


def note_use(now: datetime) -> datetime:
    """Notes for everybody that the cluster is in use now; returns that time."""
    ask_kubernetes(f"{OWN}/use", {"data": {"last": now.isoformat(timespec="seconds")}})
    return now


def end_servers() -> None:
    """Ends the servers of Spark Connect, which close their event logs then, and not when their node is switched off."""
    pods = f"/api/v1/pods?labelSelector={quote(f'app.kubernetes.io/name={SERVER}')}"
    deadline = time.monotonic() + CLOSE_S
    while (found := ask_kubernetes(pods)["items"]) and time.monotonic() < deadline:
        for namespace in {pod["metadata"]["namespace"] for pod in found}:
            scale = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVER}/scale"
            ask_kubernetes(scale, {"spec": {"replicas": 0}})
        time.sleep(1)


def record(told: Mapping[str, str], why: str, size: int) -> bool:
    """Writes why the cluster ends, where there is a place for that, and is done: it ends also without."""
    if not told.get("record"):
        say("why it ends is written nowhere: no bucket was declared, or the cloud has no object storage")
        return True
    ending = {"cluster": told["cluster"], "uuid": told["uuid"], "size": size, "since": told["since"]}
    ending["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    ending |= {"why": why, "by": "itself"}
    for _ in range(TRIES):
        try:
            token, _catalog = authenticate()
            ask("PUT", told["record"], {"X-Auth-Token": token}, ending)
            say(f"why it ends is in {told['record']}")
            break
        except OSError as error:
            say(f"why it ends cannot be written: {words(error)}")
            time.sleep(POLL_S)
    return True


def spoken(span: timedelta) -> str:
    """Returns a time as people say it: 12h."""
    seconds = round(span.total_seconds())
    unit, length = next(((unit, length) for unit, length in UNITS if seconds % length == 0), ("s", 1))
    return f"{seconds // length}{unit}"


def look() -> Any:
    """Returns the cluster as Magnum shows it; None where there is none."""
    try:
        return ask_magnum("GET")
    except HTTPError as error:
        if error.code == 404:
            return None
        raise


def ask_magnum(method: str) -> Any:
    """Asks Magnum about the cluster, by its UUID: the credential is good for this path alone."""
    token, catalog = authenticate()
    url = next(
        endpoint["url"]
        for service in catalog
        if service["type"] == "container-infra"
        for endpoint in service["endpoints"]
        if endpoint["interface"] == setting("interface") and setting("region") in ("", endpoint["region"])
    )
    url = url.rstrip("/").removesuffix("/v1")
    return ask(method, f"{url}/v1/clusters/{os.environ['CLUSTER']}", {"X-Auth-Token": token})[0]


def authenticate() -> tuple[str, list[Any]]:
    """Returns a token of the credential, and the catalogue of the cloud."""
    methods = {"methods": ["application_credential"]}
    own = {"application_credential": {"id": setting("id"), "secret": setting("secret")}}
    url = setting("auth_url").rstrip("/").removesuffix("/v3")
    told, headers = ask("POST", f"{url}/v3/auth/tokens", {}, {"auth": {"identity": methods | own}})
    return headers["X-Subject-Token"], told["token"]["catalog"]


def ask_kubernetes(path: str, patch: Any = None) -> Any:
    """Asks the API of the cluster, or patches what is there."""
    headers = {"Authorization": "Bearer " + (ACCOUNT / "token").read_text()}
    headers |= {"Content-Type": "application/merge-patch+json"} if patch else {}
    method, url = "PATCH" if patch else "GET", f"https://kubernetes.default.svc{path}"
    return ask(method, url, headers, patch, authority=ACCOUNT / "ca.crt")[0]


def ask(
    method: str, url: str, headers: Mapping[str, str], body: Any = None, *, authority: Path = CREDENTIAL / "ca.crt"
) -> tuple[Any, Mapping[str, str]]:
    """Returns the answer to a request, and its headers.

    Raises:
        OSError: There is none, or it is a refusal (`HTTPError`).
    """
    trusted = ssl.create_default_context(cafile=authority if authority.exists() else None)
    # An authority of OpenStack may lack what RFC 5280 asks for, which Kubernetes itself does not.
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **headers}, method=method)  # noqa: S310
    with urlopen(request, context=trusted, timeout=ANSWER_S) as answer:  # noqa: S310 - the addresses are the site's
        content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" else None, answer.headers


def setting(name: str) -> str:
    """Returns one of the settings beside the credential."""
    return (CREDENTIAL / name).read_text()


def words(error: OSError) -> str:
    """Returns what is wrong, with what the cloud says of a refusal."""
    body = error.read(500).decode(errors="replace") if isinstance(error, HTTPError) else ""
    return " ".join(f"{error} {body}".split())


def say(what: str) -> None:
    """Writes a line of the pod's log."""
    sys.stderr.write(f"astrok8s: {what}\n")


if __name__ == "__main__":
    main()
