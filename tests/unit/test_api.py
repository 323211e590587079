"""What editors and notebooks see of the API, and what a cluster does as a context."""

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import astrok8s
from astrok8s.clusters import Cluster
from astrok8s.provisioning import offered_options

ROOT = Path(__file__).resolve().parents[2]
ONE = Cluster.from_magnum(
    {
        "name": "<b>one",
        "uuid": "1",
        "node_count": 2,
        "status": "CREATE_COMPLETE",
        "node_addresses": ["10.0.0.1", "10.0.0.2"],
        "created_at": "2026-01-01T00:00:00+00:00",
        "cluster_template_id": "2",
    },
    "nowhere",
)
METHODS = {
    "attach": "mode",
    "history": "timeout_s",
    "history_url": "timeout_s",
    "logs": "lines",
    "grant": "until",
    "revoke": "quiet",
    "grants": None,
    "life": None,
    "extend": "by",
    "resize": "size",
    "destroy": "quiet",
}


def test_the_types_of_options_are_those_of_the_roles() -> None:
    run = [sys.executable, str(ROOT / "scripts" / "role_options.py")]
    made = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    there = (ROOT / "astrok8s" / "_role_options.py").read_text()
    assert there == made, f"Write it anew: {' '.join(run)} >astrok8s/_role_options.py"


def test_a_notebook_completes_the_options_of_the_roles() -> None:
    parameters = inspect.signature(astrok8s.provision).parameters
    assert offered_options() <= parameters.keys()
    assert not [name for name, one in parameters.items() if one.kind is inspect.Parameter.VAR_KEYWORD]


@pytest.mark.parametrize(
    ("name", "by_place"),
    [
        ("provision", ["name"]),
        ("attach", ["cluster"]),
        ("get_cluster", ["name"]),
        ("list_clusters", []),
        ("check_options", ["given"]),
    ],
)
def test_arguments_have_names_but_for_the_first(name: str, by_place: list[str]) -> None:
    parameters = inspect.signature(getattr(astrok8s, name)).parameters.values()
    assert [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD] == by_place


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_signature_and_the_words_of_what_it_does(name: str) -> None:
    method = getattr(ONE, name)
    signature = inspect.signature(method)
    assert not {"cluster", "self"} & signature.parameters.keys()
    assert not [one for one in signature.parameters.values() if one.kind is inspect.Parameter.VAR_POSITIONAL]
    assert METHODS[name] is None or METHODS[name] in signature.parameters
    assert len(method.__doc__) > 80
    assert callable(getattr(Cluster, name))


def test_a_notebook_shows_a_cluster_and_what_it_is_named_is_no_html() -> None:
    shown = ONE._repr_html_()
    for words in ("cluster <b>&lt;b&gt;one</b>", "CREATE_COMPLETE", "10.0.0.1 10.0.0.2", "nowhere", "2026-01-01"):
        assert words in shown


def test_what_was_there_stays_after_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")
    with ONE as cluster:
        assert cluster is ONE
    made = replace(ONE, name="one", made=True)
    with pytest.raises(astrok8s.ProvisionError, match="The cloud nowhere is not declared"), made:
        pass  # it is destroyed, or would be


def test_who_has_made_it_is_no_part_of_a_cluster() -> None:
    made = replace(ONE, made=True)
    assert made == ONE
    assert repr(made) == repr(ONE)
