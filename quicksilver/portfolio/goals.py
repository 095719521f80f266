"""What a portfolio is chosen for, and the best one for it; with a limit to the number of assets, by exchanging them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.estimators import Regular, conditioned, regular
from quicksilver.portfolio.past_solving import PastSolver
from quicksilver.portfolio.picks import LongOnly
from quicksilver.portfolio.risks import RiskName, measured, ratios
from quicksilver.portfolio.solving import Solver

MOST_ENTRIES = 24  # assets that are tried for each place, those of the relaxed problem's highest weights first
MOST_ROUNDS = 30
BETTER = 1e-9  # of a score: less is rounding


class Goal(NamedTuple):
    """``best`` gives the optimum over some assets of a convex set, ``(n_chosen,)`` or None; ``score`` falls to it.

    ``best`` is called with the set over the chosen assets alone and their positions among all.
    """

    best: Callable[[Feasible, list[int]], FloatArray | None]
    score: Callable[[FloatArray], float]


@dataclass(frozen=True)
class Market:
    """Moments and past of all assets: ``excess`` ``(n_observations, n_assets)`` are returns less cash in order.

    They are as ``risks.of_one_period`` has them.
    """

    mean: FloatArray
    covariance: FloatArray
    excess: FloatArray
    cash: float

    @cached_property
    def regular(self) -> Regular:
        """The covariance, made positive definite once for all that is solved by it."""
        return regular(self.covariance)

    @cached_property
    def _long_only(self) -> LongOnly:
        return LongOnly(self.covariance)

    def least_variance(self) -> FloatArray:
        """Return the exact long-only pick; raises as ``LongOnly`` does, for the covariance is taken as it is."""
        return self._long_only.min_variance()

    def best_sharpe(self) -> FloatArray | None:
        """Return the exact long-only pick above cash, in the same way."""
        return self._long_only.max_sharpe(self.mean - self.cash)

    def over(self, chosen: list[int]) -> "Market":
        """Return the market of these assets alone."""
        if chosen == list(range(len(self.mean))):
            return self
        return Market(
            self.mean[chosen], self.covariance[chosen][:, chosen], self.excess[:, chosen], self.cash
        )  # fmt: skip

    def risk(self, risk: RiskName, weights: FloatArray) -> float:
        """Return one portfolio's risk."""
        return float(measured(risk, weights[None], self.covariance, self.excess)[0])

    def ratio(self, risk: RiskName, weights: FloatArray) -> float:
        """Return one portfolio's mean above cash over its risk, to rank by."""
        return float(ratios(weights @ (self.mean - self.cash), np.array(self.risk(risk, weights))))


def least_risk(market: Market, risk: RiskName, value: float | None = None) -> Goal:
    """Return the goal of least risk, with a mean of ``value`` or more if one is given."""

    def best(feasible: Feasible, chosen: list[int]) -> FloatArray | None:
        part = market.over(chosen)
        if risk != "variance":
            solver = PastSolver(risk, part.excess, feasible)
            return solver.least() if value is None else solver.least(part.mean, value)
        exact = Solver(part.regular, feasible)
        return exact.min_variance() if value is None else exact.at_least(part.mean, value)

    return Goal(best, lambda weights: market.risk(risk, weights))


def best_ratio(market: Market, risk: RiskName) -> Goal:
    """Return the goal of the highest mean above cash over risk; without a mean above cash it has no optimum."""

    def best(feasible: Feasible, chosen: list[int]) -> FloatArray | None:
        part = market.over(chosen)
        above = part.mean - part.cash
        if risk != "variance":
            return PastSolver(risk, part.excess, feasible).best_ratio(above)
        return Solver(part.regular, feasible).max_sharpe(above)

    return Goal(best, lambda weights: -market.ratio(risk, weights))


def best_utility(market: Market, aversion: float) -> Goal:
    """Return the goal of the highest mean less half of ``aversion`` times the variance."""

    def best(feasible: Feasible, chosen: list[int]) -> FloatArray | None:
        part = market.over(chosen)
        return Solver(part.regular, feasible).max_utility(part.mean, aversion)

    def score(weights: FloatArray) -> float:
        return float(aversion / 2.0 * (weights @ market.covariance @ weights) - weights @ market.mean)

    return Goal(best, score)


def nearest(covariance: FloatArray, wanted: FloatArray) -> Goal:
    """Return the goal of differing least from ``wanted`` ``(n_assets,)``, by the variance of the difference."""

    def best(feasible: Feasible, chosen: list[int]) -> FloatArray | None:
        # What is wanted of the others cannot be had: its risk is carried by those that move with them.
        part = conditioned(covariance[chosen][:, chosen])[0]
        others = wanted.copy()
        others[chosen] = 0.0
        pull = np.linalg.solve(part, covariance[chosen] @ others)
        return Solver(part, feasible).nearest(wanted[chosen] + pull)

    def score(weights: FloatArray) -> float:
        return float((weights - wanted) @ covariance @ (weights - wanted))

    return Goal(best, score)


def optimum(goal: Goal, feasible: Feasible, starts: Iterable[FloatArray] = ()) -> FloatArray | None:
    """Return the best weights ``(n_assets,)``, or None where there are none.

    They are exact, unless the number of assets is limited: then assets are dropped, added and exchanged for others one
    by one, from the assets of ``starts`` (weights) and those of the problem without the limit on, as long as it helps.
    """
    n = len(feasible.low)
    if feasible.convex:
        return goal.best(feasible, list(range(n)))
    search = _Search(goal, feasible)
    relaxed = goal.best(replace(feasible, most=n, low=np.minimum(feasible.low, 0.0)), list(range(n)))
    guides = [*([] if relaxed is None else [relaxed]), *starts]
    order = np.argsort(-np.abs(guides[0]), kind="stable").tolist() if guides else list(range(n))
    supports = {frozenset(np.argsort(-np.abs(one), kind="stable")[: feasible.most].tolist()) for one in guides}
    supports |= {frozenset(np.flatnonzero(one).tolist()) for one in starts}
    found = [search.climb(support, order) for support in sorted(supports, key=sorted)]
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: one[0])[1] if known else None


def on_support(goal: Goal, feasible: Feasible, chosen: list[int]) -> FloatArray | None:
    """Return the best weights ``(n_assets,)`` of which none but the chosen assets' differs from 0, or None."""
    part = feasible.only(chosen)
    found = None if part.turnover < 0.0 else goal.best(part, chosen)
    if found is None:
        return None
    weights = np.zeros(len(feasible.low))
    weights[chosen] = found
    return None if feasible.violation(weights) > TOLERANCE else weights


class _Search:
    """Remembers the optimum of each set of assets that was tried."""

    def __init__(self, goal: Goal, feasible: Feasible) -> None:
        self._goal = goal
        self._feasible = feasible
        self._known: dict[frozenset[int], tuple[float, FloatArray] | None] = {}

    def climb(self, support: frozenset[int], order: list[int]) -> tuple[float, FloatArray] | None:
        """Go to the best neighbour as long as it is better."""
        best = self._value(support)
        for _ in range(MOST_ROUNDS):
            tried = [(self._value(one), one) for one in self._neighbours(support, order)]
            values = [(value[0], sorted(one), value) for value, one in tried if value is not None]
            if not values:
                break
            score, members, value = min(values, key=lambda one: one[:2])
            if best is not None and score >= best[0] - BETTER * abs(best[0]):
                break
            best, support = value, frozenset(members)
        return best

    def _neighbours(self, support: frozenset[int], order: list[int]) -> list[frozenset[int]]:
        entering = [i for i in order if i not in support][:MOST_ENTRIES]
        fewer = [support - {i} for i in sorted(support)] if len(support) > 1 else []
        more = [support | {i} for i in entering] if len(support) < self._feasible.most else []
        swapped = [(support - {i}) | {j} for i in sorted(support) for j in entering]
        return fewer + more + swapped

    def _value(self, support: frozenset[int]) -> tuple[float, FloatArray] | None:
        if support not in self._known:
            self._known[support] = self._best(support)
        return self._known[support]

    def _best(self, support: frozenset[int]) -> tuple[float, FloatArray] | None:
        if len(support) > self._feasible.most:
            return None
        weights = on_support(self._goal, self._feasible, sorted(support))
        return None if weights is None else (self._goal.score(weights), weights)
