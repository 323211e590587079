"""What a session is told of the shuffle of its cluster."""

import pytest

from astrok8s._shuffle import is_on, properties

TRACKING = {"service": "tracking", "trackingMinutes": "30", "fallback": ""}


def test_a_cluster_without_either_is_told_nothing() -> None:
    assert properties({}) == {}


def test_files_are_handed_on_to_s3_only_where_there_is_s3() -> None:
    fallback = "spark.storage.decommission.fallbackStorage.path"
    assert fallback not in properties(TRACKING)
    assert properties(TRACKING | {"fallback": "s3a://spark-shuffle/"})[fallback] == "s3a://spark-shuffle/"
    assert properties(TRACKING)["spark.dynamicAllocation.shuffleTracking.timeout"] == "30m"


@pytest.mark.parametrize("value", ["true", "True", " TRUE ", True])
def test_a_property_is_on_as_spark_or_python_writes_it(value: str) -> None:
    assert is_on({"on": value}, "on")
    assert not is_on({"off": "false", "no": "yes"}, "off", default=True)
