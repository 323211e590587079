"""Options against the roles' own argument specs, failures from recorded events, the playbook's environment."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import astrok8s
from astrok8s import _provision
from astrok8s._cluster import Cluster
from astrok8s._errors import AstroK8sError, OptionError, ProvisionError
from astrok8s._options import check_name, check_size, checked, role_options
from astrok8s._paths import ansible_root, collections_path
from astrok8s._runner import environment, error_from, run

EVENTS = json.loads((Path(__file__).parent / "events.json").read_text())
"""What ansible-runner gave for real failed runs."""


@pytest.mark.parametrize("size", [0, -1, "eight", "8", 2.0, True, None])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(OptionError, match="is not a number of worker nodes; give"):
        astrok8s.provision("x", size=size)
    assert check_size(8) == 8


@pytest.mark.parametrize("name", ["", "8stars", "a b", "a/b", "a,b", "é", "all", "clusters", "x" * 243, 5, None])
def test_a_name_that_magnum_or_the_inventory_refuses_is_refused(name):
    with pytest.raises(OptionError, match="choose another one"):
        astrok8s.provision(name)
    assert check_name("Hyades-2.b_c") == "Hyades-2.b_c"


@pytest.mark.parametrize(
    ("option", "near"),
    [
        ("spark_base_namespce", "spark_base_namespace"),
        ("spark_namespace", "spark_base_namespace"),
        ("flavor", "magnum_cluster_flavor"),
        ("siez", "size"),
        ("zzzzzz", "astrok8s options"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_one(option, near):
    with pytest.raises(OptionError, match=near):
        astrok8s.provision("x", **{option: "y"})


@pytest.mark.parametrize("option", [*_provision.RESERVED, "spark_base_state"])
def test_an_option_that_an_argument_sets_is_refused(option):
    with pytest.raises(OptionError, match=r"use |destroy"):
        astrok8s.provision("x", **{option: "y"})
    assert option in role_options(), "no role has it any more"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("magnum_cluster_timeout", "60"),
        ("magnum_cluster_timeout", True),
        ("magnum_cluster_labels", []),
        ("spark_base_image", 4),
    ],
)
def test_an_option_of_another_type_is_refused(option, value):
    with pytest.raises(OptionError, match=f"{option}=.* is of type {type(value).__name__}, not"):
        astrok8s.provision("x", **{option: value})


def test_lists_and_choices_are_checked():
    known = {
        "colours": {"type": "list", "elements": "str", "default": []},
        "way": {"type": "str", "choices": ["a", "b"]},
    }
    assert checked({"colours": ["red"], "way": "b"}, known, {}) == {"colours": ["red"], "way": "b"}
    with pytest.raises(OptionError, match=r"colours\[1\]=2"):
        checked({"colours": ["red", 2]}, known, {})
    with pytest.raises(OptionError, match="one of a, b"):
        checked({"way": "c"}, known, {})


def test_every_option_takes_its_own_default():
    known = role_options()
    defaults = {
        name: spec["default"] for name, spec in known.items() if "default" in spec and not name.endswith("_state")
    }
    defaults = {name: value for name, value in defaults.items() if name not in _provision.RESERVED}
    assert len(defaults) > 5
    assert checked(defaults, known, _provision.RESERVED) == defaults


@pytest.mark.parametrize("recorded", EVENTS, ids=lambda recorded: recorded["what"])
def test_a_failed_run_is_an_error_with_role_task_and_message(recorded):
    error = error_from(recorded["events"], recorded["output"])
    assert (error.role, error.task) == (recorded["role"], recorded["task"])
    assert recorded["says"] in error.message
    assert recorded["says"] in str(error)


def test_errors_survive_a_process_boundary():
    error = pickle.loads(pickle.dumps(ProvisionError("m", role="r", task="t", remedy="do", output="o")))
    assert str(error) == "r: t: m\ndo"
    assert error.output == "o"


def test_the_playbook_gets_no_secret(monkeypatch):
    monkeypatch.setenv("OS_PASSWORD", "secret")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/clouds.yaml")
    env = environment({**os.environ, "AWX_ISOLATED_DATA_DIR": "/x"}, "mark")
    assert "secret" not in env.values()
    assert env["OS_CLIENT_CONFIG_FILE"] == "/clouds.yaml"
    assert env["AWX_ISOLATED_DATA_DIR"] == "/x"
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_a_playbook_that_is_not_there_is_an_error_with_its_output():
    said: list[str] = []
    with pytest.raises(ProvisionError, match="could not be found"):
        run("nosuch.yml", "x", {}, said.append)
    assert said == []


def test_the_content_is_found():
    assert (ansible_root() / "site.yml").is_file()
    assert (collections_path() / "ansible_collections/astrok8s/magnum/plugins/modules/cluster.py").is_file()


def test_importing_is_quick_and_public_names_are_there():
    code = (
        "import astrok8s, sys; print(sorted({'openstack', 'kubernetes', 'pyspark', 'yaml', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(astrok8s, name) for name in astrok8s.__all__)
    assert set(astrok8s.__all__) == set(astrok8s._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'provison'"):
        _ = astrok8s.provison


def test_every_error_is_an_astrok8s_error():
    types = [getattr(astrok8s, name) for name in astrok8s.__all__ if isinstance(getattr(astrok8s, name), type)]
    errors = [kind for kind in types if issubclass(kind, Exception) and not issubclass(kind, Warning)]
    assert {error.__name__ for error in errors} == {
        "AstroK8sError", "AttachError", "CloudError", "ClusterNotFound", "HistoryError", "OptionError", "ProvisionError"
    }  # fmt: skip
    assert all(issubclass(error, AstroK8sError) for error in errors)


def test_a_cluster_is_shown_as_a_table_without_markup_of_others():
    cluster = Cluster.from_magnum(
        {"name": "<b>", "uuid": "u", "node_count": 2, "node_addresses": ["10.0.0.1"]}, "local"
    )
    assert "<b>&lt;b&gt;</b>" in cluster._repr_html_()
    assert (cluster.size, cluster.nodes, cluster.status) == (2, ("10.0.0.1",), "UNKNOWN")
