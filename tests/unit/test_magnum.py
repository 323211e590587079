"""What the collection works out by itself. Magnum answers in tests/e2e and tests/acceptance."""

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.astrok8s.magnum.plugins.action.options import mistaken, unknown
from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import (
    DEFAULT_SIZE,
    check_name,
    check_size,
    describe,
    size_of,
)
from ansible_collections.astrok8s.magnum.plugins.modules.cluster import check_fixed, complete, gone

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/astrok8s/magnum"
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))


@pytest.mark.parametrize("name", ["hyades", "Hyades-2.b_c", "h"])
def test_a_name_that_magnum_takes(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["9lives", "", "two words", "-x", "hyades\n"])
def test_a_name_that_magnum_refuses(name: str) -> None:
    with pytest.raises(MagnumError, match=r"cannot have the name .* Magnum wants a letter"):
        check_name(name)


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_is_none(size: int) -> None:
    with pytest.raises(MagnumError, match=rf"cannot have the size {size}\. Give at least 1 worker\."):
        check_size(size)


def test_a_size_that_is_left_out_is_the_one_that_is_there() -> None:
    check_size(None)
    assert size_of(None, {"node_count": 5}) == 5
    assert size_of(3, {"node_count": 5}) == 3
    assert size_of(None, None) == DEFAULT_SIZE
    for text in ("roles/magnum_cluster/meta/argument_specs.yml", "roles/magnum_cluster/defaults/main.yml"):
        told = " ".join((ROOT / text).read_text().replace("#", "").split())
        assert f"keeps its own, and a new one gets {DEFAULT_SIZE}." in told


def test_a_misspelt_option_gets_the_nearest_name_of_any_role() -> None:
    known = {"magnum_cluster": {"magnum_cluster_size", "magnum_cluster_name"}, "cloud": {"cloud_name"}}
    variables = ["magnum_cluster_sise", "cloud_name", "size", "__magnum_cluster_admin", "clouds"]
    assert unknown(variables, known) == ["There is no option magnum_cluster_sise. Did you mean magnum_cluster_size?"]


def test_a_slip_on_the_command_line_gets_what_was_meant() -> None:
    options = ["magnum_cluster_size", "cloud_name"]
    given = ["sise", "cloud", "name", "size", "cloud_name", "observatory", "cloudname"]
    assert mistaken(given, options) == [
        "There is no option cloud. Did you mean cloud_name?",
        "There is no option cloudname. Did you mean cloud_name?",
        "There is no option name. Did you mean magnum_cluster_name?",
        "There is no option sise. Did you mean size?",
    ]


def test_a_cluster_is_complete_when_magnum_says_so() -> None:
    assert complete({"name": "a", "status": "CREATE_COMPLETE"})
    assert not complete({"name": "a", "status": "UPDATE_IN_PROGRESS"})
    with pytest.raises(MagnumError, match=r"its status is CREATE_FAILED \(no valid host\)\."):
        complete({"name": "a", "status": "CREATE_FAILED", "status_reason": "no valid host"})
    with pytest.raises(MagnumError, match="was deleted while"):
        complete(None)


def test_a_cluster_is_gone_when_magnum_has_none() -> None:
    assert gone(None)
    assert not gone({"name": "a", "status": "DELETE_IN_PROGRESS"})
    with pytest.raises(MagnumError, match="could not delete cluster a"):
        gone({"name": "a", "status": "DELETE_FAILED"})


def test_faults_tell_more_than_the_reason() -> None:
    cluster = {"status": "CREATE_FAILED", "status_reason": "failed", "faults": {"default-worker": "quota exceeded"}}
    assert describe(cluster) == "its status is CREATE_FAILED (quota exceeded)"
    cluster["faults"] = {"default-master": None, "default-worker": None}  # node groups that know no reason
    assert describe(cluster) == "its status is CREATE_FAILED (failed)"


def test_what_magnum_cannot_change_is_compared() -> None:
    cluster = {"cluster_template_id": "t", "flavor_id": "small", "labels": {"a": "1"}}
    params = {"name": "h", "keypair": None, "flavor": "small", "master_flavor": None, "labels": {"a": 1}}
    check_fixed(params, cluster, {"uuid": "t"})
    with pytest.raises(MagnumError, match="has flavor_id small, and large is asked for"):
        check_fixed(params | {"flavor": "large"}, cluster, {"uuid": "t"})
    with pytest.raises(MagnumError, match="has label b None, and 2 is asked for"):
        check_fixed(params | {"labels": {"b": 2}}, cluster, {"uuid": "t"})
    with pytest.raises(MagnumError, match="has cluster_template_id t, and u is asked for"):
        check_fixed(params, cluster, {"uuid": "u"})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_itself(module: str) -> None:
    command = [str(Path(sys.executable).with_name("ansible-doc")), f"astrok8s.magnum.{module}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for part in ("OPTIONS", "EXAMPLES"):
        assert part in run.stdout


def test_the_read_me_names_every_module() -> None:
    table = (COLLECTION / "README.md").read_text()
    assert [module for module in MODULES if f"| `{module}` |" not in table] == []
