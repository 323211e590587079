import re
import tomllib
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[2] / "images"


def test_the_client_of_cvmfs_has_the_version_of_its_image() -> None:
    containerfile = (IMAGES / "cvmfs" / "Containerfile").read_text()
    crate = tomllib.loads((IMAGES / "cvmfs" / "Cargo.toml").read_text())
    assert re.findall(r"^ARG CVMFS_VERSION=(.+)$", containerfile, re.MULTILINE) == [crate["package"]["version"]]
