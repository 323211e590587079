"""What a cloud has room for, and what a site allows a user."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.astrok8s.magnum.plugins.module_utils import limits
from ansible_collections.astrok8s.magnum.plugins.module_utils.limits import Resource

FLAVORS = {"worker": SimpleNamespace(vcpus=2, ram=4096), "control plane": SimpleNamespace(vcpus=1, ram=2048)}


def nova(cores: int | None = None, instances: int | None = 64) -> SimpleNamespace:
    """What Nova says of a project that has used 3 instances of 6 cores."""
    used = {"instances_used": 3, "total_cores_used": 6, "total_ram_used": 12_288}
    return SimpleNamespace(instances=instances, total_cores=cores, total_ram=-1, **used)


def quota(size: int, has: int | None = None, **limited: Any) -> tuple[str, str]:
    """What the quota says of a cluster of this size, which has some workers or is not there."""
    added = {"worker": size - (has or 0), "control plane": 0 if has else 1}
    return limits.quota(size, limits.resources(nova(**limited), FLAVORS, added))


def test_what_is_used_added_and_left_is_told() -> None:
    passed, failed = quota(8, cores=40)
    assert not failed
    assert passed == (
        "instances: 3 used, 9 more, 52 of 64 left then; cores: 6 used, 17 more, 17 of 40 left then; "
        "MiB of RAM: 12288 used, 34816 more, no limit; the largest size that fits is 16"
    )


@pytest.mark.parametrize(("cores", "fits"), [(40, 16), (41, 17), (42, 17)])
def test_the_largest_size_is_what_the_scarcest_resource_allows(cores: int, fits: int) -> None:
    passed, _ = quota(8, cores=cores)
    assert passed.endswith(f"the largest size that fits is {fits}")
    assert quota(fits, cores=cores)[1] == ""
    _, failed = quota(fits + 1, cores=cores)
    assert failed.endswith(f"Size {fits} fits; use that, or ask for more quota.")
    # One that is there may grow as far.
    assert quota(4, has=4, cores=cores + 0)[0].endswith(f"is {4 + (cores - 6) // 2}")


def test_where_nothing_fits_that_is_said() -> None:
    _, failed = quota(100, cores=40, instances=3)
    assert failed == (
        "The quota does not allow size 100: it needs 101 instances, of which 0 are left, "
        "201 cores, of which 34 are left. Ask for more quota."
    )


def test_without_a_limit_there_is_no_largest_size() -> None:
    assert limits.largest_size(8, limits.resources(nova(instances=-1), FLAVORS, {"worker": 8}).values()) == math.inf
    assert quota(8, instances=None)[0].endswith("no limit")
    # A flavor that is not known is not counted.
    assert limits.largest_size(8, [Resource(0, 4, 0, 0)]) == math.inf


OTHERS = [{"name": "two", "node_count": 3, "uuid": "2"}, {"name": "one", "node_count": 1, "uuid": "1"}]

ALLOWED = [
    (None, None, ""),
    (3, None, "3 of 3 clusters"),
    (None, 12, "12 of 12 workers"),
    (4, 20, "3 of 4 clusters, 12 of 20 workers"),
]


@pytest.mark.parametrize(("clusters", "workers", "passed"), ALLOWED)
def test_a_site_allows_a_user_so_many(clusters: int | None, workers: int | None, passed: str) -> None:
    assert limits.of_user("three", 8, OTHERS, clusters, workers) == (passed, "")


REFUSED = [
    (
        2,
        None,
        "This site allows a user 2 clusters; with three you would have 3 (one of size 1, two of size 3). "
        "Destroy one of them, or ask the site for more.",
    ),
    (
        None,
        11,
        "This site allows a user 11 workers; with size 8 of three you would have 12 (one of size 1, two of size 3). "
        "Size 7 fits; use that, or ask the site for more.",
    ),
    (
        3,
        4,
        "This site allows a user 4 workers; with size 8 of three you would have 12 (one of size 1, two of size 3). "
        "Destroy one of them, or ask the site for more.",
    ),
]


@pytest.mark.parametrize(("clusters", "workers", "failed"), REFUSED)
def test_what_a_site_does_not_allow_is_refused(clusters: int | None, workers: int | None, failed: str) -> None:
    assert limits.of_user("three", 8, OTHERS, clusters, workers) == ("", failed)
