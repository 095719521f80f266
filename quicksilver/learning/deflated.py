"""The deflated Sharpe ratio: how likely the best of many tries is better than nothing, given that many were tried.

Bailey, Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5), 2014. Returns cluster and
outcomes overlap, so the number of observations is that of blocks which do not.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import stats

from quicksilver.events import FloatArray

EULER = 0.577_215_664_901_532_9


class Profits(msgspec.Struct, frozen=True):
    """What the deflated ratio needs of a run's profits: ``n`` observations that do not overlap, ``span_ns`` long each.

    ``ratio`` is their Sharpe ratio, 0 where nothing was risked; ``kurtosis`` is 3 for normal ones.
    """

    n: int = 0
    span_ns: int = 0
    ratio: float = 0.0
    skew: float = 0.0
    kurtosis: float = 3.0


def profits_of(profits: FloatArray, span_ns: int) -> Profits:
    """Return what is needed of profits ``(n,)``, each of ``span_ns``."""
    ratio = sharpe_ratio(profits)
    if ratio == 0.0:
        return Profits(len(profits), span_ns)
    skew, kurtosis = float(stats.skew(profits)), float(stats.kurtosis(profits, fisher=False))
    return Profits(len(profits), span_ns, ratio, skew, kurtosis)


def deflated_of(one: Profits, all_known: Sequence[Profits], tried: int) -> float | None:
    """Return the deflated Sharpe ratio of one run among all those that are known, itself one of them.

    Observations of other runs may be longer or shorter: a ratio grows with the root of the time. None if it never
    risked anything.
    """
    if one.ratio == 0.0:
        return None
    ratios = [other.ratio * math.sqrt(one.span_ns / other.span_ns) for other in all_known if other.span_ns]
    return probability(one.ratio, expected_best(ratios, tried), one.n, one.skew, one.kurtosis)


def expected_best(ratios: Sequence[float], tried: int) -> float:
    """Return the Sharpe ratio that the best of ``tried`` would have if none was better than nothing.

    ``ratios`` are those that are known, of which the variance is taken; tries that were given up count too.
    """
    if tried < 2 or len(ratios) < 2:
        return 0.0
    spread = float(np.std(ratios, ddof=1))
    usual, rare = stats.norm.ppf(1.0 - 1.0 / tried), stats.norm.ppf(1.0 - 1.0 / (tried * math.e))
    return spread * float((1.0 - EULER) * usual + EULER * rare)


def sharpe_ratio(profits: FloatArray) -> float:
    """Return mean over standard deviation of one observation's profit, not annualised; 0 where nothing varies."""
    deviation = float(np.std(profits))
    return float(np.mean(profits)) / deviation if deviation > 0.0 else 0.0


def probability(ratio: float, expected: float, n: float, skew: float, kurtosis: float) -> float:
    """Return the probability that a Sharpe ratio is truly above ``expected``.

    ``n`` observations; ``skew`` and ``kurtosis`` are those of their profits, 3 for normal ones.
    """
    if n < 2:
        return 0.5
    variance = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return float(stats.norm.cdf((ratio - expected) * math.sqrt((n - 1.0) / max(variance, 1e-12))))


def deflated(profits: FloatArray, ratios: Sequence[float], tried: int) -> float:
    """Return the deflated Sharpe ratio of the best one's ``profits`` ``(n,)``, observations that do not overlap."""
    one = profits_of(profits, 1)
    if one.ratio == 0.0:
        return 0.5
    return probability(one.ratio, expected_best(ratios, tried), one.n, one.skew, one.kurtosis)
