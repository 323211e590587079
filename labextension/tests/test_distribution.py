"""What is installed: by set-up beside astrok8s, and by a wheel anywhere."""

import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def test_jupyterlab_lists_the_panel_as_enabled() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "jupyter", "labextension", "list"], capture_output=True, text=True, check=True
    )
    (line,) = [line for line in (run.stdout + run.stderr).splitlines() if "jupyterlab-astrok8s" in line]
    assert "enabled" in line
    assert "OK" in line


def test_a_wheel_carries_what_was_built_once_and_needs_no_node(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=HERE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("jupyterlab_astrok8s-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    (entry,) = [name for name in names if "/remoteEntry." in name]
    assert "/data/share/jupyter/labextensions/jupyterlab-astrok8s/static/" in entry
    assert [name for name in names if name.endswith(("openapi.yaml", "jupyterlab_astrok8s.json", "install.json"))]
    assert [name for name in names if name.endswith("/schemas/jupyterlab-astrok8s/attach.json")]  # places the button
    assert not [name for name in names if name.endswith((".ts", ".tsx"))]
