"""What a driver here is told of shuffle files, with the role's own template."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml

from astrok8s._cvmfs import Cvmfs
from astrok8s._shuffle import SECRET, Shuffle
from astrok8s._storage import parse
from astrok8s._template import PROPERTY, executor_template, here

TEMPLATES = Path(__file__).parents[2] / "roles/spark_shuffle/templates"


def told(service: str, endpoint: str = "http://s3") -> Shuffle:
    """Return what the role's config map tells."""
    text = jinja2.Template((TEMPLATES / "session.yaml.j2").read_text(), trim_blocks=True).render(
        spark_base_namespace="spark",
        spark_shuffle_service=service,
        spark_shuffle_timeout="5min",
        spark_shuffle_port=7337,
        spark_shuffle_folder="/var/lib/shuffle",
        __spark_storage_place={"endpoint": endpoint, "bucket": "mine"},
    )
    data = yaml.safe_load(text)["data"]
    return Shuffle(parse(data["spark.properties"]), data["executor.yaml"], b"secret word")


def test_a_driver_here_has_files_of_its_own() -> None:
    external = told("external")
    ours = external.here()
    assert Path(ours[SECRET]).read_bytes() == b"secret word"
    assert Path(ours[SECRET]).stat().st_mode & 0o077 == 0
    assert {name for name in ours if ours[name] != external.properties.get(name)} == {SECRET}
    template = Path(here(executor_template(external, Cvmfs()))[PROPERTY])
    assert yaml.safe_load(template.read_text())["spec"]["hostNetwork"] is True


def test_tracking_needs_no_files() -> None:
    tracking = told("tracking")
    assert tracking.here() == tracking.properties
    assert here(executor_template(tracking, Cvmfs())) == {}
    assert tracking.properties["spark.dynamicAllocation.shuffleTracking.timeout"] == "5min"


@pytest.mark.parametrize(("endpoint", "falls_back"), [("http://s3", True), ("", False)])
def test_files_fall_back_on_storage_where_there_is_some(endpoint: str, *, falls_back: bool) -> None:
    found = told("tracking", endpoint).properties
    assert ("spark.storage.decommission.fallbackStorage.path" in found) is falls_back


def test_a_cluster_without_the_role_says_nothing() -> None:
    assert Shuffle().here() == {}


def test_the_secret_is_not_shown() -> None:
    assert "secret word" not in repr(told("external"))
