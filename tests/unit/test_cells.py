"""How far the stages of a cell are said to be."""

import pytest

from astrok8s._cells import Stage, summary

FULL, HALF, NONE = Stage(4, 4), Stage(4, 2), Stage(4, 0)


@pytest.mark.parametrize(
    ("stages", "stage", "count", "done", "tasks"),
    [
        ({}, 0, 0, 0, 0),
        ({1: NONE}, 1, 1, 0, 4),
        ({1: FULL, 2: HALF, 3: NONE}, 2, 3, 6, 12),
        ({1: FULL, 2: FULL}, 2, 2, 8, 8),
        # One that Spark skips, since an earlier job has made what it would.
        ({1: FULL, 2: NONE, 3: HALF}, 2, 2, 6, 8),
    ],
)
def test_stages_are_added_up(stages: dict[int, Stage], stage: int, count: int, done: int, tasks: int) -> None:
    assert summary(stages) == {"stage": stage, "stages": count, "done": done, "tasks": tasks}
