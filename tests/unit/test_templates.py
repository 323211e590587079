"""What several roles say of executors' pods is one template."""

import json
from pathlib import Path

import pytest
from ansible_collections.astrok8s.magnum.plugins.module_utils.templates import merged, pod

from astrok8s._client import _template
from astrok8s.errors import OptionError

FILE = "spark.kubernetes.executor.podTemplateFile"
NETWORK = {"spec": {"hostNetwork": True}}
VOLUME = {"spec": {"volumes": [{"name": "cvmfs"}], "containers": [{"name": "executor"}]}}


def test_each_adds_to_the_others() -> None:
    another = {"spec": {"volumes": [{"name": "scratch"}], "hostNetwork": False}}
    assert merged([NETWORK, VOLUME, another]) == {
        "spec": {
            "hostNetwork": False,
            "volumes": [{"name": "cvmfs"}, {"name": "scratch"}],
            "containers": [{"name": "executor"}],
        }
    }
    assert NETWORK == {"spec": {"hostNetwork": True}}


def test_entries_of_one_name_are_one() -> None:
    secure = {"spec": {"containers": [{"name": "executor", "securityContext": {"privileged": False}}]}}
    beside = {"spec": {"containers": [{"name": "other"}]}}
    assert merged([VOLUME, secure, beside])["spec"]["containers"] == [
        {"name": "executor", "securityContext": {"privileged": False}},
        {"name": "other"},
    ]


def test_the_users_own_template_is_added(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("spec: {nodeSelector: {fast: 'yes'}}")
    told = _template({FILE: f"file:{own}"}, {"executor.json": json.dumps(NETWORK)})
    assert json.loads(Path(told[FILE]).read_text()) == pod([NETWORK, {"spec": {"nodeSelector": {"fast": "yes"}}}])


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read as YAML"), ("- a", "holds no template"), ("{", "cannot be read")]
)
def test_what_is_no_template_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    own = tmp_path / "mine.yaml"
    if text:
        own.write_text(text)
    with pytest.raises(OptionError, match=message):
        _template({FILE: str(own)})


def test_executors_get_the_template_that_the_cluster_has() -> None:
    assert _template({}, {}, {"session.conf": "spark.decommission.enabled true"}) == {}
    told = _template({}, {"executor.json": json.dumps(NETWORK)}, {"executor.json": json.dumps(VOLUME)})
    assert json.loads(Path(told[FILE]).read_text()) == pod([NETWORK, VOLUME])
