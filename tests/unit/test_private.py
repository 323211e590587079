"""Folders that only their user reads."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from astrok8s import _private

HOLD = "from astrok8s import _private; held = _private.temporary(); print(held.__enter__(), flush=True); input()"


def make_old(folder: Path) -> None:
    os.utime(folder, (time.time() - 100,) * 2)


def test_the_folder_of_a_killed_process_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        held = Path(process.stdout.readline().strip())
        (held / "client.key").touch()
        make_old(held)
        with _private.temporary() as own:
            assert {*tmp_path.iterdir()} == {held, own}
        process.kill()
    with _private.temporary() as own:
        assert {*tmp_path.iterdir()} == {own}
    assert [*tmp_path.iterdir()] == []


def test_a_new_folder_may_not_be_locked_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (new := tmp_path / "astrok8s-held-new").mkdir()
    (other := tmp_path / "astrok8s-mine").mkdir()
    make_old(other)
    with _private.temporary():
        assert new.exists()
        assert other.exists()
