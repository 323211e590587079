import subprocess
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from werkzeug.test import Client

from localcloud.cvmfs import proxy
from localcloud.cvmfs.publisher import publish
from localcloud.cvmfs.repository import Repository
from localcloud.cvmfs.stratum import Stratum
from localcloud.network import Addresses


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository.of(tmp_path / "cvmfs", "sw.example.org")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content")
    publish(repository, tmp_path / "tree", 60, datetime.now(UTC))
    return repository


@pytest.fixture
def client(repository: Repository) -> Client:
    return Client(Stratum(repository.folder / "www"))


def test_letters_and_objects_are_served_as_they_are(repository: Repository, client: Client) -> None:
    files = [path for path in repository.root.rglob("*") if path.is_file()]
    assert len(files) == 6  # the file, the catalog, certificate and history, manifest and whitelist
    for path in files:
        answer = client.get(f"/{path.relative_to(repository.folder / 'www')}")
        assert (answer.status_code, answer.data) == (200, path.read_bytes())
        letter = path.parent == repository.root
        assert answer.content_type == ("application/x-cvmfs" if letter else "application/octet-stream")
        assert answer.cache_control.max_age == (5 if letter else 259200)
        assert answer.last_modified is None


def test_who_has_a_letter_is_told_whether_it_was_replaced(repository: Repository, client: Client) -> None:
    url = f"{repository.path}/.cvmfspublished"
    known = {"If-None-Match": client.get(url).headers["ETag"]}
    assert client.get(url, headers=known).status_code == 304
    repository.manifest.write_text("another")
    assert client.get(url, headers=known).data == b"another"
    assert client.get(url, headers={"Range": "bytes=1-2"}).data == b"no"


def test_nothing_else_is_served(repository: Repository, client: Client) -> None:
    others = ["/", "/cvmfs", repository.path, f"{repository.path}/data", f"{repository.path}/data/00/{'0' * 38}"]
    others += ["/cvmfs/../../keys/sw.example.org.key", "/cvmfs/other.example.org/.cvmfspublished"]
    others += [f"{repository.path}/.cvmfspublished%0A", f"{repository.path}/%00", f"{repository.path}/%FF"]
    assert {path: client.get(path).status_code for path in others} == dict.fromkeys(others, 404)
    assert client.post(f"{repository.path}/.cvmfspublished").status_code == 405


def test_squid_understands_its_configuration(tmp_path: Path) -> None:
    text = proxy.configuration(Addresses(IPv4Network("10.70.0.0/16")))
    assert "acl stratum dst 10.70.0.2\n" in text
    (tmp_path / "squid.conf").write_text(text)
    command = ["squid", "-k", "parse", "-f", str(tmp_path / "squid.conf")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not any(word in run.stderr for word in ("ERROR", "WARNING", "FATAL")), run.stderr
