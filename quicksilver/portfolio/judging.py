"""What a back test's strategy is worth: its figures after costs, and how sure its Sharpe ratio is.

The interval resamples blocks of random length, for returns cluster (Politis, Romano, The stationary bootstrap, Journal
of the American Statistical Association 89, 1994). A year's Sharpe ratio is a period's times the root of the periods in
a year, which holds for returns that do not depend on each other (Lo, The statistics of Sharpe ratios, Financial
Analysts Journal 58(4), 2002).
"""

import math
from typing import Any

import msgspec
import numpy as np

from quicksilver.events import SECOND_NS, FloatArray
from quicksilver.portfolio.backtest import Track
from quicksilver.portfolio.history import History

RESAMPLES = 1_000
LEVEL = 0.95
YEAR_NS = 365.25 * 86_400 * SECOND_NS
NO_DEVIATION = 1e-12  # of returns: less is what rounding leaves of returns that are all alike
MOST_LOG = 700.0  # of a year's growth: beyond, it is no double, and means nothing before that


class Judged(msgspec.Struct, frozen=True):
    """One strategy's figures, after costs.

    ``sharpe`` is annual, above cash, and lies in ``sharpe_low`` to ``sharpe_high`` with a probability of 95 %.
    ``turnover`` is the mean share of the money traded at a rebalancing after the first, ``cost`` the sum of all costs
    as shares of the money.
    """

    name: str
    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    max_drawdown: float
    turnover: float
    cost: float


def judged(name: str, track: Track, cash: float, periods_a_year: float, seed: int) -> Judged:
    """Return a track's figures; ``cash`` is what cash earns in a period."""
    returns, excess = track.returns, track.returns - cash
    wealth = np.cumprod(1.0 + returns)
    peak = np.maximum(np.maximum.accumulate(wealth), 1.0)
    low, high = _interval(excess, seed)
    scale, last = math.sqrt(periods_a_year), float(wealth[-1])
    return Judged(
        name, last - 1.0, _a_year(last, periods_a_year / len(returns)), float(returns.std()) * scale,
        _sharpe(excess) * scale, low * scale, high * scale, float((1.0 - wealth / peak).max()),
        float(track.turnover[1:].mean()) if len(track.turnover) > 1 else 0.0, float(track.costs.sum()),
    )  # fmt: skip


def periods_a_year(history: History) -> float:
    """Return how many of the history's periods, by their median, a year has room for; of days on an exchange, 252."""
    span = float(history.times_ns[-1] - history.times_ns[0])
    return min(YEAR_NS / history.every_ns, YEAR_NS * (len(history.times_ns) - 1) / span)


def _a_year(growth: float, share: float) -> float:
    """What a growth in one of so many parts of a year makes of the year."""
    return math.expm1(min(math.log(growth) * share, MOST_LOG)) if growth > 0.0 else -1.0


def _sharpe(excess: FloatArray) -> float:
    """0 of returns that are all alike: what has no risk has no ratio."""
    deviation = float(np.std(excess))
    return float(np.mean(excess)) / deviation if deviation > NO_DEVIATION else 0.0


def _interval(excess: FloatArray, seed: int) -> tuple[float, float]:
    from arch.bootstrap import StationaryBootstrap

    from quicksilver.learning.scores import block_length

    if float(np.std(excess)) <= NO_DEVIATION:
        return 0.0, 0.0
    bootstrap = StationaryBootstrap(block_length(excess), excess, seed=seed)
    measure: Any = _sharpe  # annotated there as what gives an array; a number does
    low, high = bootstrap.conf_int(measure, reps=RESAMPLES, method="percentile", size=LEVEL).ravel().tolist()
    return low, high
