"""No split lets a model see what was not known before its test begins."""

import numpy as np
import pytest

from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.splits import walk_forward


def frame(n: int, horizon: int, times: list[int] | None = None) -> TrainingFrame:
    ts_ns = np.array(times if times is not None else range(n))
    empty = np.zeros(n)
    return TrainingFrame(
        (), ("a",), np.empty((n, 0)), ts_ns, ts_ns + horizon, empty, np.zeros(n, np.int64), empty, empty
    )


@pytest.mark.parametrize("embargo", [0, 7])
def test_the_past_was_known_before_and_each_row_is_judged_once(embargo: int) -> None:
    one = frame(1_000, 20)
    splits = list(walk_forward(one, 4, embargo, 50))
    assert [len(split.test) for split in splits] == [200] * 4
    assert np.concatenate([split.test for split in splits]).tolist() == list(range(200, 1_000))
    for split in splits:
        assert one.known_ns[split.past].max() == one.ts_ns[split.test[0]] - embargo - 1
        assert split.past[0] == 0


def test_rows_of_one_time_fall_into_one_part() -> None:
    times = [row // 3 for row in range(999)]
    for split in walk_forward(frame(999, 1, times), 4, 0, 10):
        assert times[split.test[0]] != times[split.test[0] - 1]


def test_too_short_a_past_is_not_learned_from() -> None:
    assert [split.test[0] for split in walk_forward(frame(1_000, 20), 4, 0, 300)] == [400, 600, 800]
    assert list(walk_forward(frame(3, 1), 4, 0, 10)) == []
