"""Measures against scikit-learn's, and intervals that hold what they promise."""

import math

import numpy as np
import pytest
from arch.bootstrap import IIDBootstrap
from scipy import stats
from sklearn import metrics

from quicksilver.events import FloatArray
from quicksilver.labels import round_trip_bps
from quicksilver.learning.results import Interval
from quicksilver.learning.scores import (
    LEVEL,
    MEASURES,
    RANGES,
    RESAMPLES,
    Decisions,
    accuracy,
    block_length,
    blocks_of,
    clipped,
    influence,
    intervals,
    profit_bps,
    resampled,
)

RNG = np.random.default_rng


def made(n: int = 500, seed: int = 1, fee_bps: float = 1.5) -> Decisions:
    rng = RNG(seed)
    rows = rng.dirichlet([1.0, 1.0, 1.0], n)
    outcomes, moves, fold = rng.integers(-1, 2, n), rng.normal(0.0, 5.0, n), np.arange(n) * 4 // n
    return Decisions(rows, outcomes, moves, fold, fee_bps, np.full(n, np.nan))


def test_measures_are_scikit_learns() -> None:
    one = made()
    mean, said, true = one.parts().mean(axis=0), one.directions, one.outcomes
    labels = [-1, 0, 1]
    expected = {
        "accuracy": metrics.accuracy_score(true, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, said),
        "log_loss": metrics.log_loss(true, one.probabilities, labels=labels),
        "brier": metrics.brier_score_loss(true, one.probabilities, labels=labels, scale_by_half=False),
        "matthews": metrics.matthews_corrcoef(true, said),
        "profit_bps": np.mean([m * d - 2 * 1.5 * abs(d) for m, d in zip(one.move_bps, said, strict=True)]),
    }
    assert {name: measure(mean) for name, measure in MEASURES.items()} == pytest.approx(expected, rel=1e-12)


def test_a_trade_pays_the_fee_twice_and_the_spread_once_where_there_is_one() -> None:
    said, spreads = (
        np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        [2.0, 1.0, np.nan, 4.0],
    )
    one = Decisions(said, np.zeros(4, np.int64), np.full(4, 10.0), np.zeros(4, np.int64), 1.5, np.array(spreads))
    assert one.parts()[:, -1].tolist() == [5.0, -14.0, 7.0, 0.0]
    assert one.cost_bps.tolist() == [round_trip_bps(1.5, None if math.isnan(each) else each) for each in spreads]


def test_a_predictor_that_says_one_class_has_no_correlation() -> None:
    one = made()._replace(probabilities=np.tile([0.0, 1.0, 0.0], (500, 1)))
    mean = one.parts().mean(axis=0)
    assert MEASURES["matthews"](mean) == 0.0
    assert MEASURES["balanced_accuracy"](mean) == pytest.approx(1 / 3)
    assert MEASURES["profit_bps"](mean) == 0.0


@pytest.mark.parametrize(
    ("row", "direction"), [((0.4, 0.2, 0.4), 1), ((0.4, 0.4, 0.2), 0), ((0.5, 0.2, 0.3), -1), ((0.2, 0.4, 0.4), 0)]
)
def test_of_equals_the_one_nearest_to_flat(row: tuple[float, float, float], direction: int) -> None:
    one = made(1)._replace(probabilities=np.array([row]))
    assert one.directions.tolist() == [direction]


def test_blocks_never_span_two_folds_and_sum_to_all() -> None:
    parts, fold = RNG(2).normal(size=(23, 2)), np.repeat([0, 1, 2], [10, 6, 7])
    blocks = blocks_of(parts, fold, 4)
    assert blocks[:, 0].tolist() == [4, 4, 2, 4, 2, 4, 3]
    np.testing.assert_allclose(blocks[:, 1:].sum(axis=0), parts.sum(axis=0))
    np.testing.assert_allclose(blocks[3, 1:], parts[10:14].sum(axis=0))


def test_dependent_series_need_longer_blocks() -> None:
    noise = RNG(3).normal(size=20_000)
    slow = np.convolve(noise, np.ones(50) / 50, mode="same")
    assert block_length(noise) < 10 < block_length(slow)
    assert block_length(np.ones(1_000)) == 1


def test_outcomes_that_overlap_stay_together_where_a_series_cannot_show_it() -> None:
    """Of a model that says what the majority says, the differences from it are all 0; a short series shows little."""
    assert block_length(np.zeros(1_000), overlap=60) == 120
    slow = np.convolve(RNG(3).normal(size=459), np.ones(60) / 60, mode="valid")
    assert block_length(slow) == 20, "as many as leave 20 blocks"
    assert block_length(slow, overlap=60) == 120


def test_what_a_decision_adds_to_a_measure() -> None:
    """Leaving it out changes the measure by as much, to first order."""
    parts = made().parts()
    n = len(parts)
    for name, measure in MEASURES.items():
        without = np.array([measure(np.delete(parts, row, axis=0).mean(axis=0)) for row in range(50)])
        expected = (n - 1) * (measure(parts.mean(axis=0)) - without)
        np.testing.assert_allclose(influence(measure, parts)[:50], expected, rtol=0.02, atol=1e-3, err_msg=name)


def test_intervals_hold_the_truth_and_the_next_period_about_as_often_as_they_say() -> None:
    """200 series of overlapping returns, whose mean is 0, and a ninth fold each."""
    held = next_held = 0
    fold = np.repeat(np.arange(8), 250)
    for seed in range(200):
        series = np.convolve(RNG(seed).normal(size=2_259), np.ones(10), mode="valid")
        parts = np.zeros((2_250, 12))
        parts[:, 11] = series
        found = intervals(parts[:2_000], fold, [profit_bps], block_length(series[:2_000]), seed)[0]
        held += found.mean_low <= 0.0 <= found.mean_high
        next_held += series[2_000:].mean() in found
    assert 0.88 <= held / 200 <= 0.99
    assert 0.90 <= next_held / 200 <= 1.0


@pytest.mark.parametrize(("n", "length"), [(40, 3), (2_000, 4)])
def test_intervals_are_those_of_one_resample_after_another(n: int, length: int) -> None:
    """arch draws the same blocks from the same seed, and every measure is computed of each resample by itself."""
    one, measures = made(n), list(MEASURES.values())
    parts = one.parts()

    def values(some: FloatArray) -> FloatArray:
        total = some.sum(axis=0)
        return np.array([measure(total[1:] / total[0]) for measure in measures])

    blocks = blocks_of(parts, one.fold, length)
    of_few = stats.t.ppf((1 + LEVEL) / 2, len(blocks) - 1) * math.sqrt(len(blocks) / (len(blocks) - 1))
    slow, size = IIDBootstrap(blocks, seed=7), 2.0 * stats.norm.cdf(of_few) - 1.0
    lows, highs = slow.conf_int(values, reps=RESAMPLES, method="percentile", size=size)
    found = intervals(parts, one.fold, measures, length, 7)
    np.testing.assert_allclose([one.mean_low for one in found], lows, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([one.mean_high for one in found], highs, rtol=1e-9, atol=1e-12)


def test_measures_of_many_means_are_those_of_each() -> None:
    """Among them some of one class alone, on either side."""
    means = np.array([made(n, seed=n).parts().mean(axis=0) for n in (1, 2, 3, 50)])
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure(means), [measure(one) for one in means], rtol=1e-12)


def test_blocks_are_drawn_alike_however_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = RNG(5).normal(size=(30, 2))
    whole = resampled(blocks, 1)
    assert whole.shape == (RESAMPLES, 2)
    monkeypatch.setattr("quicksilver.learning.scores._DRAWN_AT_ONCE", 70)  # two resamples at once
    np.testing.assert_allclose(resampled(blocks, 1), whole, rtol=1e-12, atol=1e-12)


def test_of_one_block_the_mean_has_no_interval() -> None:
    one = made(30)
    (found,) = intervals(one.parts(), np.zeros(30, np.int64), [MEASURES["balanced_accuracy"]], 30, 1)
    assert found.value == pytest.approx(metrics.balanced_accuracy_score(one.outcomes, one.directions))
    assert math.isnan(found.mean_low)
    assert math.isnan(found.mean_high)


@pytest.mark.parametrize("overlap", [1, 60])
def test_intervals_of_accuracy_hold_the_truth_where_outcomes_overlap(overlap: int) -> None:
    """Hits of a model that says up, where each outcome is the sign of a sum of ``overlap`` moves."""
    held, fold = 0, np.repeat(np.arange(8), 500)
    for seed in range(150):
        hits = np.convolve(RNG(seed).normal(size=3_999 + overlap), np.ones(overlap), mode="valid") > 0.0
        length = block_length(hits.astype(np.float64), overlap)
        (found,) = intervals(hits[:, None].astype(np.float64), fold, [lambda mean: mean[..., 0]], length, seed)
        held += found.mean_low <= 0.5 <= found.mean_high
    assert 0.90 <= held / 150 <= 1.0


def test_the_same_seed_gives_the_same_intervals() -> None:
    one = made()
    first, again, other = (intervals(one.parts(), one.fold, [accuracy], 5, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_no_interval_reaches_beyond_what_a_measure_can_be() -> None:
    wide = Interval(0.4, -0.2, 1.3, 0.3, 0.5)
    assert clipped(wide, 0.0, 1.0) == Interval(0.4, 0.0, 1.0, 0.3, 0.5)
    unknown = clipped(Interval(0.4, math.nan, math.nan, 0.3, 0.5), 0.0, 1.0)
    assert math.isnan(unknown.low)
    assert math.isnan(unknown.high)
    assert RANGES.keys() == MEASURES.keys()
