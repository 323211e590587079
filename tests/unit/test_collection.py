"""The collection's logic: names, quota arithmetic, states. Magnum itself answers in tests/e2e."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.astrok8s.magnum.plugins.action.options import unknown
from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import NAME, MagnumError, describe
from ansible_collections.astrok8s.magnum.plugins.module_utils.preflight import largest_size
from ansible_collections.astrok8s.magnum.plugins.modules.cluster import _complete, _gone

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("hyades", True), ("Hyades-2.b_c", True), ("9lives", False), ("", False), ("two words", False), ("-x", False)],
)
def test_names(name: str, allowed: bool) -> None:
    assert bool(re.match(NAME, name)) is allowed


def test_largest_size_is_what_the_scarcest_resource_allows() -> None:
    needs = {"instances": 101, "cores": 202, "MiB RAM": 413_696}
    per_worker = {"instances": 1, "cores": 2, "MiB RAM": 4096}
    left = {"instances": 64.0, "cores": 40.0, "MiB RAM": math.inf}
    fits = largest_size(100, needs, left, per_worker)
    assert fits == 19  # 20 machines of 2 cores, one of them the control plane
    assert needs["cores"] - (100 - fits) * 2 <= left["cores"] < needs["cores"] - (99 - fits) * 2


def test_largest_size_is_never_negative() -> None:
    assert largest_size(3, {"cores": 8}, {"cores": 0.0}, {"cores": 2}) == 0


def test_unknown_options_get_the_nearest_name() -> None:
    known = {"magnum_cluster": {"magnum_cluster_size", "magnum_cluster_name"}, "cloud": {"cloud_name"}}
    variables = {"magnum_cluster_sise": 3, "cloud_name": "local", "size": 3, "__magnum_cluster_admin": {}}
    assert unknown(variables, known) == ["no role has an option magnum_cluster_sise; did you mean magnum_cluster_size?"]


def test_states_of_a_wait() -> None:
    assert _complete({"name": "a", "status": "CREATE_COMPLETE"})
    assert not _complete({"name": "a", "status": "UPDATE_IN_PROGRESS"})
    with pytest.raises(MagnumError, match="no valid host"):
        _complete({"name": "a", "status": "CREATE_FAILED", "status_reason": "no valid host"})
    with pytest.raises(MagnumError, match="deleted"):
        _complete(None)
    assert _gone(None)
    assert not _gone({"name": "a", "status": "DELETE_IN_PROGRESS"})


def test_describe_prefers_faults() -> None:
    cluster = {"status": "CREATE_FAILED", "status_reason": "failed", "faults": {"default-worker": "quota exceeded"}}
    assert describe(cluster) == "its status is CREATE_FAILED (quota exceeded)"


@pytest.mark.parametrize(
    "module",
    [
        "cluster",
        "cluster_info",
        "cvmfs_nodes",
        "cvmfs_options",
        "kubeconfig",
        "preflight",
        "object_storage",
        "options",
    ],
)
def test_modules_document_themselves(module: str) -> None:
    command = [Path(sys.executable).parent / "ansible-doc", f"astrok8s.magnum.{module}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "EXAMPLES" in done.stdout
