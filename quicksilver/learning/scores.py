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

from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.learning.results import Interval
from quicksilver.models.score import MIN_PROBABILITY

N_CLASSES = 3
RESAMPLES = 1_000
LEVEL = 0.95
_LOSS, _BRIER, _PROFIT = range(N_CLASSES**2, N_CLASSES**2 + 3)  # columns after those of the confusion matrix


class Decisions(NamedTuple):
    """What one predictor said of decisions, and what came of them, ``n`` in order of time.

    ``probabilities`` ``(n, 3)`` of down, flat and up; ``outcomes`` ``(n,)`` -1, 0, 1; ``move_bps`` ``(n,)``; ``fold``
    ``(n,)``, which part of the walk each is of; ``fee_bps`` is that of one trade: a decision that is not flat pays it
    twice. What is less likely than ``confidence`` is said as flat.
    """

    probabilities: FloatArray
    outcomes: Int64
    move_bps: FloatArray
    fold: Int64
    fee_bps: float
    confidence: float = 0.0

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
        parts[:, _PROFIT] = directions * self.move_bps - 2.0 * self.fee_bps * np.abs(directions)
        return parts


def accuracy(mean: FloatArray) -> float:
    """Return the share of right predictions."""
    return float(np.trace(_confusion(mean)))


def balanced_accuracy(mean: FloatArray) -> float:
    """Return the mean, over the classes that occurred, of the share of each that was predicted."""
    matrix = _confusion(mean)
    occurred = matrix.sum(axis=1)
    return float(np.mean(np.diag(matrix)[occurred > 0] / occurred[occurred > 0]))


def matthews(mean: FloatArray) -> float:
    """Return Matthews' correlation coefficient; 0 where one side is constant."""
    matrix = _confusion(mean)
    true, said = matrix.sum(axis=1), matrix.sum(axis=0)
    spread = math.sqrt(max(0.0, 1.0 - float(true @ true)) * max(0.0, 1.0 - float(said @ said)))
    return (float(np.trace(matrix)) - float(true @ said)) / spread if spread > 1e-12 else 0.0


def log_loss(mean: FloatArray) -> float:
    """Return the mean log-loss in nats; lower is better."""
    return float(mean[_LOSS])


def brier(mean: FloatArray) -> float:
    """Return the mean Brier score of the three classes, 0 to 2; lower is better."""
    return float(mean[_BRIER])


def profit_bps(mean: FloatArray) -> float:
    """Return the mean profit of a decision after fees, in basis points."""
    return float(mean[_PROFIT])


def _confusion(mean: FloatArray) -> FloatArray:
    return mean[: N_CLASSES**2].reshape(N_CLASSES, N_CLASSES)


Measure = Callable[[FloatArray], float]
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
    """Return each measure's value and intervals; ``parts`` ``(n, m)`` are what the decisions add to the means."""
    from arch.bootstrap import IIDBootstrap

    blocks = blocks_of(parts, fold, length)

    def values(some: FloatArray) -> FloatArray:
        total = some.sum(axis=0)
        return np.array([measure(total[1:] / total[0]) for measure in measures])

    if len(blocks) > 1:
        bootstrap = IIDBootstrap(blocks, seed=seed)
        lows, highs = bootstrap.conf_int(values, reps=RESAMPLES, method="percentile", size=LEVEL)
    else:
        lows = highs = np.full(len(measures), np.nan)
    folds = [parts[fold == one].mean(axis=0) for one in np.unique(fold)]
    found = []
    for measure, value, low, high in zip(measures, values(blocks), lows, highs, strict=True):
        least, most = _later_period([measure(one) for one in folds], float(low), float(high))
        found.append(Interval(float(value), least, most, float(low), float(high)))
    return found


def _later_period(folds: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """The prediction interval of a further fold (Student's t), and never less than that of the mean."""
    k = len(folds)
    if k < 2:
        return low, high
    reach = float(stats.t.ppf((1 + LEVEL) / 2, k - 1)) * float(np.std(folds, ddof=1)) * math.sqrt(1 + 1 / k)
    middle = float(np.mean(folds))
    return min(low, middle - reach), max(high, middle + reach)
