from pathlib import Path

import pytest

from localcloud.clusters import capacity
from localcloud.errors import LocalcloudError


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    return path


def test_nodes_are_refused_before_the_kernel_has_nothing_left_for_them(limit: Path) -> None:
    first, second = range(9), range(6)
    capacity.check([], first, limit=limit, free=lambda wanted: wanted)
    capacity.check(first, second, limit=limit, free=lambda wanted: wanted)
    with pytest.raises(LocalcloudError, match=r"need 56 .* 7 more .* 128, .* have 70; .*max_user_instances=135`"):
        capacity.check(first, range(7), limit=limit, free=lambda wanted: wanted)


def test_what_others_have_counts(limit: Path) -> None:
    with pytest.raises(LocalcloudError, match=r"need 70 .* 30 more .*max_user_instances=158`"):
        capacity.check([], range(9), limit=limit, free=lambda wanted: min(wanted, 40))


def test_the_kernel_says_what_is_free_and_gets_it_back() -> None:
    assert [capacity.free(3) for _ in range(100)] == [3] * 100
