"""CVMFS on every node and in every Spark pod: it is there, it is right, and it outlives what goes wrong."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import papermill
import pytest
from conftest import REPOSITORY, Cloud
from kube import Kubectl, eventually, remove_servers
from probe import IMAGE
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it
from repositories import (
    CLIENTS,
    DEMO,
    PLACE,
    SCAN,
    SITE,
    TTL,
    Readers,
    digest,
    flat,
    on_nodes,
    options,
    publish,
    sha256,
    stopped,
    told,
)
from site_yml import CLUSTER, clusters, playbook

import astrok8s

FQRN = "tests.astro.example"
MEMORY = {"spark.executor.memory": "700m"}


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("cvmfs"))


@pytest.fixture(scope="module", autouse=True)
def no_other_servers(kubectl: Kubectl) -> Iterator[None]:
    """Begin at the declared size, and begin and end without servers: a small cluster has room for few."""
    assert "failed=0" in playbook().text
    remove_servers(kubectl)
    yield
    remove_servers(kubectl)


def write(folder: Path, files: int = 5000) -> None:
    """Write a tree: small files and one of several chunks, modes, times, links, names that are no ASCII, catalogs."""
    chance = random.Random(6)
    for number in range(files):
        path = folder / f"branch-{number % 40}/leaf-{number % 7}/file-{number}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(4000)))
        path.chmod(chance.choice((0o644, 0o755, 0o444, 0o600 | 0o044)))
        os.utime(path, (10**9, 10**9 + number))
    (folder / "ünï — ☆.txt").write_text("names are UTF-8\n")
    (folder / "large.dat").write_bytes(chance.randbytes(40 * 2**20))
    (folder / "to-large").symlink_to("large.dat")
    (folder / "branch-1/up").symlink_to("../branch-2/leaf-3")
    (folder / "branch-1/nowhere").symlink_to("/nowhere")
    for number in (3, 4, 5):
        (folder / f"branch-{number}/.cvmfscatalog").touch()
    (folder / "revision").write_text("1\n")


@pytest.fixture(scope="module")
def tree(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository of 5,000 files, which all nodes have."""
    folder = tmp_path_factory.mktemp("tree") / "source"
    folder.mkdir()
    write(folder)
    publish(FQRN, folder)
    with on_nodes(FQRN):
        yield folder


@pytest.fixture(scope="module")
def readers(kubectl: Kubectl) -> Iterator[Readers]:
    """Pods that began to run before the repository was there."""
    yield Readers(kubectl)
    kubectl("delete", "namespace", PLACE)


def attach(mode: str, environment: str | None = SITE, **given: Any) -> Any:
    return astrok8s.attach(CLUSTER, mode=mode, environment=environment, conf=MEMORY, quiet=True, **given)  # type: ignore[arg-type]


def test_it_came_with_the_cluster(kubectl: Kubectl) -> None:
    def on_workers_alone() -> bool:
        pods = kubectl.get("pods", *CLIENTS)["items"]
        workers = {node for node, is_worker in kubectl.ready_nodes().items() if is_worker}
        return {pod["spec"]["nodeName"] for pod in pods} == workers

    # pods of nodes that are gone stay in Kubernetes' books for a while
    eventually("a client on each worker, and on no other node", on_workers_alone)
    assert kubectl.get("configmap", "cvmfs", "-n", "spark")["data"]["repositories"].split(",") == [DEMO]


@pytest.mark.filterwarnings("default")  # the notebook's machinery warns about itself
def test_the_notebook(cloud: Cloud, kubectl: Kubectl, tmp_path: Path) -> None:
    """Executors of two nodes import astropy and healpy; what crossed the network is shown, cold and warm."""
    papermill.execute_notebook(
        REPOSITORY / "notebooks/cvmfs.ipynb",
        tmp_path / "cvmfs.ipynb",
        parameters={"cluster": CLUSTER, "output": str(tmp_path)},
        progress_bar=False,
        execution_timeout=300,
    )
    remove_servers(kubectl)
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["nodes"]) >= 2
    assert all(place.startswith(f"{SITE}/") for place in results["places"])
    assert all(check["passed"] for check in results["checks"])
    assert results["cold_kb"] > 1000 > results["warm_kb"] >= 0
    assert list(tmp_path.glob("*.png")), "no picture"


@pytest.mark.parametrize("mode", ["client", "connect"])
def test_executors_import_from_a_repository(mode: str, kubectl: Kubectl) -> None:
    spark = attach(mode, executors=1)

    def where(_: int) -> str:
        import astropy
        import healpy

        return f"{astropy.__file__} {healpy.__file__} {healpy.nside2npix(64)}"

    try:
        (row,) = spark.range(1).select(F.udf(where)("id").alias("said")).collect()
    finally:
        spark.stop()
        remove_servers(kubectl)
    assert row.said == f"{SITE}/astropy/__init__.py {SITE}/healpy/__init__.py 49152"


def test_a_tree_is_what_its_source_is(readers: Readers, tree: Path) -> None:
    """Eight cold readers on each node, at the same time and as uid 185: none sees anything else."""
    expected = digest(tree)
    assert int(expected.split()[0]) > 5000
    with ThreadPoolExecutor(8 * len(readers.pods)) as pool:
        pods = 8 * list(readers.pods.values())
        assert set(pool.map(lambda pod: readers.python(pod, SCAN, f"/cvmfs/{FQRN}"), pods)) == {expected}
    assert readers.restarts() == 0


def test_pods_that_run_see_a_new_revision(readers: Readers, tree: Path) -> None:
    revision = tree / "revision"
    revision.write_text("2\n")
    (tree / "new").mkdir()
    (tree / "new/file").write_text("was not there\n")
    (tree / "branch-0/leaf-0/file-0.dat").unlink()
    publish(FQRN, tree)
    # the kernel remembers what it has seen for up to a minute
    readers.eventually_read("the new revision", f"/cvmfs/{FQRN}/revision", sha256(b"2\n"), seconds=TTL + 75)
    readers.eventually_read("the new file", f"/cvmfs/{FQRN}/new/file", sha256(b"was not there\n"), seconds=TTL + 75)
    gone = f"/cvmfs/{FQRN}/branch-0/leaf-0/file-0.dat"
    eventually("the file to go", lambda: readers.read(gone) == [["No such file or directory"]] * len(readers.pods), 75)


def test_what_is_cached_goes_on_without_a_server(cloud: Cloud, readers: Readers, tree: Path) -> None:
    """What is not cached is an error, at once; the server back, it is there."""
    (tree / "cached").write_text("read before\n")
    (tree / "uncached").write_bytes(content := random.Random(1).randbytes(300_000))
    publish(FQRN, tree)
    cached, uncached = (f"/cvmfs/{FQRN}/{name}" for name in ("cached", "uncached"))
    readers.eventually_read("the file", cached, sha256(b"read before\n"), seconds=TTL + 75)
    with stopped(cloud, "stratum", "squid"):
        assert readers.read(cached) == [[sha256(b"read before\n")]] * len(readers.pods)
        begun = time.monotonic()
        assert readers.read(uncached) == [["Input/output error"]] * len(readers.pods)
        assert time.monotonic() - begun < 15 * len(readers.pods)
        assert readers.read(cached) == [[sha256(b"read before\n")]] * len(readers.pods)
    readers.eventually_read("the server to be used again", uncached, sha256(content), seconds=120)


def clients() -> list[int]:
    """Return the processes of the tests' clients."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, group = (process / "cmdline").read_bytes(), (process / "cgroup").read_text()
        except OSError:
            continue
        if b"cvmfs-client" in command.split(b"\0")[0] and f"/{CLUSTER}-" in group:
            found.append(int(process.name))
    return found


def test_pods_outlive_a_client_that_is_killed(kubectl: Kubectl, readers: Readers, tree: Path) -> None:
    expected = sha256((tree / "large.dat").read_bytes())
    pods = readers.pods
    killed = clients()
    assert len(killed) == len(pods)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    readers.eventually_read("the repository to be back in the same pods", f"/cvmfs/{FQRN}/large.dat", expected, 90)
    assert readers.pods == pods
    assert readers.restarts() == 0
    assert not set(killed) & set(clients())


EARLY = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "early"},
    "spec": {
        "selector": {"matchLabels": {"app": "early"}},
        "template": {
            "metadata": {"labels": {"app": "early"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "main",
                        "image": IMAGE,
                        # started by the image's entry point, as executors are; ends if it is too early
                        "args": ["sh", "-c", f"test -f {SITE}/astropy/__init__.py && exec sleep infinity"],
                        "env": [{"name": "ASTROK8S_CVMFS", "value": DEMO}],
                        "volumeMounts": [
                            {"name": "cvmfs", "mountPath": "/cvmfs", "mountPropagation": "HostToContainer"}
                        ],
                    }
                ],
                "volumes": [{"name": "cvmfs", "hostPath": {"path": "/cvmfs", "type": "DirectoryOrCreate"}}],
            },
        },
    },
}
"""On each node as soon as there is one; it begins as Spark's pods do."""


def test_a_node_that_is_added_has_it_before_spark_uses_it(kubectl: Kubectl, readers: Readers) -> None:
    before = readers.pods
    size = len(before)
    readers.space.apply(EARLY)
    readers.space("rollout", "status", "daemonset/early", "--timeout=60s")
    try:
        assert "failed=0" in playbook("-e", f"size={size + 1}").text
        readers.space("rollout", "status", "daemonset/early", "--timeout=120s")
        pods = readers.space.get("pods", "-l", "app=early")["items"]
        assert len(pods) == size + 1
        assert [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]] == [0] * (
            size + 1
        )
    finally:
        readers.space("delete", "daemonset", "early")
        playbook("-e", f"size={size}")


def cached(cache: Path) -> dict[int, int]:
    """Return the bytes of each file of a node's cache, by its number."""
    found = {}
    for path in cache.rglob("*"):
        with suppress(FileNotFoundError):  # thrown out meanwhile
            state = path.lstat()
            found[state.st_ino] = state.st_size
    return found


def used(cloud: Cloud) -> float:
    """Return the MiB that the fullest cache takes, of those that did not change while they were looked at.

    A file that is renamed or replaced in the middle of a look would be counted twice.
    """
    most = 0
    for cache in cloud.home.glob("clusters/*/nodes/*/root/var/lib/astrok8s/cvmfs"):
        first, second = cached(cache), cached(cache)
        if first.keys() == second.keys():
            most = max(most, sum(first.values()))
    return most / 2**20


def test_the_quota_holds(cloud: Cloud, readers: Readers, tmp_path: Path) -> None:
    quota, chance = 100, random.Random(2)
    contents = [chance.randbytes(10 * 10**6) for _ in range(30)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.dat").write_bytes(content)
    publish("quota.astro.example", tmp_path)
    paths = [f"/cvmfs/quota.astro.example/{number}.dat" for number in range(len(contents))]
    expected = [sha256(content) for content in contents]
    with on_nodes("quota.astro.example", cvmfs_quota=quota):
        most = 0.0
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(readers.read, *paths)
            while not job.done():
                most = max(most, used(cloud))
                time.sleep(0.2)
            assert job.result() == [expected] * len(readers.pods)
    # letters and folders of the cache are not counted by its quota, which is in MiB
    assert quota / 2 < most <= quota * 1.02


def repository(fqrn: str = DEMO, **change: Any) -> dict[str, Any]:
    """Return the demo repository's declaration, changed."""
    (demo,) = (found for found in told()["repositories"] if found["fqrn"] == DEMO)
    return {**demo, "fqrn": fqrn, **change}


def test_what_cannot_be_is_told_before_anything_is_made(cloud: Cloud) -> None:
    wrong = [repository(), repository(), repository("nodots", server_urls=[]), repository("a.b", public_key="none")]
    asked = options(cvmfs_repositories=wrong, cvmfs_proxies=["squid"], magnum_cluster_name="refused")
    result = playbook(*asked, check=False)
    said = flat(result.text)
    assert result.code == 2
    for words in (
        f"repository {DEMO}: it is listed twice",
        "repository nodots: fqrn nodots is no fully qualified repository name",
        "repository nodots: it has no server URL",
        "repository a.b: public_key cannot be read",
        "proxy squid is neither a URL nor DIRECT",
    ):
        assert words in said
    assert "refused" not in clusters()


@pytest.fixture
def as_before(cloud: Cloud) -> Iterator[None]:
    """Leave the cluster as it is declared."""
    yield
    assert "failed=0" in playbook(part="cvmfs").text


@pytest.mark.usefixtures("as_before")
def test_repositories_that_are_not_to_be_had_are_told(kubectl: Kubectl) -> None:
    """Each with node and reason; the others are there."""
    unknown, unreachable = "unknown.astro.example", "unreachable.astro.example"
    nowhere = repository(unreachable, server_urls=["http://127.0.0.1:9/cvmfs/@fqrn@"])
    asked = [repository(), repository(unknown), nowhere]
    result = playbook(*options(cvmfs_repositories=asked, cvmfs_timeout=40), part="cvmfs", check=False)
    said = flat(result.text)
    assert result.code == 2
    for fqrn in (unknown, unreachable):
        assert f"repository {fqrn} on node {CLUSTER}-" in said
    assert said.count("it is not mounted (the client says: ") >= 2
    assert f"repository {DEMO} on node" not in said


@pytest.mark.usefixtures("as_before")
def test_a_proxy_that_is_down_is_passed_over(readers: Readers) -> None:
    (proxy,) = told()["proxies"]
    dead = proxy.rpartition(":")[0] + ":9"
    assert "failed=0" in playbook(*options(cvmfs_proxies=[dead, proxy]), part="cvmfs").text
    expected = readers.read(f"{SITE}/astropy/__init__.py")
    assert len({said for (said,) in expected}) == 1
    assert len(expected[0][0]) == 64


def test_csi_needs_its_driver(cloud: Cloud) -> None:
    result = playbook("-e", "cvmfs_driver=csi", part="cvmfs", check=False)
    assert result.code == 2
    assert "cvmfs_driver csi needs cvmfs-csi, and the cluster has no CSIDriver cvmfs.csi.cern.ch" in flat(result.text)


def test_an_unknown_repository_is_told_with_the_nearest(cloud: Cloud) -> None:
    with pytest.raises(astrok8s.AttachError, match=rf"not among the cluster's .*did you mean /cvmfs/{re.escape(DEMO)}"):
        attach("connect", "/cvmfs/sw.astro.exmaple/python")


@pytest.mark.parametrize("mode", ["client", "connect"])
def test_a_folder_that_is_not_there_is_told(mode: str, cloud: Cloud) -> None:
    with pytest.raises(astrok8s.AttachError, match=r"pyhton is no folder of its repository, which has: .*python"):
        attach(mode, f"/cvmfs/{DEMO}/pyhton", executors=1)


def test_it_goes_and_comes_back(kubectl: Kubectl) -> None:
    absent = ("-e", "cvmfs_state=absent")
    assert playbook(*absent, "--check", part="cvmfs").count("changed") == 1
    assert kubectl.get("pods", *CLIENTS)["items"]
    assert playbook(*absent, part="cvmfs").count("changed") == 1
    assert playbook(*absent, part="cvmfs").count("changed") == 0
    eventually("the clients to go", lambda: kubectl.get("pods", *CLIENTS)["items"] == [])
    assert kubectl("get", "configmap", "cvmfs", "-n", "spark", "--ignore-not-found") == ""
    with pytest.raises(astrok8s.AttachError, match="the cluster has none; provision it again"):
        attach("client")
    spark = attach("client", None, executors=1)
    try:
        assert spark.range(10).count() == 10
    finally:
        spark.stop()
    assert playbook("--check", part="cvmfs").count("changed") == 1
    assert playbook(part="cvmfs").count("changed") == 1
