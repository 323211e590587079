"""What the image `cvmfs` promises: pods read what was published, all of it verified, whatever happens around them."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boxes import LOCALCLOUD_BIN, ROOT, Box, until
from processes import in_box


def image(name: str) -> str:
    """Returns an image of the project with its version."""
    text = (ROOT / "images" / name / "Containerfile").read_text()
    return f"astrok8s/{name}:{re.findall(rf'^ARG {name.upper()}_VERSION=(.+)$', text, re.MULTILINE)[0]}"


FQRN = "sw.example.org"
TTL_S = 5
# Of the ways in which a repository is damaged: what is in the log.
REFUSED = {
    "edited": ".cvmfspublished: its text is not what its checksum says",
    "expired": "whitelist: expired 24 hours ago",
    "stranger": "whitelist: not signed by the master key",
    "foreign": "is not in the whitelist",
    "catalog": "corrupt object",
}
UNREADABLE = ("replaced", "truncated")

# An ordinary user, who may not know when there is a client.
READER = f"""
apiVersion: v1
kind: Pod
metadata: {{name: reader}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: reader
      image: {image("spark")}
      args: [sleep, infinity]
      securityContext: {{runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      volumeMounts: [{{name: cvmfs, mountPath: /cvmfs, mountPropagation: HostToContainer, readOnly: true}}]
  volumes:
    - name: cvmfs
      hostPath: {{path: /cvmfs, type: DirectoryOrCreate}}
"""

# Tells all that there is in a folder, apart from sizes of folders and owners, as JSON.
LOOK = """
import hashlib, json, os, stat, sys
found = {}
def look(path, name):
    info = os.lstat(path)
    mode, content = info.st_mode, None
    if stat.S_ISLNK(mode):
        content = os.readlink(path)
    elif stat.S_ISREG(mode):
        with open(path, "rb") as file:
            content = [info.st_size, hashlib.file_digest(file, "sha1").hexdigest()]
    found[name] = [mode, info.st_mtime_ns, info.st_nlink, content]
    if stat.S_ISDIR(mode):
        for child in sorted(os.listdir(path)):
            look(f"{path}/{child}", f"{name}/{child}")
look(sys.argv[1], "")
print(json.dumps(found))
"""

# Publishes a tree as repositories, and damages each in its way.
DAMAGE = """
import shutil, sys, zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from localcloud.cvmfs import letters, publisher
from localcloud.cvmfs.keys import Keys
from localcloud.cvmfs.letters import Manifest
from localcloud.cvmfs.repository import Repository

folder, others, tree = map(Path, sys.argv[1:])
now = datetime.now(UTC)
others.mkdir(mode=0o700)

def publish(name, where=folder):
    repository = Repository.of(where, f"{name}.example.org")
    publisher.publish(repository, tree, 60, now)
    return repository

def object_of(repository, content):
    (found,) = (path for path in repository.root.glob("data/*/*") if path.read_bytes() == zlib.compress(content))
    return found

repository = publish("edited")
repository.manifest.write_bytes(repository.manifest.read_bytes().replace(b"\\nS1\\n", b"\\nS9\\n"))
repository = publish("expired")
repository.whitelist.unlink()
letters.renew(repository, Keys.of(repository), now - letters.LIFETIME - timedelta(days=1))
for name in ("stranger", "foreign"):
    repository, other = publish(name), publish(name, others)
    for path in other.root.rglob("*"):
        if path.is_file() and (path != other.whitelist or name == "stranger"):
            target = repository.root / path.relative_to(other.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
repository = publish("catalog")
root = Manifest.read(repository).catalog
(repository.root / "data" / root[:2] / f"{root[2:]}C").write_bytes(zlib.compress(b"another"))
object_of(publish("replaced"), b"good").write_bytes(zlib.compress(b"evil"))
path = object_of(publish("truncated"), b"good")
path.write_bytes(path.read_bytes()[:5])
repository = publish("mirrored")
shutil.copytree(repository.root, repository.root.with_name(f"copy.{repository.fqrn}"))
object_of(repository, b"good").write_bytes(zlib.compress(b"evil"))
"""


def client(name: str, repositories: str, address: str, servers: str, quota_mb: int) -> str:
    """Returns a client for each node, with a cache of its own."""
    return f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: client
          image: {image("cvmfs")}
          securityContext: {{privileged: true}}
          env:
            - {{name: CVMFS_REPOSITORIES, value: "{repositories}"}}
            - {{name: CVMFS_SERVER_URL, value: "{servers}"}}
            - {{name: CVMFS_HTTP_PROXY, value: "http://{address}:3128;DIRECT"}}
            - {{name: CVMFS_QUOTA_LIMIT, value: "{quota_mb}"}}
          volumeMounts:
            - {{name: cvmfs, mountPath: /cvmfs, mountPropagation: Bidirectional}}
            - {{name: cache, mountPath: /var/lib/cvmfs}}
            - {{name: keys, mountPath: /etc/cvmfs/keys}}
      volumes:
        - name: cvmfs
          hostPath: {{path: /cvmfs, type: DirectoryOrCreate}}
        - name: cache
          hostPath: {{path: /var/lib/{name}, type: DirectoryOrCreate}}
        - name: keys
          configMap: {{name: {name}}}
"""


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    template = ("--cluster-template", "kubernetes", "--keypair", "astro", "--node-count", "1")
    run = box.openstack("coe", "cluster", "create", *template, "first")
    assert run.returncode == 0, run.stderr
    box.wait_for_cluster("first", "CREATE_COMPLETE")
    apply(box, READER)
    kubectl(box, "wait", "--for=condition=Ready", "pod/reader", "--timeout=120s")
    return box


@pytest.fixture(scope="module")
def tree(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that is published, and mounted by a client that began after its reader."""
    tree = tmp_path_factory.mktemp("tree")
    for nested in ("python", "python/site"):
        (tree / nested).mkdir()
        (tree / nested / ".cvmfscatalog").touch()
    for number in range(5_000):
        path = tree / "python" / "site" / f"{number % 50}" / f"{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"number = {number}\n")
    (tree / "chunked.fits").write_bytes(os.urandom(20_000_000))
    (tree / "empty").touch()
    (tree / "étoile").write_text("Véga")
    (tree / "link").symlink_to("python/site/1/1.py")
    (tree / "private").write_text("to its owner, and in a repository to everybody")
    (tree / "private").chmod(0o600)
    os.utime(tree / "private", ns=(1, 1_234_567_890_123_456_789))
    publish(box, tree)
    start_client(box, "client", [FQRN])
    return tree


def publish(box: Box, tree: Path, fqrn: str = FQRN) -> None:
    run = box.localcloud("cvmfs", "publish", fqrn, str(tree), "--ttl", str(TTL_S))
    assert run.returncode == 0, run.stderr


def apply(box: Box, manifest: str) -> None:
    kubectl(box, "apply", "--filename=-", stdin=manifest)


def kubectl(box: Box, *arguments: str, stdin: str | None = None) -> str:
    """Returns what kubectl prints, which must succeed."""
    run = box.kubectl("first", *arguments, stdin=stdin)
    assert run.returncode == 0, run.stderr
    return run.stdout


def start_client(
    box: Box, name: str, repositories: list[str], paths: Sequence[str] = ("@fqrn@",), quota_mb: int = 4000
) -> None:
    """Starts a client, which trusts the master keys of its repositories, and finds them under paths of the stratum."""
    keys = [f"--from-file={box.home}/cvmfs/keys/{fqrn}.pub" for fqrn in repositories]
    kubectl(box, "create", "configmap", name, *keys)
    address = f"{box.network.removesuffix('0/16')}2"
    servers = ";".join(f"http://{address}:8000/cvmfs/{path}" for path in paths)
    apply(box, client(name, ",".join(repositories), address, servers, quota_mb))


def read(box: Box, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as the reader."""
    return box.kubectl("first", "exec", "reader", "--", *command)


def look(box: Box) -> Any:
    """Returns what the reader sees of the repository."""
    run = read(box, "python3", "-c", LOOK, f"/cvmfs/{FQRN}")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def source(tree: Path) -> Any:
    """Returns what it should see."""
    return json.loads(subprocess.run([sys.executable, "-c", LOOK, str(tree)], capture_output=True, check=True).stdout)


def cat(box: Box, path: str) -> subprocess.CompletedProcess[str]:
    """Reads a file of the repository."""
    return read(box, "cat", f"/cvmfs/{FQRN}/{path}")


def log(box: Box, name: str) -> str:
    """Returns the log of a client."""
    return kubectl(box, "logs", f"daemonset/{name}", "--tail=-1")


@contextmanager
def silent_stratum(box: Box) -> Iterator[None]:
    """Lets the stratum take connections, and answer none."""
    (process,) = in_box(box, "localcloud.cvmfs.stratum")
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_eight_readers_at_once_see_what_was_published(box: Box, tree: Path) -> None:
    until(lambda: read(box, "ls", f"/cvmfs/{FQRN}"), lambda run: "étoile" in run.stdout)
    assert read(box, "id", "-u").stdout == "185\n"
    # Nobody has read anything yet.
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: look(box), range(8)))
    assert all(found == source(tree) for found in seen)
    requests = box.localcloud("logs", "proxy", "--lines", "10000").stdout
    assert f"{FQRN}/data/" in requests
    assert "Read-only file system" in read(box, "touch", f"/cvmfs/{FQRN}/new").stderr


def test_a_new_revision_comes_by_itself(box: Box, tree: Path) -> None:
    (tree / "étoile").write_text("Deneb, which is longer")
    (tree / "new").write_text("new")
    (tree / "empty").unlink()
    (tree / "link").unlink()
    (tree / "link").mkdir()
    shutil.rmtree(tree / "python" / "site")
    with (tree / "chunked.fits").open("r+b") as file:
        file.seek(10_000_000)
        file.write(b"changed")
    publish(box, tree)
    ask = ("sh", "-c", f"cat /cvmfs/{FQRN}/étoile /cvmfs/{FQRN}/new")
    # The proxy keeps a manifest for five seconds, and the client its revision for as long as its TTL.
    until(lambda: read(box, *ask), lambda run: run.stdout == "Deneb, which is longernew", timeout_s=5 + TTL_S + 5)
    assert look(box) == source(tree)


@pytest.fixture(scope="module")
def damaged(box: Box, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Damaged repositories, and a client of all of them; returns its name."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "tree").mkdir()
    (folder / "tree" / "file").write_bytes(b"good")
    (folder / "tree" / "other").write_bytes(b"another one")
    python = str(LOCALCLOUD_BIN / "python")
    run = box.run(python, "-c", DAMAGE, str(box.home / "cvmfs"), str(folder / "others"), str(folder / "tree"))
    assert run.returncode == 0, run.stderr
    repositories = [f"{name}.example.org" for name in (*REFUSED, *UNREADABLE, "mirrored")]
    start_client(box, "damaged", repositories, ("@fqrn@", "copy.@fqrn@"))
    return "damaged"


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_trusted_is_not_mounted(box: Box, damaged: str, way: str) -> None:
    line = re.compile(rf"^{way}\.example\.org: .*{re.escape(REFUSED[way])}", re.MULTILINE)
    until(lambda: box.kubectl("first", "logs", f"daemonset/{damaged}"), lambda run: bool(line.search(run.stdout)))
    assert read(box, "ls", "-A", f"/cvmfs/{way}.example.org").stdout == ""
    assert f"{way}.example.org: revision" not in log(box, damaged)


@pytest.mark.parametrize("way", UNREADABLE)
def test_what_is_corrupt_is_not_read(box: Box, damaged: str, way: str) -> None:
    folder = f"/cvmfs/{way}.example.org"
    until(lambda: read(box, "cat", f"{folder}/other"), lambda run: run.stdout == "another one")
    run = read(box, "cat", f"{folder}/file")
    assert (run.stdout, "Input/output error" in run.stderr) == ("", True)
    assert re.search(rf"^{way}\.example\.org: .*corrupt object", log(box, damaged), re.MULTILINE)


def test_what_another_server_has_right_is_read(box: Box, damaged: str) -> None:
    folder = "/cvmfs/mirrored.example.org"
    until(lambda: read(box, "cat", f"{folder}/other"), lambda run: run.stdout == "another one")
    assert read(box, "cat", f"{folder}/file").stdout == "good"
    assert re.search(r"^mirrored\.example\.org: .*corrupt object", log(box, damaged), re.MULTILINE)


def test_a_damaged_cache_is_noticed(box: Box, tree: Path) -> None:
    before = log(box, "client").count("is lost, and fetched again")
    damage = "for file in $(find /var/lib/cvmfs/*/data -type f -size +0); do printf x | dd of=$file conv=notrunc; done"
    # Without the processes that mount, what the kernel has read is gone, too.
    kubectl(box, "exec", "daemonset/client", "--", "sh", "-c", f"{damage}; kill -9 -1; true")
    expected = source(tree)
    until(lambda: cat(box, "new"), lambda run: run.stdout == "new")
    assert look(box) == expected
    assert log(box, "client").count("is lost, and fetched again") > before


def test_readers_outlive_their_client(box: Box, tree: Path) -> None:
    kubectl(box, "delete", "pod", "--selector=app=client", "--force", "--grace-period=0")
    until(lambda: cat(box, "new"), lambda run: run.stdout == "new")
    kubectl(box, "delete", "pod", "--selector=app=client")
    until(lambda: cat(box, "new"), lambda run: run.stdout == "new")
    assert look(box) == source(tree)


def test_what_was_read_is_read_without_a_server(box: Box, tree: Path) -> None:
    (tree / "unread").write_text("unread")
    publish(box, tree)
    until(lambda: read(box, "ls", f"/cvmfs/{FQRN}"), lambda run: "unread" in run.stdout, timeout_s=5 + TTL_S + 5)
    with silent_stratum(box):
        assert cat(box, "new").stdout == "new"
        assert "Input/output error" in cat(box, "unread").stderr
        kubectl(box, "delete", "pod", "--selector=app=client", "--force", "--grace-period=0")
        until(lambda: cat(box, "new"), lambda run: run.stdout == "new")
        assert "Input/output error" in cat(box, "unread").stderr
    until(lambda: cat(box, "unread"), lambda run: run.stdout == "unread")
    assert look(box) == source(tree)


def kept(box: Box, name: str) -> subprocess.CompletedProcess[str]:
    """Prints a dot for each object in the cache of a client, but for catalogs and certificates, whose names say it."""
    folder = f"/var/lib/cvmfs/{name}.example.org/data"
    files = ("find", folder, "-type", "f", "-not", "-name", "*[CX].*", "-printf", ".")
    return box.kubectl("first", "exec", f"daemonset/{name}", "--", *files)


def test_who_waits_for_a_file_soon_has_others_of_its_folder(box: Box, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_text(f"{number}\n")
    (tmp_path / "large").write_bytes(os.urandom(1_000_000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("in another folder")
    publish(box, tmp_path, "ahead.example.org")
    start_client(box, "ahead", ["ahead.example.org"])
    folder = "/cvmfs/ahead.example.org"
    until(lambda: read(box, "cat", f"{folder}/7"), lambda run: run.stdout == "7\n")
    until(lambda: kept(box, "ahead"), lambda run: run.stdout == 20 * ".")
    with silent_stratum(box):
        assert read(box, "sh", "-c", f"cd {folder} && cat $(seq 0 19)").stdout.split() == [str(n) for n in range(20)]
        for name in ("large", "folder/file"):
            assert "Input/output error" in read(box, "cat", f"{folder}/{name}").stderr


def test_who_loads_a_shared_object_or_reads_on_soon_has_what_comes_next(box: Box, tmp_path: Path) -> None:
    (tmp_path / "first.so").write_text("first")
    for name in ("second.so.1", "large"):
        (tmp_path / name).write_bytes(os.urandom(1_000_000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "chunked").write_bytes(os.urandom(33_000_000))
    publish(box, tmp_path, "next.example.org")
    start_client(box, "next", ["next.example.org"])
    folder = "/cvmfs/next.example.org"

    def block(chunk: int) -> str:
        """Returns how much can be read at the beginning of a chunk of 8 MB."""
        at = f"dd if={folder}/folder/chunked bs=4096 count=1 skip={2048 * chunk}"
        return read(box, "sh", "-c", f"{at} status=none | wc -c").stdout

    until(lambda: read(box, "cat", f"{folder}/first.so"), lambda run: run.stdout == "first")
    until(lambda: kept(box, "next"), lambda run: run.stdout == 2 * ".")
    assert (block(0), block(1)) == ("4096\n", "4096\n")
    until(lambda: kept(box, "next"), lambda run: run.stdout == 5 * ".")
    with silent_stratum(box):
        assert read(box, "sha1sum", f"{folder}/second.so.1").returncode == 0
        assert "Input/output error" in read(box, "cat", f"{folder}/large").stderr
        assert (block(2), block(3)) == ("4096\n", "0\n")


def test_a_cache_keeps_its_quota(box: Box, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / str(number)).write_bytes(os.urandom(5_000_000))
    publish(box, tmp_path, "large.example.org")
    start_client(box, "small", ["large.example.org"], quota_mb=20)
    until(lambda: read(box, "ls", "/cvmfs/large.example.org"), lambda run: "11" in run.stdout.split())
    sums = read(box, "sh", "-c", "cd /cvmfs/large.example.org && sha1sum *").stdout.split()
    assert {name: found for found, name in zip(sums[::2], sums[1::2], strict=True)} == {
        path.name: hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324  no secret
        for path in tmp_path.iterdir()
    }
    kept = "find /var/lib/cvmfs -type f -printf '%s\\n' | awk '{ sum += $1 } END { print sum }'"
    size = int(kubectl(box, "exec", "daemonset/small", "--", "sh", "-c", kept))
    assert 5_000_000 <= size <= 20 * 2**20  # a megabyte, as the official client counts


def test_a_client_that_ends_unmounts(box: Box, tree: Path) -> None:  # noqa: ARG001  the client is its
    kubectl(box, "delete", "daemonset", "client", "--cascade=foreground")
    assert read(box, "ls", "-A", f"/cvmfs/{FQRN}").stdout == ""
    assert FQRN not in read(box, "cat", "/proc/mounts").stdout
