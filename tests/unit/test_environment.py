"""Packages for executors without a cluster: what is packed, what it is named by, how it arrives, what is refused."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pyarrow as pa
import pytest

import astrok8s
from astrok8s._cvmfs import Cvmfs
from astrok8s._environment import _install, check, pack, packages_of, properties
from astrok8s._errors import AttachError, OptionError
from astrok8s._storage import Storage

IMAGE = Path(__file__).parents[2] / "images/spark"
DOWN = Storage(
    "http://127.0.0.1:1", "r", "spark-u-1", credentials=b"aws_access_key_id = A\naws_secret_access_key = S\n"
)


@pytest.fixture(scope="module")
def program():
    """The program of the image that unpacks."""
    spec = importlib.util.spec_from_file_location("environment", IMAGE / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(folder: Path, name: str = "toy", version: str = "1", content: str = "answer = 42\n") -> Path:
    """Install a distribution into a folder, as pip leaves it."""
    files = {
        f"{name}/__init__.py": content,
        f"{name}/ünï/data.txt": "déjà\n" * 1000,
        f"{name}/tool": "#!/bin/sh\n",
        f"{name}/__pycache__/__init__.cpython-311.pyc": "made here",
        f"{name}.pth": "import nothing\n",
        "argparse.py": "raise ImportError('in front of the standard library')\n",
        f"../bin/{name}": f"#!{folder}/python\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    lines = []
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{file},sha256={hashed},{len(text.encode())}\n")
    (folder / f"{name}/tool").chmod(0o755)
    record = f"{name}-{version}.dist-info/RECORD"
    (folder / record).write_text("".join(lines) + f"{record},,\n")
    return folder


def found(*folders: Path):
    return packages_of(distributions(path=[str(folder) for folder in folders]))


def packed(folder: Path, to: Path) -> bytes:
    pack(found(folder), to)
    return to.read_bytes()


def test_what_is_packed_arrives(program, tmp_path):
    packed(install(tmp_path / "site"), tmp_path / "a.tar.zst")
    there = tmp_path / "there"
    with pa.OSFile(str(tmp_path / "a.tar.zst")) as stream:
        assert program.unpack(stream, there) == 4
    files = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    # no script, nothing compiled, nothing that would come before the standard library
    assert files == {"toy/__init__.py", "toy/ünï/data.txt", "toy/tool", "toy-1.dist-info/METADATA"}
    assert (there / "toy/ünï/data.txt").read_text() == "déjà\n" * 1000
    assert os.access(there / "toy/tool", os.X_OK)
    code = "import argparse, toy, importlib.metadata as m; print(toy.answer, m.version('toy'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(there)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "42 1\n"


def test_the_same_packages_are_the_same_archive(tmp_path):
    one, other = install(tmp_path / "one"), install(tmp_path / "other/lib")
    os.utime(other / "toy/__init__.py", (1, 1))
    record = other / "toy-1.dist-info/RECORD"
    record.write_text("".join(reversed(record.read_text().splitlines(keepends=True))))
    (other / "toy/__init__.py").chmod(0o600)
    assert packed(one, tmp_path / "1") == packed(other, tmp_path / "2")
    assert found(one).digest == found(other).digest


@pytest.mark.parametrize("change", [{"version": "2"}, {"name": "game"}, {"content": "answer = 43\n"}])
def test_other_packages_have_another_name(tmp_path, change):
    assert found(install(tmp_path / "one")).digest != found(install(tmp_path / "other", **change)).digest


def test_what_is_edited_or_removed_in_place_has_another_name(tmp_path):
    site = install(tmp_path / "site")
    names = [found(site).digest]
    (site / "toy/__init__.py").write_text("answer = 'edited'\n")
    names.append(found(site).digest)
    (site / "toy/__init__.py").unlink()
    names.append(found(site).digest)
    assert len(set(names)) == 3


def test_of_two_with_one_name_the_first_is_packed(tmp_path):
    first, second = install(tmp_path / "1", version="2"), install(tmp_path / "2", version="1")
    packages = found(first, second)
    assert packages.names == ("toy",)
    assert {path.is_relative_to(first) for path in packages.files.values()} == {True}


def test_a_package_that_does_not_record_its_files_is_told(tmp_path):
    site = install(tmp_path / "site")
    (site / "toy-1.dist-info/RECORD").unlink()
    install(site, "other")
    assert (found(site).names, found(site).missing) == (("other",), ("toy",))


def test_this_python_without_what_executors_have():
    packages = packages_of(distributions())
    assert {"numpy", "pandas", "astrok8s"} <= set(packages.names)
    assert not {"pyspark", "py4j", "ansible", "ansible-core", "pip"} & set(packages.names)
    assert not {name.split("/")[0] for name in packages.files} & {"pyspark", "ansible", "ansible_collections", "pip"}
    # installed as editable
    assert packages.files["astrok8s/_environment.py"].samefile(Path(astrok8s.__file__).with_name("_environment.py"))


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with one wheel, the only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "toy-1.dist-info"
    with zipfile.ZipFile(folder / "toy-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntoy = toy:main\n")
        wheel.writestr(f"{info}/RECORD", f"toy.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_installs_what_a_file_asks_for(wheels, tmp_path):
    (tmp_path / "requirements.txt").write_text("toy  # a game\n")
    _install(tmp_path / "requirements.txt", str(tmp_path / "site"))
    packages = found(tmp_path / "site")
    assert packages.names == ("toy",)
    assert {"toy.py", "toy-1.dist-info/METADATA"} <= set(packages.files)
    assert not [name for name in packages.files if not name.startswith("toy")]


def test_what_pip_cannot_find_is_told_in_its_words(wheels, tmp_path):
    (tmp_path / "requirements.txt").write_text("toy==2\n")
    with pytest.raises(AttachError, match=r"(?s)requirements\.txt.*No matching distribution found for toy==2.*Correct"):
        _install(tmp_path / "requirements.txt", str(tmp_path / "site"))


@pytest.mark.parametrize("environment", ["", "There", "/nowhere/requirements.txt", "/", 7, True, ["numpy"], b"here"])
def test_what_is_no_environment_is_refused_first(environment):
    with pytest.raises(OptionError, match=r"environment=.*give 'here', the path of a requirements file, .*, or None"):
        astrok8s.attach("x", environment=environment)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="cannot be read as a requirements file"):
        check(tmp_path / "requirements.txt")


@pytest.mark.parametrize(
    "line",
    [
        "-r base.txt",
        "--requirement=base.txt",
        "-c limits.txt",
        "-e .",
        "./mine",
        "/srv/mine",
        "src/mine",
        "mine @ file:///srv/mine",
        "-f wheels",
        "--find-links /srv/wheels",
    ],
)
def test_a_file_that_means_another_one_is_refused(tmp_path, line):
    (tmp_path / "requirements.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(OptionError, match=r"line 2 of .*requirements\.txt"):
        check(str(tmp_path / "requirements.txt"))


def test_files_as_people_write_them_are_taken(tmp_path):
    text = """\
# for the night / the morning
--index-url https://packages.example.org/simple
-i https://packages.example.org/simple
astropy==8.0.2 \\
    --hash=sha256:0123
healpy>=1.18,<2 ; python_version >= "3.11"  # maps of the sky, see ./README
photutils[all] @ https://example.org/photutils-2.0.tar.gz
mine @ git+https://example.org/mine.git@main
"""
    (tmp_path / "requirements.txt").write_text(text)
    check(str(tmp_path / "requirements.txt"))
    check("here")
    check(None)


def test_without_object_storage_there_is_no_way(tmp_path):
    with pytest.raises(AttachError, match="spark_storage_endpoint"):
        properties("here", Storage(), Cvmfs(), print)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    for environment in ("here", tmp_path / "requirements.txt"):
        with pytest.raises(AttachError, match=r"spark-u-1 at http://127\.0\.0\.1:1: it does not answer"):
            properties(environment, DOWN, Cvmfs(), print)


def test_who_asks_for_none_needs_no_storage():
    assert properties(None, Storage(), Cvmfs(), print) == {}


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped", "link"])
def test_nothing_is_unpacked_beside_the_folder(program, tmp_path, name):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member, io.BytesIO())
    with pytest.raises(ValueError, match="no file below its folder"):
        program.unpack(pa.BufferReader(pa.compress(raw.getvalue(), "zstd", asbytes=True)), tmp_path / "there")
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize(
    ("more", "says"),
    [({"AWS_ENDPOINT_URL": DOWN.endpoint, "AWS_REGION": "r"}, "See whether object storage is up"), ({}, "is not set")],
)
def test_a_pod_without_its_packages_does_not_start(tmp_path, more, says):
    """The image's entrypoint ends, and says why."""
    environment = {
        "ASTROK8S_ENVIRONMENT": "spark-u-1/environments/x.tar.zst",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SPARK_HOME": str(tmp_path),
        "PYTHONPATH": "",
        **more,
    }
    command = [IMAGE / "entrypoint.sh", "echo", "started"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "spark-u-1/environments/x.tar.zst" in done.stderr
    assert says in done.stderr
