"""One walk through the main job, in a box of its own: what it builds on, each step checks."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from boxes import KUBECTL, ROOT, SITE_BIN, VOLUME, WEB, Box, machine_state, traces, until
from jupyter import Jupyter
from storage import client, endpoint, get, key, new_key, put

REPOSITORY = "sw.astro.example"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(f"walk{os.getpid()}", tmp_path_factory.mktemp("walk"))
    yield box
    box.localcloud("destroy")


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return machine_state()


def test_up_starts_a_cloud(box: Box, before: dict[str, str]) -> None:
    assert box.localcloud("status").returncode == 1
    up = box.localcloud("up")
    assert up.returncode == 0, up.stderr
    assert f"export OS_CLOUD={box.name}" in up.stdout
    status = box.localcloud("status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("RUNNING") == 9  # eight services and the rack
    assert machine_state() == before


def test_up_again_changes_nothing(box: Box) -> None:
    holder, clouds = box.holder(), box.clouds.read_text()
    up = box.localcloud("up")
    assert up.returncode == 0, up.stderr
    assert "seeding" not in up.stdout
    assert (box.holder(), box.clouds.read_text()) == (holder, clouds)


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ("coe cluster template list", {"kubernetes"}),
        ("image list", {"kubernetes-node"}),
        ("flavor list", {"m1.small", "m1.medium", "m1.large"}),
        ("network list", {"public", "private"}),
        ("subnet list", {"public-subnet", "private-subnet"}),
        ("keypair list", {"astro"}),
    ],
)
def test_the_unmodified_client_sees_what_a_cloud_has(box: Box, listing: str, names: set[str]) -> None:
    run = box.openstack(*listing.split(), "-f", "json")
    assert run.returncode == 0, run.stderr
    assert {entry.get("Name", entry.get("name")) for entry in json.loads(run.stdout)} == names


def test_objects_are_kept_for_whoever_has_a_key(box: Box) -> None:
    s3 = client(endpoint(box), new_key(box))
    s3.make_bucket(bucket_name="night-1")
    put(s3, "night-1", "m31/image.fits", b"SIMPLE  =")
    assert get(s3, "night-1", "m31/image.fits") == b"SIMPLE  ="


def test_a_cluster_with_a_short_life_is_made(box: Box) -> None:
    # Its end is looked at when the walk is over, which takes longer.
    run = box.playbook("site.yml", "--tags=cloud,magnum_cluster,lifecycle", clusters=["brief"], size=1, ttl="90s")
    assert run.returncode == 0, run.stdout


@pytest.fixture(scope="module")
def software(box: Box) -> dict[str, Any]:
    """The options that give a cluster the packages of notebooks/cvmfs.ipynb, published in the box."""
    published = box.localcloud("cvmfs", "publish", REPOSITORY, str(ROOT / ".venv" / "software"))
    assert published.returncode == 0, published.stderr
    run = box.localcloud("cvmfs", "options")
    assert run.returncode == 0, run.stderr
    options: dict[str, Any] = json.loads(run.stdout)
    assert [repository["fqrn"] for repository in options["cvmfs_repositories"]] == [REPOSITORY]
    return options


def test_the_user_is_no_administrator(box: Box) -> None:
    run = box.openstack("user", "list")
    assert run.returncode == 1
    assert "403" in run.stderr


def test_site_makes_the_declared_cluster(box: Box, before: dict[str, str], software: dict[str, Any]) -> None:
    run = box.playbook("site.yml", clusters=["first"], size=2, **software)
    assert run.returncode == 0, run.stdout
    nodes = box.nodes("first")
    assert set(nodes) == {"first-master-0", "first-node-1", "first-node-2"}
    taints = {name: node["spec"].get("taints", []) for name, node in nodes.items()}
    assert taints.pop("first-master-0") == [{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}]
    assert list(taints.values()) == [[], []]
    assert machine_state() == before


def test_site_again_changes_nothing(box: Box, software: dict[str, Any]) -> None:
    run = box.playbook("site.yml", clusters=["first"], size=2, **software)
    assert run.returncode == 0, run.stdout
    assert "changed=0" in run.stdout


def test_a_notebook_computes_on_it(box: Box) -> None:
    folder = box.folder / "validation"
    command = str(SITE_BIN / "astrok8s"), "notebooks", "run", "--only", "stars", "--cluster", "first"
    run = box.run(*command, "-p", "bucket=night-1", "--output", str(folder), OS_CLOUD=box.name)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "stars" in (folder / "report.html").read_text()
    (notebook,) = ElementTree.parse(folder / "junit.xml").iter("testcase")  # noqa: S314 - it is our own
    assert (notebook.get("name"), list(notebook)) == ("stars", [])
    (output,) = folder.glob("runs/*/stars")
    results = json.loads((output / "results.json").read_text())
    assert results["stars"] == 117_955
    assert [check["what"] for check in results["checks"] if not check["passed"]] == []
    assert results["executors"]  # one may do it all, before another is there
    assert (output / "colour-magnitude.png").stat().st_size > 50_000
    # Executors wrote the parts, the driver said that they are all there.
    kept = client(endpoint(box), key(box)).list_objects(bucket_name="night-1", prefix="hipparcos.parquet/")
    names = [entry.object_name.removeprefix("hipparcos.parquet/") for entry in kept if entry.object_name]
    assert {name.split("-")[0] for name in names} == {"part", "_SUCCESS"}


def test_jupyter_s_server_tells_of_it(box: Box) -> None:
    jupyter = Jupyter(box)
    jupyter.start()
    try:
        answer = jupyter.get("/astrok8s/clusters")
        assert answer.status_code == 200, answer.text
        told = {cluster["name"]: cluster for cluster in answer.json()["clusters"]}["first"]
        assert (told["size"], told["status"]) == (2, "CREATE_COMPLETE")
        jupyter.token = jupyter.token[::-1]
        assert jupyter.get("/astrok8s/clusters").status_code == 403
    finally:
        jupyter.stop()


def python(box: Box, code: str) -> subprocess.CompletedProcess[str]:
    return box.run(str(SITE_BIN / "python"), "-c", f"import astrok8s\n{code}", OS_CLOUD=box.name)


def test_a_notebook_can_be_the_driver_itself(box: Box) -> None:
    attach = "spark = astrok8s.attach('first', mode='client', executors=1, quiet=True)"
    run = python(box, f"{attach}; print(spark.sparkContext.parallelize(range(10)).sum()); spark.stop()")
    assert run.stdout == "45\n", run.stderr


# Prints from where executors have astropy.
IMPORT = f"""
def packages(batches):
    import astropy
    for batch in batches:
        yield batch.assign(path=astropy.__file__)
spark = astrok8s.attach("first", environment="/cvmfs/{REPOSITORY}/python", quiet=True)
print(*spark.range(1).mapInPandas(packages, "id long, path string").toPandas().path)
spark.stop()
"""


def test_executors_have_packages_of_a_repository(box: Box) -> None:
    run = python(box, IMPORT)
    assert run.stdout == f"/cvmfs/{REPOSITORY}/python/lib/astropy/__init__.py\n", run.stderr


FORBIDDEN = [
    "get nodes",
    "get namespaces",
    "get pods --namespace=spark",
    "get secrets",
    "exec deployment/spark-connect -- id",
    "create token default",
    "create token spark --namespace=spark",
    "create rolebinding mine --clusterrole=admin --serviceaccount=user-maria:spark",
]


def test_a_granted_access_is_to_one_namespace(box: Box) -> None:
    access = box.folder / "maria.kubeconfig"
    command = (str(SITE_BIN / "astrok8s"), "grant", "first", "maria", "--output", str(access))
    granted = box.run(*command, OS_CLOUD=box.name)
    assert granted.returncode == 0, granted.stdout + granted.stderr
    session = f"import astrok8s; spark = astrok8s.attach(kubeconfig={str(access)!r}); print(spark.range(10).count())"
    run = box.run(str(SITE_BIN / "python"), "-c", session, OS_CLIENT_CONFIG_FILE="/nonexistent")
    assert run.stdout == "10\n", run.stderr

    def kubectl(what: str) -> subprocess.CompletedProcess[str]:
        return box.run(str(KUBECTL), f"--kubeconfig={access}", *what.split())

    assert "executor" in kubectl("get pods --show-labels").stdout
    for what in FORBIDDEN:
        assert "forbidden" in kubectl(what).stderr, what
    revoked = box.run(str(SITE_BIN / "astrok8s"), "revoke", "first", "maria", "-y", OS_CLOUD=box.name)
    assert revoked.returncode == 0, revoked.stdout + revoked.stderr
    assert kubectl("get pods").returncode == 1


def test_the_sessions_are_in_the_history(box: Box) -> None:
    code = "print(sorted((a.name, a.completed) for a in astrok8s.get_cluster('first').history()))"
    # The history server may have seen a log before its end; the server of Spark Connect goes on.
    until(
        lambda: python(box, code),
        lambda run: run.stdout == "[('astrok8s connect', False), ('astrok8s first', True)]\n",
    )


def test_pods_of_different_nodes_find_each_other_by_name(box: Box) -> None:
    applied = box.kubectl("first", "apply", "--filename=-", stdin=WEB)
    assert applied.returncode == 0, applied.stderr
    rolled = box.kubectl("first", "rollout", "status", "deployment/web", "--timeout=120s")
    assert rolled.returncode == 0, rolled.stdout + rolled.stderr
    pods = json.loads(box.kubectl("first", "get", "pods", "--selector=app=web", "--output=json").stdout)["items"]
    names = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}
    assert set(names.values()) == {"first-node-1", "first-node-2"}
    ask = "for i in 1 2 3 4 5 6 7 8 9; do printf 'GET / HTTP/1.0\r\n\r\n' | nc web 80 | tail -n 1; done"
    heard = until(
        lambda: box.kubectl("first", "exec", "deployment/web", "--", "sh", "-c", ask),
        lambda run: {*run.stdout.split()} == {*names},
    )
    assert heard.returncode == 0
    # Each node has folders of its own.
    marks = [box.kubectl("first", "exec", name, "--", "cat", "/mark/pods").stdout.split() for name in names]
    assert marks == [[name] for name in names]
    assert not Path("/srv/mark").exists()


def test_a_pod_gets_the_volume_that_it_claims(box: Box) -> None:
    applied = box.kubectl("first", "apply", "--filename=-", stdin=VOLUME)
    assert applied.returncode == 0, applied.stderr
    waited = box.kubectl("first", "wait", "pod/writer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    assert waited.returncode == 0, waited.stderr + box.kubectl("first", "describe", "pods", "--all-namespaces").stdout
    assert box.kubectl("first", "logs", "writer").stdout == "kept\n"


def test_a_smaller_cluster_is_drained_first(box: Box, software: dict[str, Any]) -> None:
    selector = ("--selector=app=web", "--field-selector=spec.nodeName=first-node-2")
    leaving = box.kubectl("first", "get", "pods", *selector, "--output=name").stdout.strip()
    assert leaving
    run = box.playbook("site.yml", clusters=["first"], size=1, **software)
    assert run.returncode == 0, run.stdout
    assert "changed=1" in run.stdout
    assert set(box.nodes("first")) == {"first-master-0", "first-node-1"}
    assert f"{leaving} evicted" in box.localcloud("logs", "rack", "--lines", "100").stdout
    rolled = box.kubectl("first", "rollout", "status", "deployment/web", "--timeout=120s")
    assert rolled.returncode == 0, rolled.stdout + rolled.stderr


def test_a_size_beyond_the_quota_is_refused(box: Box) -> None:
    run = box.playbook("site.yml", clusters=["first"], size=10_000)
    assert run.returncode == 2
    assert "The quota does not allow size 10000: it needs" in run.stdout
    assert set(box.nodes("first")) == {"first-master-0", "first-node-1"}


def test_the_short_life_is_over(box: Box) -> None:
    until(lambda: box.openstack("coe", "cluster", "list", "-f", "value"), lambda run: "brief" not in run.stdout)
    credentials = box.openstack("application", "credential", "list", "-f", "value").stdout
    assert len(credentials.splitlines()) == 1  # that of `first`, whose next declaration took the other one away
    ended = box.run(str(SITE_BIN / "astrok8s"), "list", "--ended", OS_CLOUD=box.name)
    assert "its time of 90s was over" in ended.stdout


def test_the_declared_cluster_is_destroyed(box: Box) -> None:
    run = box.playbook("playbooks/destroy.yml", clusters=["first"])
    assert run.returncode == 0, run.stdout
    assert box.openstack("coe", "cluster", "list", "-f", "value").stdout == ""
    assert box.openstack("application", "credential", "list", "-f", "value").stdout.strip() == ""
    assert list((box.home / "state" / "clusters").iterdir()) == []


def test_the_logs_can_be_read(box: Box) -> None:
    logs = box.localcloud("logs", "magnum", "--lines", "5")
    assert "magnum.log" in logs.stdout
    unknown = box.localcloud("logs", "cinder")
    assert unknown.returncode == 1
    assert "There is no log of cinder" in unknown.stderr


def test_the_cache_holds_no_secret(box: Box) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s" / "clouds"
    secrets = json.loads((box.home / "passwords.json").read_text()).values()
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert files
    for content in map(Path.read_bytes, files):
        assert not any(secret.encode() in content for secret in secrets)
        assert b"$2b$" not in content  # how Keystone's password hashes begin


def test_destroy_leaves_nothing(box: Box, before: dict[str, str]) -> None:
    network = box.network
    destroy = box.localcloud("destroy")
    assert destroy.returncode == 0, destroy.stderr
    assert traces(box, network) == []
    assert not box.clouds.exists()
    assert machine_state() == before
    assert box.localcloud("destroy").returncode == 0
