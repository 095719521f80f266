"""What a later period of any length may show of a measure, by what the parts of a walk showed.

A part's value differs from the next one's for two reasons: by chance, the less so the longer both are, and because one
period is not like another (drift), however long they are. What parts differ by more than by chance is taken for drift.
So a short period may be farther off than a part of the walk was, and a long one never hits more surely than the parts
agree.

Drift lasts: after a calm week comes a calm week, in which fewer moves are beyond the fees. Parts in a row are then more
alike than periods farther apart, and a later one is nearer to the last of them than to the first. How far drift goes
over from one part to the next (``rho``, that of an autoregression) eight parts hardly say: it is averaged over, each
from 0 to 1 as likely before as any other, and afterwards by how likely it makes the parts. On real coins parts in a row
of accuracy and log-loss correlate by 0.2 to 0.3, those of profit and of balanced accuracy by 0.1.

A measure that is no mean, such as a correlation, is another of a long period than of its parts on average: what parts
differ by is then within the period. How far it goes is known to the first order of 1 / length (Quenouille's bias), and
the interval reaches from the one value to the other.

How much there is of either is itself known but roughly: a few parts that agree do not show that nothing drifts. So the
interval is that of a normal number whose variance is one of all that could have shown what was seen, each as likely as
it could (a generalized prediction interval). Did drift not last, it would be Student's for a period as long as a part.

References: Hahn, Meeker, Statistical Intervals, 1991, chapter 4 (the interval of a future mean); Weerahandi,
Generalized confidence intervals, JASA 88, 1993, and Lin, Liao, Prediction intervals for general balanced linear random
models, Journal of Statistical Planning and Inference 138, 2008 (those of variance components); Mueller, Watson,
Measuring uncertainty about long-run predictions, Review of Economic Studies 83, 2016 (means of later periods, over all
persistence that few means may show); Sidak, Rectangular confidence regions for the means of multivariate normal
distributions, JASA 62, 1967; Quenouille, Notes on bias in estimation, Biometrika 43, 1956.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from quicksilver.events import FloatArray
from quicksilver.learning.results import Spread

PART_NODES, BLOCK_NODES = (24, 4), (4, 2)  # with the power by which they are dense near 0: right to a thousandth
LASTING_NODES = 6
PRECISION = 1e-9  # of how far apart the ends of what may be are


def spread_of(folds: FloatArray, means: FloatArray, n: int, blocks: int, whole: float | None = None) -> Spread:
    """Return what a measure varies by: its value in each part ``(k,)``, and in resamples ``(n_resamples,)``.

    ``n`` decisions were resampled as ``blocks`` blocks, at least 2; ``whole`` is its value of all of them.
    """
    chance = float(np.std(means)) * math.sqrt(blocks / (blocks - 1))  # resamples vary about their own mean: too little
    between = float(np.std(folds, ddof=1)) if len(folds) > 1 else None
    parts = tuple(folds.tolist())
    return Spread(n, len(folds), blocks, float(np.mean(folds)), between, chance * math.sqrt(n), whole, None, parts)


def later_period(spread: Spread, n: int, level: float) -> tuple[float, float]:
    """Return where a measure of ``n`` later decisions lies with a probability of ``level``.

    Of one part alone nothing is known of drift, and the interval is that of chance.
    """
    if spread.bounds is not None:
        return spread.bounds
    if spread.between is None:
        one = spread.within**2
        reach = float(stats.t.ppf((1.0 + level) / 2.0, spread.blocks - 1)) * math.sqrt(one / spread.n + one / n)
        return spread.middle - reach, spread.middle + reach
    middles, deviations, weights = _may_be(spread, n)
    tail = (1.0 - level) / 2.0
    low, high = (_quantile(middles, deviations, weights, share) for share in (tail, 1.0 - tail))
    beyond = _of_longer(spread, n) - spread.middle
    return low + min(0.0, beyond), high + max(0.0, beyond)


def _may_be(spread: Spread, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The normal numbers that a measure of ``n`` later decisions may be: means, standard deviations and weights."""
    assert spread.between is not None
    k = spread.folds
    by_parts, by_blocks, weights = _doubt(k, spread.blocks)
    total, chance = spread.between**2 / by_parts, spread.within**2 / by_blocks
    of_part = chance * k / spread.n
    drift = np.maximum(0.0, total - of_part)  # what parts differ by, less what is chance
    if len(spread.parts) != k or not drift.any():  # of an older program's no order is known
        return np.full(len(drift), spread.middle), np.sqrt(total / k + drift + chance / n), weights
    length = max(1.0, n * k / spread.n)
    found = [_if_it_lasts(spread, rho, length, drift, of_part) for rho in _nodes(LASTING_NODES, 1)[0].tolist()]
    logs = np.log(np.outer(_nodes(LASTING_NODES, 1)[1], weights)) + [one.log_likelihood for one in found]
    likely = np.exp(logs - logs.max()).ravel()
    middles, variances = (np.concatenate(some) for some in zip(*(one[:2] for one in found), strict=True))
    return middles, np.sqrt(variances + np.tile(chance / n, len(found))), likely / likely.sum()


class _Lasting(NamedTuple):
    """A later period's mean and variance but for its chance, and how likely the parts are: ``(m,)`` each."""

    middle: FloatArray
    variance: FloatArray
    log_likelihood: FloatArray


def _if_it_lasts(spread: Spread, rho: float, length: float, drift: FloatArray, chance: FloatArray) -> _Lasting:
    """What follows for a period of so many parts' ``length`` if ``rho`` of the drift goes over from part to part.

    ``drift`` and ``chance`` ``(m,)`` are variances of a part. All is of the best linear prediction, in coordinates
    in which parts are independent of one another; how likely the parts are is beside parts that do not correlate.
    """
    values, turned, carried = _turned(spread.folds, rho)
    carried = carried * (1.0 - rho**length) / (length * (1.0 - rho))  # of a long period its first parts are most alike
    seen = turned.T @ (np.array(spread.parts) - spread.middle)
    ones = turned.sum(axis=0)
    sure = 1.0 / (np.outer(drift, values) + chance[:, None])
    known = sure @ ones**2
    mean = sure @ (ones * seen) / known
    errors = seen - np.outer(mean, ones)
    middle = mean + drift * ((sure * errors) @ carried)
    variance = drift - drift**2 * (sure @ carried**2) + (1.0 - drift * (sure @ (ones * carried))) ** 2 / known
    alone = drift + chance
    likely = np.log(sure * alone[:, None]).sum(axis=1) - np.log(known * alone / spread.folds)
    fit = (sure * errors**2).sum(axis=1) - float(seen @ seen - (ones @ seen) ** 2 / spread.folds) / alone
    return _Lasting(spread.middle + middle, np.maximum(variance, 0.0), (likely - fit) / 2.0)


@lru_cache
def _turned(k: int, rho: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Variances ``(k,)`` and axes ``(k, k)`` of ``k`` parts' drift, and what the next part has in common with it."""
    place = np.arange(k)
    values, axes = np.linalg.eigh(rho ** np.abs(place[:, None] - place))
    return values, axes, axes.T @ rho ** (k - place)


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


def _quantile(middles: FloatArray, deviations: FloatArray, weights: FloatArray, share: float) -> float:
    """Below what ``share`` of numbers lie that are normal with one of some means and standard deviations."""
    ends = middles + deviations * float(stats.norm.ppf(share))
    low, high = float(ends.min()), float(ends.max())
    if low == high:
        return low

    def missing(end: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):  # what never varies is where it is
            below = special.ndtr((end - middles) / deviations)
        return float(weights @ np.where(deviations > 0.0, below, end >= middles)) - share

    if missing(low) >= 0.0:  # the ends of nearly all of the weight, but for rounding
        return low
    if missing(high) <= 0.0:
        return high
    return float(optimize.brentq(missing, low, high, xtol=PRECISION * (high - low)))


def joint_level(n: int, level: float) -> float:
    """Return the level of each of ``n`` intervals that hold all at once with a probability of at least ``level``.

    Sidak's inequality: so it is however the measures depend on one another, if they are normal together.

    >>> round(joint_level(6, 0.95), 4)
    0.9915
    """
    return float(level ** (1.0 / n))
