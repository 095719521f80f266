"""Walk-forward back test of the picks: what each would have earned on prices that it had not seen, after costs.

At each rebalancing the moments are those of the window that ends there; then the holdings drift with the prices. The
Sharpe ratio's interval resamples blocks of random length, for returns cluster (Politis, Romano, The stationary
bootstrap, Journal of the American Statistical Association 89, 1994).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, FloatArray
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.history import LIVE, History
from quicksilver.portfolio.research import Question, Research, names_of

RESAMPLES = 1_000
LEVEL = 0.95
YEAR_NS = 365.25 * 86_400 * SECOND_NS
HOLD = "buy_and_hold"
MOST_TURNOVER = 10.0


class Plan(msgspec.Struct, frozen=True):
    """How it walks: so many prices ``window`` to learn from, rebalanced ``every`` so many periods.

    Less than ``band`` is not traded: where all trades together are a smaller share of the money, the holdings stay.
    """

    window: int = 250
    every: int = 20
    band: float = 0.0
    costs: Costs = Costs()


class Track(NamedTuple):
    """What one strategy did: ``returns`` ``(n_periods,)`` after costs, ``turnover`` and ``costs`` a rebalancing."""

    returns: FloatArray
    turnover: FloatArray
    costs: FloatArray


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


def walk(history: History, question: Question, plan: Plan) -> dict[str, Track]:
    """Return each pick's track by name, and those of equal weight and of buying it once and holding.

    Raises:
        InputError: the history or the plan is too short, or no portfolio keeps the constraints.
    """
    _check(history, plan)
    tracks = {}
    shared: dict[int, Research] = {}
    for name in names_of(question):
        if name != "current":  # what is held now was not held then
            tracks[name] = _track(history, question, plan, _chooser(history, question, plan, name, shared))
    equal = np.full(len(history.assets), question.constraints.budget / len(history.assets))
    tracks[HOLD] = _track(history, question, plan, lambda _, held: equal if held is None else held)
    return tracks


def _chooser(
    history: History, question: Question, plan: Plan, name: str, shared: dict[int, Research]
) -> Callable[[int, FloatArray | None], FloatArray]:
    """What a strategy wants at a time, given what it holds; without a limit to turnover all learn together."""
    limited = question.constraints.turnover is not None

    def choose(at: int, held: FloatArray | None) -> FloatArray:
        if at not in shared or limited:
            span = slice(at - plan.window, at + 1)
            known = history._replace(times_ns=history.times_ns[span], prices=history.prices[span])
            research = _learned(known, question, held)
            if limited:
                return research.pick(name)[1]
            shared[at] = research
        return shared[at].pick(name)[1]

    return choose


def _learned(known: History, question: Question, held: FloatArray | None) -> Research:
    """What a window tells.

    The first purchase is not limited; where prices have carried what is held out of its bounds, as much more may be
    traded, in steps of a quarter, as it takes to bring it back.
    """
    current = {} if held is None else dict(zip(known.assets, held.tolist(), strict=True))
    turnover = None if held is None else question.constraints.turnover
    while True:
        constraints = msgspec.structs.replace(question.constraints, current=current, turnover=turnover)
        try:
            return Research(known, msgspec.structs.replace(question, constraints=constraints))
        except InputError:
            if turnover is None:
                raise
            turnover = max(turnover, 0.01) * 1.25
            turnover = turnover if turnover < MOST_TURNOVER else None


def _track(
    history: History, question: Question, plan: Plan, choose: Callable[[int, FloatArray | None], FloatArray]
) -> Track:
    """Hold what is chosen from each rebalancing to the next; what is not invested earns cash."""
    growth = history.prices[1:] / history.prices[:-1]
    held: FloatArray | None = None
    returns, turnover, costs = list[FloatArray](), list[float](), list[float]()
    for at in range(plan.window, len(growth), plan.every):
        wanted = choose(at, held)
        before = np.zeros(len(wanted)) if held is None else held
        trades = wanted - before
        if held is not None and np.abs(trades).sum() < plan.band:
            wanted, trades = before, np.zeros(len(wanted))
        turnover.append(float(np.abs(trades).sum()))
        costs.append(min(plan.costs.of(trades), 1.0))
        grown = wanted * np.cumprod(growth[at : at + plan.every], axis=0)
        cash = (1.0 - wanted.sum()) * (1.0 + question.cash) ** np.arange(1, len(grown) + 1)
        value = (1.0 - costs[-1]) * np.maximum(grown.sum(axis=1) + cash, 0.0)
        path = np.concatenate([[1.0], value])
        returns.append(np.divide(path[1:], path[:-1], out=np.zeros(len(value)), where=path[:-1] > 0.0) - 1.0)
        total = float(grown[-1].sum() + cash[-1])
        held = grown[-1] / total if total > 0.0 else np.zeros(len(wanted))
    return Track(np.concatenate(returns), np.array(turnover), np.array(costs))


def judged(name: str, track: Track, cash: float, periods_a_year: float, seed: int) -> Judged:
    """Return a track's figures; ``cash`` is what cash earns in a period."""
    returns, excess = track.returns, track.returns - cash
    wealth = np.cumprod(1.0 + returns)
    peak = np.maximum(np.maximum.accumulate(wealth), 1.0)
    low, high = _interval(excess, seed)
    scale, last = math.sqrt(periods_a_year), float(wealth[-1])
    return Judged(
        name, last - 1.0, last ** (periods_a_year / len(returns)) - 1.0, float(returns.std()) * scale,
        _sharpe(excess) * scale, low * scale, high * scale, float((1.0 - wealth / peak).max()),
        float(track.turnover[1:].mean()) if len(track.turnover) > 1 else 0.0, float(track.costs.sum()),
    )  # fmt: skip


def periods_a_year(history: History) -> float:
    """Return how many of the history's periods, by their median, a year has room for; of days on an exchange, 252."""
    period_ns = float(np.median(np.diff(history.times_ns)))
    span_ns = float(history.times_ns[-1] - history.times_ns[0])
    return min(YEAR_NS / period_ns, YEAR_NS * (len(history.times_ns) - 1) / span_ns)


def _sharpe(excess: FloatArray) -> float:
    deviation = float(np.std(excess))
    return float(np.mean(excess)) / deviation if deviation > 0.0 else 0.0


def _interval(excess: FloatArray, seed: int) -> tuple[float, float]:
    from arch.bootstrap import StationaryBootstrap

    from quicksilver.learning.scores import block_length

    if np.ptp(excess) == 0.0:
        return 0.0, 0.0
    bootstrap = StationaryBootstrap(block_length(excess), excess, seed=seed)
    measure: Any = _sharpe  # annotated there as what gives an array; a number does
    low, high = bootstrap.conf_int(measure, reps=RESAMPLES, method="percentile", size=LEVEL).ravel().tolist()
    return low, high


def _check(history: History, plan: Plan) -> None:
    if plan.window < LIVE.min_observations or plan.every < 1:
        raise InputError(
            f"a window of {plan.window} periods, moved on by {plan.every}, cannot be walked: give"
            f" {LIVE.min_observations} or more, and 1 or more"
        )
    costs = (plan.costs.fee_bps, plan.costs.spread_bps, plan.costs.impact_bps, plan.band)
    if not all(0.0 <= one < math.inf for one in costs):
        raise InputError("fee, spread, impact and band must be 0 or more")
    n_times = len(history.times_ns)
    if n_times < plan.window + plan.every + 1:
        raise InputError(
            f"{n_times} moments with prices of all assets; a window of {plan.window} and one rebalancing period of"
            f" {plan.every} need {plan.window + plan.every + 1}: shorten the window"
        )
