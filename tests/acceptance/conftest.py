"""What the files of acceptance tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accesses import BEN, MARIA, grant
from boxes import FQRN, Box


@pytest.fixture(scope="module")
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with a cloud that is up, for one file."""
    of = request.module.__name__.removeprefix("test_")
    box = Box(f"{of[0]}{os.getpid()}", tmp_path_factory.mktemp(of))  # a short name: a link's has few letters
    run = box.localcloud("up")
    assert run.returncode == 0, run.stderr
    yield box
    box.localcloud("destroy")


@pytest.fixture(scope="module")
def repository(box: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A repository as the role cvmfs knows one."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "hip").mkdir()
    (tree / "hip" / "main.csv").write_text("ra,dec")
    told = box.publish(FQRN, tree)
    return {"fqrn": FQRN, "urls": [told["url"]], "public_key": Path(told["public key"]).read_text()}


@pytest.fixture(scope="module")
def maria(box: Box) -> Path:
    """A user's access to cluster `one`."""
    return grant(box, MARIA)


@pytest.fixture(scope="module")
def ben(box: Box) -> Path:
    """Another user's."""
    return grant(box, BEN)
