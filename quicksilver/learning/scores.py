"""Honest scores: several measures of the same predictions, each beside its baselines and with intervals.

Every measure is a function of means over decisions (counts of the confusion matrix, losses, profits), so blocks of
decisions can be resampled together: outcomes overlap and returns cluster, and single decisions are not independent.

References: Carlstein, The use of subseries values for estimating the variance of a general statistic, Annals of
Statistics 14(3), 1986 (blocks that do not overlap); Politis, White, Automatic block-length selection for the dependent
bootstrap, Econometric Reviews 23(1), 2004; Brier, Verification of forecasts expressed in terms of probability, 1950;
Matthews, Comparison of the predicted and observed secondary structure, 1975 (for more classes: Gorodkin, 2004).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.learning.periods import later_period, spread_of
from quicksilver.learning.results import Interval, Spread
from quicksilver.models.score import MIN_PROBABILITY

N_CLASSES = 3
RESAMPLES = 1_000
LEVEL = 0.95
SPANS = 2  # of overlapping outcomes in a block: one would miss a third of how much they depend, two miss a sixth
_ROUNDING = 1e-12  # what a constant may differ by from itself
_STEP = 1e-6  # of a mean, for a measure's slope
_DRAWN_AT_ONCE = 1 << 18  # numbers of blocks: they stay in the processor's cache, and in 4 MB
_LOSS, _BRIER, _PROFIT = range(N_CLASSES**2, N_CLASSES**2 + 3)  # columns after those of the confusion matrix


class Decisions(NamedTuple):
    """What one predictor said of decisions, and what came of them, ``n`` in order of time.

    ``probabilities`` ``(n, 3)`` of down, flat and up; ``outcomes`` ``(n,)`` -1, 0, 1; ``move_bps`` ``(n,)``; ``fold``
    ``(n,)``, which part of the walk each is of; ``fee_bps`` is that of one trade, and ``spread_bps`` ``(n,)`` the
    spread at each decision, NaN where there is none: both are paid as ``round_trip_bps`` says. What is less likely
    than ``confidence`` is said as flat.
    """

    probabilities: FloatArray
    outcomes: Int64
    move_bps: FloatArray
    fold: Int64
    fee_bps: float
    spread_bps: FloatArray
    confidence: float = 0.0

    @property
    def cost_bps(self) -> FloatArray:
        """What each decision costs if it is not flat, ``(n,)``: ``labels.round_trip_bps`` of all, to the bit."""
        return 2.0 * self.fee_bps + np.where(np.isnan(self.spread_bps), 0.0, self.spread_bps)

    @property
    def directions(self) -> Int64:
        """What was predicted, -1, 0 or 1, as ``most_likely`` has it."""
        down, flat, up = self.probabilities.T
        still = ((flat >= down) & (flat >= up)) | (np.maximum(down, up) < self.confidence)
        return np.where(still, 0, np.where(up >= down, 1, -1)).astype(np.int64)

    def parts(self) -> FloatArray:
        """Return what each decision adds to the measures, ``(n, 12)``: confusion matrix, log-loss, Brier, profit."""
        n, directions = len(self.outcomes), self.directions
        parts = np.zeros((n, _PROFIT + 1))
        parts[np.arange(n), (self.outcomes + 1) * N_CLASSES + directions + 1] = 1.0
        hot = np.eye(N_CLASSES)[self.outcomes + 1]
        parts[:, _LOSS] = -np.log(np.maximum((hot * self.probabilities).sum(axis=1), MIN_PROBABILITY))
        parts[:, _BRIER] = ((self.probabilities - hot) ** 2).sum(axis=1)
        parts[:, _PROFIT] = directions * self.move_bps - self.cost_bps * np.abs(directions)
        return parts


def accuracy(mean: FloatArray) -> FloatArray:
    """Return the share of right predictions."""
    return np.trace(_confusion(mean), axis1=-2, axis2=-1)


def balanced_accuracy(mean: FloatArray) -> FloatArray:
    """Return the mean, over the classes that occurred, of the share of each that was predicted."""
    matrix = _confusion(mean)
    occurred, right = matrix.sum(axis=-1), np.diagonal(matrix, axis1=-2, axis2=-1)
    shares = np.divide(right, occurred, out=np.zeros_like(occurred), where=occurred > 0)
    return shares.sum(axis=-1) / (occurred > 0).sum(axis=-1)


def matthews(mean: FloatArray) -> FloatArray:
    """Return Matthews' correlation coefficient; 0 where one side is constant."""
    matrix = _confusion(mean)
    true, said = matrix.sum(axis=-1), matrix.sum(axis=-2)
    spread = np.sqrt(np.maximum(0.0, 1.0 - (true**2).sum(axis=-1)) * np.maximum(0.0, 1.0 - (said**2).sum(axis=-1)))
    above_chance = np.trace(matrix, axis1=-2, axis2=-1) - (true * said).sum(axis=-1)
    return np.divide(above_chance, spread, out=np.zeros_like(spread), where=spread > 1e-12)


def log_loss(mean: FloatArray) -> FloatArray:
    """Return the mean log-loss in nats; lower is better."""
    return mean[..., _LOSS]


def brier(mean: FloatArray) -> FloatArray:
    """Return the mean Brier score of the three classes, 0 to 2; lower is better."""
    return mean[..., _BRIER]


def profit_bps(mean: FloatArray) -> FloatArray:
    """Return the mean profit of a decision after fees and spread, from mid to mid at no latency, in basis points."""
    return mean[..., _PROFIT]


def _confusion(mean: FloatArray) -> FloatArray:
    return mean[..., : N_CLASSES**2].reshape(*mean.shape[:-1], N_CLASSES, N_CLASSES)


Measure = Callable[[FloatArray], FloatArray]
"""Means of what decisions add, ``(..., m)``, to the measure of each, ``(...)``."""

MEASURES: dict[str, Measure] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "brier": brier,
    "matthews": matthews,
    "profit_bps": profit_bps,
}

RANGES: dict[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0), "balanced_accuracy": (0.0, 1.0), "log_loss": (0.0, math.inf), "brier": (0.0, 2.0),
    "matthews": (-1.0, 1.0), "profit_bps": (-math.inf, math.inf),
}  # fmt: skip
"""What a measure can be at all: intervals of few folds would reach beyond."""


def bounds_of(name: str, judged: Decisions) -> tuple[float, float]:
    """Return where a measure of such decisions lies, whatever is said of them.

    The most profit is that of who knows all, the least that of who is always wrong.
    """
    if name != "profit_bps":
        return RANGES[name]
    moves, costs = np.abs(judged.move_bps), judged.cost_bps
    return -float((moves + costs).mean()), float(np.maximum(moves - costs, 0.0).mean())


def clipped(one: Interval, low: float, high: float) -> Interval:
    """Return an interval cut off where the measure ends; one that is not known stays so."""
    return Interval(one.value, *(min(max(end, low), high) for end in msgspec.structs.astuple(one)[1:]))


def block_length(series: FloatArray, overlap: int = 1) -> int:
    """Return how many decisions in a row have to stay together; ``series`` is ``(n,)``.

    Politis and White's rule, and never less than ``SPANS`` times the ``overlap`` of outcomes that share a span of time:
    that these depend on one another is known, also where a series is too short or too constant to show it.
    """
    from arch.bootstrap import optimal_block_length  # seconds to import: not where a score is but read

    least = 1 if overlap == 1 else SPANS * overlap
    if len(series) < 50 or np.ptp(series) <= _ROUNDING:
        return least
    best = float(optimal_block_length(series)["circular"].iloc[0])
    return max(least, min(math.ceil(best), len(series) // 20)) if math.isfinite(best) else least


def influence(measure: Measure, parts: FloatArray) -> FloatArray:
    """Return what each decision adds to a measure, ``(n,)``, to first order; ``parts`` ``(n, m)``.

    That is the series whose dependence makes the measure's: of a mean it is that of which it is the mean, of a
    correlation its linear part (Kuensch, The jackknife and the bootstrap for general stationary observations, 1989).
    """
    mean = parts.mean(axis=0)
    steps = _STEP * np.eye(len(mean))
    slopes = (measure(mean + steps) - measure(mean - steps)) / (2.0 * _STEP)
    seen = mean != 0.0  # what never occurs has no slope to speak of
    return np.asarray((parts - mean)[:, seen] @ slopes[seen])


def blocks_of(parts: FloatArray, fold: Int64, length: int) -> FloatArray:
    """Return the sums of blocks of ``length`` decisions, no block across two folds, each with its count first."""
    place = np.concatenate([np.arange(n) for n in np.unique(fold, return_counts=True)[1]])
    starts = np.flatnonzero((place % length) == 0)
    counts = np.diff(np.append(starts, len(parts))).astype(np.float64)
    return np.column_stack([counts, np.add.reduceat(parts, starts, axis=0)])


class Sampled(NamedTuple):
    """One measure: its value, its interval, and what it varies by, None where one block is all there is."""

    interval: Interval
    spread: Spread | None


def intervals(parts: FloatArray, fold: Int64, measures: Sequence[Measure], length: int, seed: int) -> list[Interval]:
    """Return each measure's value and intervals, as ``sampled`` finds them."""
    return [one.interval for one in sampled(parts, fold, measures, length, seed)]


def sampled(parts: FloatArray, fold: Int64, measures: Sequence[Measure], length: int, seed: int) -> list[Sampled]:
    """Return each measure's value and intervals; ``parts`` ``(n, m)`` are what the decisions add to the means.

    All measures are of the same resampled blocks of ``length`` decisions; of one block there is no interval, which is
    NaN then.
    """
    blocks = blocks_of(parts, fold, length)
    whole = blocks.sum(axis=0)
    folds = np.array([parts[fold == one].mean(axis=0) for one in np.unique(fold)])
    values = [float(measure(whole[1:] / whole[0])) for measure in measures]
    if len(blocks) < 2:
        return [Sampled(Interval(value, *[math.nan] * 4), None) for value in values]
    again = resampled(blocks, seed)
    means, ends = again[:, 1:] / again[:, :1], _ends(len(blocks))
    found = []
    for measure, value in zip(measures, values, strict=True):
        drawn = measure(means)
        low, high = np.quantile(drawn, ends).tolist()
        spread = spread_of(measure(folds), drawn, len(parts), len(blocks), value)
        least, most = later_period(spread, max(1, round(len(parts) / len(folds))), LEVEL)
        found.append(Sampled(Interval(value, min(low, least), max(high, most), low, high), spread))
    return found


def _ends(n_blocks: int) -> tuple[float, float]:
    """The quantiles of resamples that hold the mean with ``LEVEL``: farther out for few blocks, which vary too little.

    Hesterberg, What teachers should know about the bootstrap, The American Statistician 69(4), 2015, section 3.2.
    """
    reach = math.sqrt(n_blocks / (n_blocks - 1)) * float(stats.t.ppf((1.0 - LEVEL) / 2.0, n_blocks - 1))
    tail = float(stats.norm.cdf(reach))
    return tail, 1.0 - tail


def resampled(blocks: FloatArray, seed: int) -> FloatArray:
    """Return the sums ``(RESAMPLES, m)`` of as many blocks as there are, ``(n_blocks, m)``, drawn with replacement.

    A sum is that of how often each block was drawn: one product of matrices instead of a loop over the resamples.
    """
    rng, n = np.random.default_rng(seed), len(blocks)
    together = max(1, _DRAWN_AT_ONCE // n)
    sums = []
    with threadpool_limits(1):  # more threads may sum in another order
        for start in range(0, RESAMPLES, together):
            rows = min(together, RESAMPLES - start)
            drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
            sums.append(counts.astype(np.float64) @ blocks)
    return np.vstack(sums)
