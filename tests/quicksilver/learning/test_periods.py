"""The interval of a later period holds what comes about as often as it says, however long the period is."""

import math

import msgspec
import numpy as np
import pytest
from scipy import stats

from quicksilver.events import FloatArray
from quicksilver.learning.periods import joint_level, later_period
from quicksilver.learning.results import Spread
from quicksilver.learning.scores import LEVEL, block_length, sampled

FOLD = 500
LENGTHS = (50, 250, 500, 1_000, 2_500, 4_000, 10_000)  # a tenth of a part to twenty
SERIES = 60


def held(reach: float, later: float, by_chance: float, folds: int, drift: float) -> float:
    """How often a later mean, which varies by ``later``, is within reach of that of all parts: both are normal."""
    return float(2.0 * stats.norm.cdf(reach / math.sqrt(later + (1.0 + drift) * by_chance / folds)) - 1.0)


def between(low: float, high: float, middle: float, deviation: float) -> float:
    """How often a normal number lies there."""
    return float(stats.norm.cdf((high - middle) / deviation) - stats.norm.cdf((low - middle) / deviation))


@pytest.mark.parametrize("folds", [3, 4, 5, 8, 12])
@pytest.mark.parametrize("drift", [0.0, 0.5, 1.0, 2.0])
def test_an_interval_holds_as_often_as_it_says_of_all_that_parts_and_blocks_may_show(folds: int, drift: float) -> None:
    """Periods differ by ``drift`` times the variance that a part has by chance; what is found of both is left to luck.

    The widths beside are those of an interval where both are known.
    """
    luck = (np.arange(30) + 0.5) / 30
    for length in (0.5, 2.0, 5.0, 20.0):
        shares, widths = [], []
        for of_parts in (1.0 + drift) * stats.chi2.ppf(luck, folds - 1) / (folds - 1):
            for of_blocks in stats.chi2.ppf(luck[2::5], 99) / 99:
                one = Spread(folds * FOLD, folds, 100, 0.0, math.sqrt(of_parts), math.sqrt(of_blocks * FOLD))
                reach = later_period(one, round(length * FOLD), LEVEL)[1]
                later = drift + 1.0 / length
                shares.append(held(reach, later, 1.0, folds, drift))
                widths.append(reach / (1.96 * math.sqrt(later + (1.0 + drift) / folds)))
        found = length, np.mean(shares), np.mean(widths)
        assert 0.935 <= np.mean(shares) <= 0.992, found
        assert np.mean(widths) <= (3.5 if folds == 3 else 2.8 if folds == 4 else 2.5), found


def moving(rng: np.random.Generator, n: int, overlap: int) -> FloatArray:
    """Sums of ``overlap`` independent numbers, each of which shares all but one of them with the next."""
    return np.convolve(rng.normal(size=n + overlap - 1), np.ones(overlap), mode="valid")


def variance_of_mean(n: int, overlap: int) -> float:
    """Of ``n`` such sums in a row."""
    apart = np.arange(1, min(n, overlap))
    return float(overlap * n + 2 * ((n - apart) * (overlap - apart)).sum()) / n**2


@pytest.mark.parametrize(("folds", "overlap", "drift"), [(8, 1, 0.5), (3, 20, 0.0), (8, 20, 1.0), (12, 60, 0.5)])
def test_outcomes_that_overlap_are_held_as_often_as_is_said(folds: int, overlap: int, drift: float) -> None:
    fold, by_chance = np.repeat(np.arange(folds), FOLD), variance_of_mean(FOLD, overlap)
    shares: dict[int, list[float]] = {length: [] for length in LENGTHS}
    for seed in range(SERIES):
        rng = np.random.default_rng(seed)
        parts = np.repeat(math.sqrt(drift * by_chance) * rng.normal(size=folds), FOLD)
        walked = moving(rng, folds * FOLD, overlap) + parts
        (found,) = sampled(
            walked[:, None], fold, [lambda mean: mean[..., 0]], block_length(walked - walked.mean(), overlap), seed
        )
        assert found.spread is not None
        for length in LENGTHS:
            low, high = later_period(found.spread, length, LEVEL)
            later = math.sqrt(drift * by_chance + variance_of_mean(length, overlap))
            shares[length].append(between(low, high, 0.0, later))
    means = {length: round(float(np.mean(some)), 4) for length, some in shares.items()}
    limit = 0.999 if folds == 3 else 0.995  # three parts cannot show that nothing drifts or lasts
    assert all(0.93 <= share <= limit for share in means.values()), dict(means)


@pytest.mark.parametrize(("folds", "rho", "drift"), [(8, 0.0, 1.0), (8, 0.4, 3.0), (8, 0.7, 3.0), (4, 0.5, 2.0)])
@pytest.mark.parametrize("length", [0.5, 1.0, 4.0, 8.0])
def test_drift_that_lasts_is_held_as_often_as_is_said(folds: int, rho: float, drift: float, length: float) -> None:
    """Drift is an autoregression from part to part; chance has a variance of 1 in a part, drift ``drift``."""
    covariance = drift * rho ** np.abs(np.subtract.outer(np.arange(folds + 8), np.arange(folds + 8)))
    later = max(1, round(length))
    weights = np.r_[np.zeros(folds), np.full(later, 1.0 / later), np.zeros(8 - later)]
    of_parts = covariance[:folds, :folds]
    carried = np.linalg.solve(of_parts, covariance[:folds] @ weights)
    left = float(weights @ covariance @ weights - carried @ of_parts @ carried)
    roots, shares, alone = np.linalg.cholesky(of_parts), [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        drifts = roots @ rng.normal(size=folds)
        parts = drifts + rng.normal(size=folds)
        known = Spread(
            folds * FOLD, folds, 100, float(parts.mean()), float(parts.std(ddof=1)), math.sqrt(FOLD), None, None,
            tuple(parts.tolist()),
        )  # fmt: skip
        comes = float(carried @ drifts), math.sqrt(left + 1.0 / length)
        shares.append(between(*later_period(known, round(length * FOLD), LEVEL), *comes))
        unordered = msgspec.structs.replace(known, parts=())
        alone.append(between(*later_period(unordered, round(length * FOLD), LEVEL), *comes))
    assert np.mean(shares) >= 0.93, (np.mean(shares), np.mean(alone))
    if rho >= 0.5 and length >= 1.0:
        assert np.mean(shares) > np.mean(alone)


def test_what_comes_is_more_like_the_last_parts_where_parts_in_a_row_are_alike() -> None:
    rising, mixed = (0.40, 0.42, 0.45, 0.48, 0.52, 0.55, 0.58, 0.60), (0.60, 0.42, 0.55, 0.40, 0.58, 0.48, 0.45, 0.52)
    found = {}
    for parts in (rising, rising[::-1], mixed):
        one = Spread(8_000, 8, 200, 0.5, float(np.std(parts, ddof=1)), 0.5, None, None, parts)
        found[parts] = later_period(one, 1_000, LEVEL)
    up, down, none = found.values()
    assert sum(up) == pytest.approx(2.0 - sum(down))
    assert sum(up) / 2.0 > 0.55
    assert sum(none) / 2.0 == pytest.approx(0.5, abs=0.02)


def test_one_part_gives_the_interval_of_chance() -> None:
    rng = np.random.default_rng(1)
    held = []
    for seed in range(SERIES):
        walked = rng.normal(size=FOLD)
        (found,) = sampled(walked[:, None], np.zeros(FOLD, np.int64), [lambda mean: mean[..., 0]], 5, seed)
        assert found.spread is not None
        low, high = later_period(found.spread, FOLD, LEVEL)
        held.append(float(stats.norm.cdf(high * math.sqrt(FOLD)) - stats.norm.cdf(low * math.sqrt(FOLD))))
    assert 0.93 <= np.mean(held) <= 0.98


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


def test_parts_that_agree_leave_drift_possible_and_the_fewer_the_more() -> None:
    """Parts that differ less than by chance may have been lucky: three show less than eight do."""
    many, few = (later_period(spread(0.016, folds=folds), 20_000, LEVEL) for folds in (8, 3))
    of_chance = 1.96 * 0.5 * math.sqrt(1 / 8_000 + 1 / 20_000)
    assert 1.5 * of_chance < many[1] - 0.5 < few[1] - 0.5 < 8 * of_chance
    low, high = later_period(spread(0.0), 1_000, LEVEL)
    assert high - low > 2 * 1.96 * 0.5 / math.sqrt(1_000)


def test_what_never_varied_is_expected_to_stay() -> None:
    assert later_period(Spread(8_000, 8, 200, 0.5, 0.0, 0.0), 100, LEVEL) == (0.5, 0.5)


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
