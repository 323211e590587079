"""What CVMFS repositories promise: signed, served by a stratum with a proxy in front, kept by the box."""

import hashlib
import os
import re
import socket
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from boxes import LOCALCLOUD_BIN, Box, until

FQRN = "sw.example.org"
CONTENT = b"ra,dec\n" * 1000

# Puts a whitelist in place that was written 25 days ago.
AGE = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from localcloud.cvmfs import letters
from localcloud.cvmfs.keys import Keys
from localcloud.cvmfs.repository import Repository

repository = Repository(sys.argv[1], Path(sys.argv[2]))
repository.whitelist.unlink()
letters.renew(repository, Keys.of(repository), datetime.now(UTC) - timedelta(days=25))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "hip").mkdir()
    (tree / "hip" / ".cvmfscatalog").touch()
    (tree / "hip" / "main.csv").write_bytes(CONTENT)
    return tree


@pytest.fixture(scope="module")
def told(box: Box, tree: Path) -> dict[str, str]:
    """What the first publication told."""
    run = box.localcloud("cvmfs", "publish", FQRN, str(tree), "--ttl", "5")
    assert run.returncode == 0, run.stderr
    first, *rest = run.stdout.splitlines()
    assert first == f"{FQRN} is now at revision 1: 4 entries, {len(CONTENT)} bytes"
    return dict(re.split(r": +", line, maxsplit=1) for line in rest)


def get(box: Box, url: str, *options: str) -> bytes:
    """Returns what curl gets, which must be there."""
    target = box.folder / "got"
    run = box.run("curl", "--silent", "--show-error", "--fail", *options, "--output", str(target), url)
    assert run.returncode == 0, run.stderr
    return target.read_bytes()


def code(box: Box, url: str, *options: str) -> str:
    """Returns the status that curl is answered with."""
    command = ("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
    return box.run(*command, *options, url).stdout


def revision(letter: bytes) -> str:
    """Returns the number of the revision in a manifest."""
    return letter.partition(b"\n--\n")[0].decode().partition("\nS")[2].partition("\n")[0]


def object_url(told: dict[str, str]) -> str:
    """Returns the URL of the one file that has content."""
    name = hashlib.sha1(zlib.compress(CONTENT)).hexdigest()  # noqa: S324  the format's
    return f"{told['url']}/data/{name[:2]}/{name[2:]}"


def test_without_a_repository_there_are_no_options(box: Box) -> None:
    run = box.localcloud("cvmfs", "options")
    assert run.returncode == 1
    assert f"{box.name} has no repository. Make one: localcloud cvmfs publish" in run.stderr


def test_the_stratum_serves_what_was_published(box: Box, told: dict[str, str]) -> None:
    assert told["url"] == f"http://{box.network.removesuffix('0/16')}2:8000/cvmfs/{FQRN}"
    manifest = get(box, f"{told['url']}/.cvmfspublished")
    assert (revision(manifest), f"\nN{FQRN}\n".encode() in manifest) == ("1", True)
    assert f"\nN{FQRN}\n".encode() in get(box, f"{told['url']}/.cvmfswhitelist")
    assert zlib.decompress(get(box, object_url(told))) == CONTENT
    assert Path(told["public key"]).read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert code(box, f"{told['url']}/data/") == "404"


def test_the_proxy_asks_the_stratum_once_and_nobody_else(box: Box, told: dict[str, str]) -> None:
    through = ("--proxy", told["proxy"])
    assert revision(get(box, f"{told['url']}/.cvmfspublished", *through)) == "1"
    assert zlib.decompress(get(box, object_url(told), *through)) == CONTENT
    headers = get(box, object_url(told), *through, "--head").decode()
    assert "X-Cache: HIT" in headers
    address = told["url"].removeprefix("http://").partition(":")[0]
    for other in (f"http://{address}:5000/v3", "http://127.0.0.1:8000/cvmfs", told["proxy"].replace("3128", "3128/x")):
        assert code(box, other, *through) == "403"


def test_a_folder_that_is_the_same_is_no_revision(box: Box, told: dict[str, str], tree: Path) -> None:
    before = get(box, f"{told['url']}/.cvmfspublished")
    run = box.localcloud("cvmfs", "publish", FQRN, str(tree), "--ttl", "5")
    assert run.stdout.startswith(f"{FQRN} was and is at revision 1: 4 entries, ")
    assert "stored:     0 objects" in run.stdout
    assert get(box, f"{told['url']}/.cvmfspublished") == before


def test_a_new_revision_comes_through_the_proxy_in_seconds(box: Box, told: dict[str, str], tree: Path) -> None:
    (tree / "new").write_text("new")
    run = box.localcloud("cvmfs", "publish", FQRN, str(tree), "--ttl", "5")
    assert "is now at revision 2: 5 entries" in run.stdout, run.stderr
    # What follows the line of two hyphens is no text.
    ask = f"curl --silent --proxy {told['proxy']} {told['url']}/.cvmfspublished | sed -n '/^S/p; /^--$/q'"
    until(lambda: box.run("sh", "-c", ask), lambda run: run.stdout == "S2\n", timeout_s=15)


def test_status_and_logs_show_both(box: Box, told: dict[str, str]) -> None:
    lines = box.localcloud("status").stdout.splitlines()
    for service, url in (("stratum", told["url"].removesuffix(f"/{FQRN}")), ("proxy", told["proxy"])):
        (line,) = (line for line in lines if line.startswith(f"│ {service} "))
        assert url in line
        assert "RUNNING" in line
    assert FQRN in box.localcloud("logs", "proxy", "--lines", "1000").stdout


def test_repositories_survive_down_and_up_and_whitelists_are_renewed(
    box: Box, told: dict[str, str], tree: Path
) -> None:
    assert box.localcloud("down").returncode == 0
    (tree / "while-down").touch()
    run = box.localcloud("cvmfs", "publish", FQRN, str(tree))
    assert f"{box.name} is down: `localcloud up --name {box.name}` serves it." in run.stdout, run.stderr
    aged = box.run(str(LOCALCLOUD_BIN / "python"), "-c", AGE, FQRN, str(box.home / "cvmfs"))
    assert aged.returncode == 0, aged.stderr
    up = box.localcloud("up")
    assert up.returncode == 0, up.stderr
    assert revision(get(box, f"{told['url']}/.cvmfspublished")) == "3"
    assert zlib.decompress(get(box, object_url(told), "--proxy", told["proxy"])) == CONTENT
    until(lambda: box.localcloud("logs", "stratum"), lambda run: f"renewed the whitelist of {FQRN}" in run.stdout)
    whitelist = get(box, f"{told['url']}/.cvmfswhitelist").splitlines()
    expiry = datetime.strptime(whitelist[1].decode(), "E%Y%m%d%H%M%S").replace(tzinfo=UTC)
    assert expiry - datetime.now(UTC) > timedelta(days=29)


def test_what_cannot_be_published_is_told(box: Box, tmp_path: Path) -> None:
    def refusal(*arguments: str) -> str:
        run = box.localcloud("cvmfs", "publish", *arguments)
        assert (run.returncode, run.stdout) == (1, "")
        return run.stderr

    assert "A repository cannot be named 'sw'." in refusal("sw", str(tmp_path))
    assert "[/none] is not there. Name a folder to publish." in refusal("bad.example.org", str(tmp_path / "[/none]"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    assert "/socket (a socket)" in refusal("bad.example.org", str(tmp_path))
    assert list(box.home.glob("cvmfs/**/*bad.example.org*")) == []
    usage = box.localcloud("cvmfs", "publish", "bad.example.org", str(tmp_path), "--ttl", "0")
    assert usage.returncode == 2


def test_a_box_that_never_was_has_no_repositories(tmp_path: Path) -> None:
    box = Box(f"n{os.getpid()}", tmp_path)
    run = box.localcloud("cvmfs", "publish", FQRN, str(tmp_path))
    assert run.returncode == 1
    assert f"The cloud {box.name} was never started. Run `localcloud up --name {box.name}`." in run.stderr
    assert not box.home.exists()
