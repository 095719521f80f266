"""The interval of a later period holds what comes about as often as it says, however long the period is."""

import math

import msgspec
import numpy as np
import pytest

from quicksilver.events import FloatArray
from quicksilver.learning.periods import joint_level, later_period
from quicksilver.learning.results import Spread
from quicksilver.learning.scores import LEVEL, block_length, sampled

FOLDS, FOLD = 8, 500
LENGTHS = (50, 100, 200, 500, 1_000, 2_500)
SERIES = 200


def moving(rng: np.random.Generator, n: int, overlap: int) -> FloatArray:
    """Sums of ``overlap`` independent numbers, each of which shares all but one of them with the next."""
    return np.convolve(rng.normal(size=n + overlap - 1), np.ones(overlap), mode="valid")


def coverage(overlap: int, drift: float = 0.0, folds: int = FOLDS) -> dict[int, float]:
    """How often the interval of a walk holds the mean of what comes after it, by how much comes.

    ``drift`` is what periods differ by, as a multiple of what a part of the walk varies by chance.
    """
    n, fold = folds * FOLD, np.repeat(np.arange(folds), FOLD)
    held = dict.fromkeys(LENGTHS, 0)
    away = drift * overlap / math.sqrt(FOLD)
    for seed in range(SERIES):
        rng = np.random.default_rng(seed)
        series, gap = moving(rng, n + 2 * overlap + LENGTHS[-1], overlap), n + 2 * overlap
        walked = series[:n] + np.repeat(away * rng.normal(size=folds), FOLD)
        (found,) = sampled(
            walked[:, None], fold, [lambda mean: mean[..., 0]], block_length(walked - walked.mean(), overlap), seed
        )
        assert found.spread is not None
        off = away * rng.normal()
        for length in LENGTHS:
            low, high = later_period(found.spread, length, LEVEL)
            held[length] += low <= series[gap : gap + length].mean() + off <= high
    return {length: count / SERIES for length, count in held.items()}


@pytest.mark.parametrize(("overlap", "drift"), [(1, 0.0), (1, 2.0), (20, 0.0), (60, 0.0), (20, 1.0)])
def test_a_later_period_of_any_length_is_held_about_as_often_as_is_said(overlap: int, drift: float) -> None:
    found = coverage(overlap, drift)
    assert all(0.91 <= share <= 0.995 for share in found.values()), found


def test_one_part_gives_the_interval_of_chance() -> None:
    found = coverage(1, folds=1)
    assert all(0.91 <= share <= 0.98 for share in found.values()), found


def spread(between: float | None = 0.02, folds: int = 8) -> Spread:
    return Spread(1_000 * folds, folds, 200, 0.5, between, 0.5)


def test_fewer_vary_more_and_no_length_makes_up_for_drift() -> None:
    widths = [high - low for low, high in (later_period(spread(0.05), n, LEVEL) for n in (50, 1_000, 10**9))]
    assert widths[0] > widths[1] > widths[2] > 2 * 1.96 * math.sqrt(0.05**2 - 0.25 / 1_000)


def test_of_as_many_as_a_part_it_is_that_of_one_more_part() -> None:
    """Student's t of seven degrees of freedom, 2.365."""
    low, high = later_period(spread(0.05), 1_000, LEVEL)
    assert high - low == pytest.approx(2 * 2.3646 * 0.05 * math.sqrt(1 + 1 / 8), rel=1e-4)
    assert (low + high) / 2 == pytest.approx(0.5)


def test_parts_that_differ_less_than_by_chance_are_taken_for_luck() -> None:
    assert later_period(spread(0.0), 1_000, LEVEL) == later_period(spread(0.001), 1_000, LEVEL)
    low, high = later_period(spread(0.0), 1_000, LEVEL)
    assert high - low > 2 * 1.96 * 0.5 / math.sqrt(1_000)


def test_what_never_varied_is_expected_to_stay() -> None:
    assert later_period(Spread(8_000, 8, 200, 0.0, 0.0, 0.0), 100, LEVEL) == (0.0, 0.0)


def test_of_one_that_has_never_varied_no_more_is_known_than_where_it_can_lie() -> None:
    never = msgspec.structs.replace(Spread(8_000, 8, 200, 0.0, 0.0, 0.0), bounds=(-1.0, 1.0))
    assert not never.varies
    assert spread().varies
    assert later_period(never, 100, LEVEL) == (-1.0, 1.0)


def test_what_is_no_mean_goes_on_towards_its_value_of_all_parts_together() -> None:
    """Parts whose regimes differ: in each a forecast is constant and worth nothing, over several it is worth a lot."""
    parts, whole = spread(0.05), msgspec.structs.replace(spread(0.05), whole=0.9)
    for n in (100, 1_000):
        assert later_period(whole, n, LEVEL) == later_period(parts, n, LEVEL), "a period of a part is like a part"
    low, high = later_period(parts, 8_000, LEVEL)
    assert later_period(whole, 8_000, LEVEL) == pytest.approx((low, high + 0.4))
    assert later_period(whole, 2_000, LEVEL)[1] == pytest.approx(later_period(parts, 2_000, LEVEL)[1] + 0.4 * 4 / 7)


def test_many_intervals_hold_all_at_once() -> None:
    level = joint_level(6, LEVEL)
    rng = np.random.default_rng(1)
    spreads = spread(None, folds=1)
    low, high = later_period(spreads, 500, level)
    deviation = 0.5 * math.sqrt(1 / 1_000 + 1 / 500)
    common = rng.normal(size=(20_000, 1))
    for share in (0.0, 0.8):
        values = 0.5 + deviation * (math.sqrt(share) * common + math.sqrt(1 - share) * rng.normal(size=(20_000, 6)))
        held = ((low <= values) & (values <= high)).all(axis=1).mean()
        assert held >= LEVEL - 0.005
