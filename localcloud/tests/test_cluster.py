import time
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from localcloud.clusters.cluster import Cluster
from localcloud.clusters.description import Spec
from localcloud.waiting import TimeoutExpiredError

SPEC = Spec(generation=1, name="first", workers=2, ca_certificate="certificate", ca_key="key")


def cluster(folder: Path, spec: Spec) -> Cluster:
    return Cluster(folder, spec, "lab", IPv4Network("10.70.0.0/16"))


def test_a_cluster_is_waited_for_as_long_as_its_create_timeout_allows(tmp_path: Path) -> None:
    late = cluster(tmp_path, replace(SPEC, deadline=time.time() - 1))
    with pytest.raises(TimeoutExpiredError, match=r"Waited 0 s for its nodes\. Its create_timeout is over\."):
        late._wait_for("its nodes", lambda: False, 300)
    in_time = cluster(tmp_path, replace(SPEC, deadline=time.time() + 300))
    with pytest.raises(TimeoutExpiredError, match=r"Waited 0 s for its nodes\. See nodes"):
        in_time._wait_for("its nodes", lambda: False, 0)


def test_what_has_been_reached_needs_no_time(tmp_path: Path) -> None:
    cluster(tmp_path, replace(SPEC, deadline=time.time() - 1))._wait_for("its nodes", lambda: True, 300)
