"""A Jupyter server with the extension, and a clouds.yaml whose cloud does not answer."""

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest_plugins = ["pytest_jupyter.jupyter_server"]


@pytest.fixture
def operations_dir(tmp_path: Path) -> Path:
    return tmp_path / "operations"


@pytest.fixture
def accesses_dir(tmp_path: Path) -> Path:
    return tmp_path / "accesses"


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's credential is kept."""
    path = tmp_path / "openstack" / "secure.yaml"
    path.parent.mkdir()
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(path))
    return path


@pytest.fixture
def jp_server_config(
    operations_dir: Path, accesses_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "p"}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"far": {"auth": auth}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    return {
        "ServerApp": {"jpserver_extensions": {"jupyterlab_astrok8s": True}},
        "AstroK8sExtension": {"cloud": "far", "operations_dir": str(operations_dir), "accesses_dir": str(accesses_dir)},
    }
