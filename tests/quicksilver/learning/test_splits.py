"""No split lets a model see what was not known before its test begins."""

import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.splits import Stretches, walk_forward
from quicksilver.learning.zoo import NINE, model_of


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


def test_what_is_said_of_a_stretch_is_learned_from_no_outcome_that_overlaps_with_its_own() -> None:
    cut = list(Stretches(50).split(range(600)))
    assert np.concatenate([stretch for _, stretch in cut]).tolist() == list(range(600))
    assert [others.tolist() for others, _ in cut] == [
        list(range(250, 600)), [*range(150), *range(450, 600)], list(range(350)),
    ]  # fmt: skip
    with pytest.raises(InputError, match="600 examples are too few for outcomes that reach over 200 of them"):
        list(Stretches(200).split(range(600)))


@pytest.mark.parametrize("name", NINE)
def test_calibration_sees_no_outcome_that_overlaps_with_what_was_learned(name: str) -> None:
    """Two instruments decide each second and look half a minute ahead: sixty in a row share a span of time."""
    config = PredictorConfig(name, granularity="1s", horizon="30s")
    calibrated = model_of(config, instruments=2).named_steps["model"]
    for others, stretch in calibrated.cv.split(np.empty((1_000, 2)), np.zeros(1_000)):
        assert np.abs(others[:, None] - stretch).min() > 60
