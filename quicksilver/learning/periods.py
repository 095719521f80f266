"""What a later period of any length may show of a measure, by what the parts of a walk showed.

A part's value differs from the next one's for two reasons: by chance, the less so the longer both are, and because one
period is not like another (drift), however long they are. What parts differ by more than by chance is taken for drift.
So a short period may be farther off than a part of the walk was, and a long one never hits more surely than the parts
agree.

A measure that is no mean, such as a correlation, is another of a long period than of its parts on average: what parts
differ by is then within the period. How far it goes is known to the first order of 1 / length (Quenouille's bias), and
the interval reaches from the one value to the other. On seven coins' minutes of 2017-18, 40 walks of two weeks with the
week after them, that held Matthews' correlation 37 times instead of 32.

How much there is of either is itself known but roughly: a few parts that agree do not show that nothing drifts. So the
interval is that of a normal number whose variance is one of all that could have shown what was seen, each as likely as
it could (a generalized prediction interval). For a period as long as a part it is Student's.

References: Hahn, Meeker, Statistical Intervals, 1991, chapter 4 (the interval of a future mean); Weerahandi,
Generalized confidence intervals, JASA 88, 1993, and Lin, Liao, Prediction intervals for general balanced linear random
models, Journal of Statistical Planning and Inference 138, 2008 (those of variance components); Sidak, Rectangular
confidence regions for the means of multivariate normal distributions, JASA 62, 1967; Quenouille, Notes on bias in
estimation, Biometrika 43, 1956.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from quicksilver.events import FloatArray
from quicksilver.learning.results import Spread

PART_NODES, BLOCK_NODES = (24, 4), (12, 2)  # with the power by which they are dense near 0: right to a thousandth
PRECISION = 1e-7  # of an interval's reach, relative


def spread_of(folds: FloatArray, means: FloatArray, n: int, blocks: int, whole: float | None = None) -> Spread:
    """Return what a measure varies by: its value in each part ``(k,)``, and in resamples ``(n_resamples,)``.

    ``n`` decisions were resampled as ``blocks`` blocks, at least 2; ``whole`` is its value of all of them.
    """
    chance = float(np.std(means)) * math.sqrt(blocks / (blocks - 1))  # resamples vary about their own mean: too little
    between = float(np.std(folds, ddof=1)) if len(folds) > 1 else None
    return Spread(n, len(folds), blocks, float(np.mean(folds)), between, chance * math.sqrt(n), whole)


def later_period(spread: Spread, n: int, level: float) -> tuple[float, float]:
    """Return where a measure of ``n`` later decisions lies with a probability of ``level``.

    Of one part alone nothing is known of drift, and the interval is that of chance.
    """
    if spread.bounds is not None:
        return spread.bounds
    k, one = spread.folds, spread.within**2
    if spread.between is None:
        reach = float(stats.t.ppf((1.0 + level) / 2.0, spread.blocks - 1)) * math.sqrt(one / spread.n + one / n)
        return spread.middle - reach, spread.middle + reach
    by_parts, by_blocks, weights = _doubt(k, spread.blocks)
    total, chance = spread.between**2 / by_parts, one / by_blocks
    drift = np.maximum(0.0, total - chance * k / spread.n)  # what parts differ by, less what is chance
    reach = _reach(np.sqrt(total / k + drift + chance / n), weights, (1.0 + level) / 2.0)
    longer = _of_longer(spread, n)
    return min(spread.middle, longer) - reach, max(spread.middle, longer) + reach


def _of_longer(spread: Spread, n: int) -> float:
    """What a measure comes to in a period as long as several parts; in a shorter one it is that of a part."""
    k, parts = spread.folds, n * spread.folds / spread.n
    if spread.whole is None or k == 1 or parts <= 1.0:
        return spread.middle
    return spread.middle + (spread.whole - spread.middle) * (1.0 - 1.0 / parts) / (1.0 - 1.0 / k)


@lru_cache
def _doubt(k: int, blocks: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What ``k`` parts and that many blocks may show of variances that are 1, and how likely, ``(m,)`` each.

    The interval depends most on how rarely the few parts show next to nothing: there the nodes are dense.
    """
    parts, of_parts = _nodes(*PART_NODES)
    chances, of_chances = _nodes(*BLOCK_NODES)
    by_parts = stats.chi2.ppf(parts, k - 1) / (k - 1)
    by_blocks = stats.chi2.ppf(chances, blocks - 1) / (blocks - 1)
    weights = np.outer(of_parts, of_chances).ravel()
    return np.repeat(by_parts, len(by_blocks)), np.tile(by_blocks, len(by_parts)), weights


def _nodes(n: int, power: int) -> tuple[FloatArray, FloatArray]:
    """``n`` nodes of Gauss and Legendre from 0 to 1, the denser near 0 the higher the power, and their weights."""
    x, weights = np.polynomial.legendre.leggauss(n)
    x = (x + 1.0) / 2.0
    return x**power, power * x ** (power - 1) * weights / 2.0


def _reach(deviations: FloatArray, weights: FloatArray, share: float) -> float:
    """How far up ``share`` of numbers lie that are normal with one of some standard deviations."""
    if not deviations.any():
        return 0.0
    some = deviations[deviations > 0.0]
    logs = (np.log(some[[some.argmin(), some.argmax()]]) + math.log(stats.norm.ppf(share))).tolist()

    def missing(log: float) -> float:
        with np.errstate(divide="ignore"):  # of what never varies all lies within reach
            return float(weights @ special.ndtr(math.exp(log) / deviations)) - share

    return math.exp(optimize.brentq(missing, logs[0] - 1.0, logs[1] + 1.0, xtol=PRECISION))


def joint_level(n: int, level: float) -> float:
    """Return the level of each of ``n`` intervals that hold all at once with a probability of at least ``level``.

    Sidak's inequality: so it is however the measures depend on one another, if they are normal together.

    >>> round(joint_level(6, 0.95), 4)
    0.9915
    """
    return float(level ** (1.0 / n))
