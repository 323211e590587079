"""Where the archive of the driver's classes is, and when it is made."""

import re
from pathlib import Path

import pytest

from astrok8s import _classes


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "spark.jar").write_bytes(b"jar")
    return folder


def option(jars: Path, java: str = "17") -> tuple[str, Path]:
    """Returns the option of Java that there is, and the file that it names."""
    found = re.match(r'"-XX:(\w+)=(.+?)"', _classes.options(jars, java))
    assert found
    return found[1], Path(found[2])


def test_it_is_made_until_it_is_whole(jars: Path) -> None:
    how, archive = option(jars)
    assert how == "ArchiveClassesAtExit"
    archive.write_bytes(bytes(10))  # Java writes the head last
    assert option(jars) == ("ArchiveClassesAtExit", archive)
    archive.write_bytes(b"head" + bytes(6))
    assert option(jars) == ("SharedArchiveFile", archive)


def test_another_java_and_other_jars_have_another(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {option(jars)[1], option(jars, "21")[1]}
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")
    found.add(option(jars)[1])
    (jars / "s3a.jar").touch()
    found.add(option(jars)[1])
    assert len(found) == 4


def test_it_goes_with_its_jars(jars: Path) -> None:
    _, archive = option(jars)
    archive.touch()
    option(jars.rename(jars.with_name("others")))
    assert not archive.exists()


def test_a_cache_that_cannot_be_written_costs_no_session(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(jars / "spark.jar"))
    assert _classes.options(jars, "17") == ""
