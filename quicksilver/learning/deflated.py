"""The deflated Sharpe ratio: how likely the best of many tries is better than nothing, given that many were tried.

Bailey, Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5), 2014. Returns cluster and
outcomes overlap, so the number of observations is that of blocks which do not.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from quicksilver.events import FloatArray
from quicksilver.learning.results import Track

EULER = 0.577_215_664_901_532_9
LEAST = 20  # profits that do not overlap: of fewer a ratio may be anything, and its skew and kurtosis tell nothing


def expected_best(ratios: Sequence[float], tried: int, by_chance: float) -> float:
    """Return the Sharpe ratio that the best of ``tried`` would have if none was better than nothing.

    ``ratios`` are those that are known, of which the variance is taken; tries that were given up count too. Where fewer
    than two are known, the standard deviation is ``by_chance``: that of the ratio of one which is nothing.
    """
    if tried < 2:
        return 0.0
    spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else by_chance
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
    return float(special.ndtr((ratio - expected) * math.sqrt((n - 1.0) / max(variance, 1e-12))))


def track_of(profits: FloatArray, days: float) -> Track | None:
    """Return the track of ``profits`` ``(n,)`` within so many days; None where nothing varies: there were no trades."""
    if len(profits) < 2 or days <= 0.0 or np.ptp(profits) == 0.0:
        return None
    skew, kurtosis = float(stats.skew(profits)), float(stats.kurtosis(profits, fisher=False))
    return Track(sharpe_ratio(profits), len(profits), skew, kurtosis, len(profits) / days)


def deflated_tracks(tracks: Sequence[Track | None], tried: int) -> list[float | None]:
    """Return the deflated Sharpe ratio of each track, given that ``tried`` were tried.

    It is None of one without trades, and of one of fewer than ``LEAST`` profits, which says nothing of the spread of
    the others either: one lucky ratio of three would deflate all of them to nothing. The spread is taken of daily
    ratios, for decisions of a minute and of an hour differ in size by nature.
    """
    enough = [one if one is not None and one.n >= LEAST else None for one in tracks]
    known = [one.daily for one in enough if one is not None]
    return [None if one is None else _deflated_track(one, known, tried) for one in enough]


def _deflated_track(one: Track, daily: Sequence[float], tried: int) -> float:
    best_daily = expected_best(daily, tried, math.sqrt(one.per_day / one.n))  # of so many days: 1 / sqrt(days)
    return probability(one.ratio, best_daily / math.sqrt(one.per_day), one.n, one.skew, one.kurtosis)
