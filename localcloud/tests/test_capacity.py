from pathlib import Path

import pytest

from localcloud.clusters import capacity
from localcloud.errors import LocalcloudError


def test_nodes_are_refused_before_the_kernel_has_nothing_left_for_them(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    first, second = range(9), range(6)
    capacity.check([], first, limit=limit)
    capacity.check(first, second, limit=limit)
    with pytest.raises(LocalcloudError, match=r"need 56 .* have 70, .* 128.*max_user_instances=135`"):
        capacity.check(first, range(7), limit=limit)
