"""What several roles say of executors' pods is one template."""

import json
from pathlib import Path

from ansible_collections.astrok8s.magnum.plugins.module_utils.templates import merged, pod

from astrok8s._client import _template

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


def test_executors_get_the_template_that_the_cluster_has() -> None:
    assert _template({}, {"session.conf": "spark.decommission.enabled true"}) == {}
    told = _template({"executor.json": json.dumps(NETWORK)}, {"executor.json": json.dumps(VOLUME)})
    assert json.loads(Path(told[FILE]).read_text()) == pod([NETWORK, VOLUME])
