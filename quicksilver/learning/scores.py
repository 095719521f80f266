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
from quicksilver.learning.results import Interval
from quicksilver.models.score import MIN_PROBABILITY

N_CLASSES = 3
RESAMPLES = 1_000
LEVEL = 0.95
_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
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


def within_range(one: Interval, low: float, high: float) -> Interval:
    """Return an interval cut off where the measure ends; one that is not known stays so."""
    return Interval(one.value, *(min(max(end, low), high) for end in msgspec.structs.astuple(one)[1:]))


def block_length(series: FloatArray) -> int:
    """Return how many decisions in a row have to stay together, by Politis and White's rule; ``series`` is ``(n,)``."""
    from arch.bootstrap import optimal_block_length  # seconds to import: not where a score is but read

    if len(series) < 50 or np.ptp(series) == 0.0:
        return 1
    best = float(optimal_block_length(series)["circular"].iloc[0])
    return max(1, min(math.ceil(best), len(series) // 20)) if math.isfinite(best) else 1


def blocks_of(parts: FloatArray, fold: Int64, length: int) -> FloatArray:
    """Return the sums of blocks of ``length`` decisions, no block across two folds, each with its count first."""
    place = np.concatenate([np.arange(n) for n in np.unique(fold, return_counts=True)[1]])
    starts = np.flatnonzero((place % length) == 0)
    counts = np.diff(np.append(starts, len(parts))).astype(np.float64)
    return np.column_stack([counts, np.add.reduceat(parts, starts, axis=0)])


def intervals(parts: FloatArray, fold: Int64, measures: Sequence[Measure], length: int, seed: int) -> list[Interval]:
    """Return each measure's value and intervals; ``parts`` ``(n, m)`` are what the decisions add to the means.

    All measures are of the same resampled blocks; of one block there is no interval of the mean, which is NaN.
    """
    blocks = blocks_of(parts, fold, length)
    whole = blocks.sum(axis=0)
    again = resampled(blocks, seed) if len(blocks) > 1 else None
    folds = np.array([parts[fold == one].mean(axis=0) for one in np.unique(fold)])
    found = []
    for measure in measures:
        value = float(measure(whole[1:] / whole[0]))
        low = high = math.nan
        if again is not None:
            low, high = np.quantile(measure(again[:, 1:] / again[:, :1]), _ENDS).tolist()
        found.append(Interval(value, *_later_period(measure(folds), low, high), low, high))
    return found


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


def _later_period(folds: FloatArray, low: float, high: float) -> tuple[float, float]:
    """The prediction interval of a further fold (Student's t), and never less than that of the mean."""
    k = len(folds)
    if k < 2:
        return low, high
    reach = float(stats.t.ppf((1 + LEVEL) / 2, k - 1)) * float(np.std(folds, ddof=1)) * math.sqrt(1 + 1 / k)
    middle = float(np.mean(folds))
    return min(low, middle - reach), max(high, middle + reach)
