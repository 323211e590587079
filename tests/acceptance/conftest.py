"""What the files of acceptance tests share."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accesses import BEN, MARIA, grant
from boxes import FQRN, Box
from browser import open_page
from jupyter import Jupyter
from playwright.sync_api import Page

NOTIFICATION = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"


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


@pytest.fixture(scope="module")
def jupyter(box: Box, request: pytest.FixtureRequest) -> Iterator[Jupyter]:
    """A Jupyter server for one file, which may name a BASE for it."""
    # Else JupyterLab asks the user about news, and the network about updates.
    settings = box.folder / "jupyter" / "settings" / NOTIFICATION
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    jupyter = Jupyter(box, getattr(request.module, "BASE", ""))
    jupyter.start()
    yield jupyter
    jupyter.stop()


@pytest.fixture
def page(jupyter: Jupyter) -> Iterator[Page]:
    """A page of JupyterLab with nothing open."""
    with open_page(jupyter) as page:
        yield page
