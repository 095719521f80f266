"""What each pick of a live universe goes for, before what it costs to go there."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.goals import Goal, Market, best_ratio, best_utility, least_risk, nearest
from quicksilver.portfolio.growing import Evaluated
from quicksilver.portfolio.risks import NAMES, measured, ratios
from quicksilver.portfolio.searching import Search, tried
from quicksilver.portfolio.solving import risk_parity
from quicksilver.portfolio.trading import GoalName

TOWARDS = 6  # portfolios by chance that a search may go towards
EXACT = 1e-12  # a constraint that is violated by less is kept
LOST = "the best that was drawn: rounding has lost the exact one"
TRIED = "the best of the sets of assets tried so far"


class Target(NamedTuple):
    """A pick's weights ``(n_assets,)``, what it is chosen for, and what there is to say of it."""

    weights: FloatArray
    goal: GoalName
    note: str = ""


class Targets:
    """The picks' targets: exact at every update where quadratic programs find them, else searched for."""

    def __init__(self, config: PortfolioConfig, feasible: Feasible) -> None:
        self._config = config
        self._feasible = feasible
        self._all = list(range(len(feasible.low)))
        self._nearest_equal: FloatArray | None = None
        self.search = Search(config, feasible)

    def find(self, update: int, market: Market, drawn: Evaluated) -> dict[str, Target]:
        """Return the picks' targets by name (``research.names_of``) at the ``update``-th update, from 1 on.

        Where no feasible mean is above cash there is no highest ratio, and the least risk stands in for it under its
        name with ``_fallback``.
        """
        config, (calm, sharp) = self._config, NAMES[self._config.risk]
        found = {calm: self._least_risk(update, market, drawn)}
        best = self._best_ratio(update, market, drawn)
        if best is not None:
            found[sharp] = best
        else:
            note = f"no feasible mean is above cash: {calm} stands in for {sharp}"
            found[f"{sharp}_fallback"] = found[calm]._replace(note=joined(note, found[calm].note))
        goal = best_utility(market, config.aversion)
        weights, note = self._solved(update, "max_utility", goal, lambda: drawn.most_useful(config.aversion))
        found["max_utility"] = Target(weights, "utility", note)
        budget, n = self._feasible.budget, len(self._all)
        parity = budget * risk_parity(market.regular)
        found["risk_parity"] = self._rule(update, "risk_parity", parity, market.covariance, drawn)
        found["equal_weight"] = self._rule(update, "equal_weight", np.full(n, budget / n), np.eye(n), drawn)
        if config.constraints.current:
            held = self._feasible.current
            kept = float(self._feasible.violation(held)) <= TOLERANCE
            found["current"] = Target(held, "rule", "" if kept else "what is held does not keep the constraints")
        return found

    def _least_risk(self, update: int, market: Market, drawn: Evaluated) -> Target:
        name, goal = NAMES[self._config.risk][0], least_risk(market, self._config.risk)
        if self._config.risk != "variance":
            starts = [drawn.least(drawn.risks), *drawn.some(self._rng(update), TOWARDS)]
            score = self._past_risks(market)
            weights, note = self.search.step(update, name, goal, len(market.excess), starts, score)
            return Target(weights, "risk", note)
        if self._config.constraints.none:
            plain = tried(market.least_variance)
            if plain is not None:
                return Target(plain, "risk")
        weights, note = self._solved(update, name, goal, lambda: drawn.least(drawn.risks))
        return Target(weights, "risk", note)

    def _best_ratio(self, update: int, market: Market, drawn: Evaluated) -> Target | None:
        config, cash = self._config, self._config.cash * self._feasible.budget
        best = drawn.least(-drawn.ratios(cash))
        name, goal = NAMES[config.risk][1], best_ratio(market, config.risk)
        note = ""
        if config.risk != "variance":
            risks = self._past_risks(market)
            above = market.mean - market.cash
            starts = [best, *drawn.some(self._rng(update), TOWARDS)]
            weights, note = self.search.step(
                update, name, goal, len(market.excess), starts, lambda rows: -ratios(rows @ above, risks(rows))
            )
        elif config.constraints.none:
            plain = tried(market.best_sharpe)
            weights = best if plain is None else plain
        else:
            weights, note = self._solved(update, name, goal, lambda: best)
        return Target(weights, "ratio", note) if float(weights @ market.mean) > cash else None

    def _solved(self, update: int, name: str, goal: Goal, drawn: Callable[[], FloatArray]) -> tuple[FloatArray, str]:
        """The optimum; with few assets, the best by exchanging them; else what was ``drawn``; and a note."""
        if not self._feasible.convex:
            return self.search.exchange(update, name, goal, drawn()), TRIED
        weights = tried(lambda: goal.best(self._feasible, self._all))
        return (drawn(), LOST) if weights is None else (weights, "")

    def _rule(
        self, update: int, name: str, wanted: FloatArray, covariance: FloatArray, drawn: Evaluated
    ) -> Target:  # fmt: skip
        """What is wanted if it is feasible, else what is nearest to it."""
        if float(self._feasible.violation(wanted)) <= EXACT:
            return Target(wanted, "rule")
        note = f"the nearest to {name.replace('_', ' ')} that keeps the constraints"
        fixed = name == "equal_weight" and self._feasible.convex  # nearest by no market: always the same
        if fixed and self._nearest_equal is not None:
            return Target(self._nearest_equal, "rule", note)
        weights, more = self._solved(update, name, nearest(covariance, wanted), lambda: drawn.bank.weights(0))
        if fixed:
            self._nearest_equal = weights
        return Target(weights, "rule", joined(note, more))

    def _past_risks(self, market: Market) -> Callable[[FloatArray], FloatArray]:
        return lambda rows: measured(self._config.risk, rows, market.covariance, market.excess)

    def _rng(self, update: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, 5, update])


def joined(*notes: str) -> str:
    """Return what there is to say of a pick as one text."""
    return "; ".join(one for one in notes if one)
