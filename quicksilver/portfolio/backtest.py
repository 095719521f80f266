"""Walk-forward back test of the picks: what each would have earned on prices that it had not seen, after costs.

At each rebalancing the moments are those of the window that ends there, or ``delay`` periods before; then the holdings
drift with the prices. An asset takes part from the rebalancing on at which a whole window of its prices is known, and
until its last price: so a test neither begins late nor ends early for an asset that came late or was delisted, and
does not know beforehand which assets last.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.absent import among
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.history import LIVE, History
from quicksilver.portfolio.listing import Plan, day_of, first_of, there_at
from quicksilver.portfolio.research import Question, Research, names_of
from quicksilver.portfolio.risks import NAMES

HOLD = "buy_and_hold"
MOST_TURNOVER = 10.0
Choose = Callable[[int, NDArray[np.int64], FloatArray | None], tuple[str, FloatArray]]


class Track(NamedTuple):
    """What one strategy did: ``returns`` ``(n_periods,)`` after costs, ``turnover`` and ``costs`` a rebalancing.

    At ``stand_ins`` rebalancings another pick stood in for its own, as ``Research.pick`` says.
    """

    returns: FloatArray
    turnover: FloatArray
    costs: FloatArray
    stand_ins: int = 0


def walk(history: History, question: Question, plan: Plan) -> dict[str, Track]:
    """Return each pick's track by name, and those of equal weight and of buying it once and holding.

    Prices of the history are NaN before an asset's first and after its last.

    Raises:
        InputError: the history or the plan is too short, or no portfolio keeps the constraints.
    """
    _check(history, plan)
    Feasible.of(question.constraints, history.assets)  # a name that is not there is refused, one that is absent is not
    tracks = {}
    shared: dict[int, Research] = {}
    for name in names_of(question):
        if name != "current":  # what is held now was not held then
            tracks[name] = _track(history, question, plan, name, _choose(history, question, plan, name, shared))
    budget = question.constraints.budget

    def once(_: int, there: NDArray[np.int64], held: FloatArray | None) -> tuple[str, FloatArray]:
        if held is not None:
            return HOLD, held
        equal = np.zeros(len(history.assets))
        equal[there] = budget / len(there)
        return HOLD, equal

    tracks[HOLD] = _track(history, question, plan, HOLD, once)
    return tracks


def stood_in(tracks: Mapping[str, Track], question: Question) -> list[str]:
    """Return a sentence on each strategy that another pick has stood in for."""
    calm = NAMES[question.risk][0]
    return [
        f"{name}: at {track.stand_ins} of {len(track.costs)} rebalancings no feasible mean was above cash, and {calm}"
        " stood in"
        for name, track in tracks.items()
        if track.stand_ins
    ]


def _choose(history: History, question: Question, plan: Plan, name: str, shared: dict[int, Research]) -> Choose:
    """What a strategy wants at a time, given what it holds; without a limit to turnover all learn together."""
    limited = question.constraints.turnover is not None

    def choose(at: int, there: NDArray[np.int64], held: FloatArray | None) -> tuple[str, FloatArray]:
        research = shared.get(at)
        if research is None or limited:
            span = slice(at - plan.delay - plan.window, at - plan.delay + 1)
            known = History(
                [history.assets[i] for i in there], history.times_ns[span], history.prices[span][:, there]
            )  # fmt: skip
            try:
                research = _learned(known, question, None if held is None else held[there])
            except InputError as error:
                raise InputError(f"at {day_of(history, at)}: {error}") from error
            shared[at] = research
        wanted = np.zeros(len(history.assets))
        found, wanted[there] = research.pick(name)
        return found, wanted

    return choose


def _learned(known: History, question: Question, held: FloatArray | None) -> Research:
    """What a window tells.

    The first purchase is not limited; where prices have carried what is held out of its bounds, as much more may be
    traded, in steps of a quarter, as it takes to bring it back.
    """
    current = {} if held is None else dict(zip(known.assets, held.tolist(), strict=True))
    turnover = None if held is None else question.constraints.turnover
    while True:
        limits = msgspec.structs.replace(question.constraints, current=current, turnover=turnover)
        constraints, _ = among(limits, known.assets)
        try:
            return Research(known, msgspec.structs.replace(question, constraints=constraints))
        except InputError:
            if turnover is None:
                raise
            turnover = max(turnover, 0.01) * 1.25
            turnover = turnover if turnover < MOST_TURNOVER else None


def _track(history: History, question: Question, plan: Plan, name: str, choose: Choose) -> Track:
    """Hold what is chosen from each rebalancing to the next; what is not invested earns cash, or costs it if borrowed.

    Who has lost everything stays at nothing.
    """
    growth = _growth(history.prices, plan.delisted, question.cash)
    held: FloatArray | None = None
    returns, turnover, costs, stand_ins = list[FloatArray](), list[float](), list[float](), 0
    for at in range(first_of(history, plan), len(growth), plan.every):
        there, span = there_at(history, plan, at), growth[at : at + plan.every]
        before = np.zeros(len(history.assets)) if held is None else held
        found, wanted = choose(at, there, held) if len(there) >= 2 else (name, before)
        stand_ins += found != name
        trades = wanted - before
        if held is not None and np.abs(trades).sum() < plan.band:
            wanted, trades = before, np.zeros(len(before))
        turnover.append(float(np.abs(trades).sum()))
        costs.append(min(plan.costs.of(trades), 1.0))
        grown = wanted * np.cumprod(span, axis=0)
        cash = (1.0 - wanted.sum()) * (1.0 + question.cash) ** np.arange(1, len(grown) + 1)
        value = (1.0 - costs[-1]) * (grown.sum(axis=1) + cash)
        value[np.logical_or.accumulate(value <= 0.0)] = 0.0
        path = np.concatenate([[1.0], value])
        returns.append(np.divide(path[1:], path[:-1], out=np.ones(len(value)), where=path[:-1] > 0.0) - 1.0)
        if value[-1] <= 0.0:
            returns.append(np.zeros(len(growth) - at - len(value)))
            break
        held = grown[-1] / float(grown[-1].sum() + cash[-1])
    return Track(np.concatenate(returns), np.array(turnover), np.array(costs), stand_ins)


def _growth(prices: FloatArray, delisted: float, cash: float) -> FloatArray:
    """What becomes of each asset's worth from one price to the next, ``(n_times - 1, n_assets)``; without one, cash."""
    known, nothing = np.isfinite(prices), np.full_like(prices[1:], 1.0 + cash)
    growth = np.divide(prices[1:], prices[:-1], out=nothing, where=known[1:] & known[:-1])
    growth[known[:-1] & ~known[1:]] = 1.0 - delisted
    return growth


def _check(history: History, plan: Plan) -> None:
    if plan.window < LIVE.min_observations or plan.every < 1 or plan.delay < 0:
        raise InputError(
            f"a window of {plan.window} periods, moved on by {plan.every}, with a delay of {plan.delay}, cannot be"
            f" walked: give {LIVE.min_observations} or more, 1 or more, and 0 or more"
        )
    if not 0.0 <= plan.delisted <= 1.0:
        raise InputError(f"of an asset that is delisted a share of 0 to 1 is lost, not {plan.delisted:g}")
    costs = (plan.costs.fee_bps, plan.costs.spread_bps, plan.costs.impact_bps, plan.band)
    if not all(0.0 <= one < np.inf for one in costs):
        raise InputError("fee, spread, impact and band must be 0 or more")
    n_times, needed = len(history.times_ns), plan.window + plan.delay + plan.every + 1
    if n_times < needed:
        raise InputError(
            f"{n_times} moments with prices of all assets; a window of {plan.window} and one rebalancing period of"
            f" {plan.every} need {needed}: shorten the window"
        )
    if len(history.assets) < 2:
        raise InputError(f"a back test needs two assets or more; there is {', '.join(history.assets) or 'none'}")
