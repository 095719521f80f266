"""From what is held to what is wanted: what the trade costs, how much of it is worth that, or whether to stay.

The no-trade region of proportional costs: Davis, Norman, Portfolio selection with transaction costs, Mathematics of
Operations Research 15(4), 1990; here one trade, held for ``hold`` periods.
"""

from typing import Literal, NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.after_costs import best_utility_after
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.risks import deviations, measured

PARTS = 50  # of the way to what is wanted, each of which may be where it ends
SAME = 1e-9  # of turnover: rounding
GoalName = Literal["ratio", "risk", "utility", "rule"]


class Settled(NamedTuple):
    """Where a trade ends: ``wanted`` is None unless what is held stays; ``note`` says why, or how far it goes."""

    weights: FloatArray
    wanted: FloatArray | None = None
    note: str = ""


class Trader:
    """Weighs trades from ``feasible.current`` against their cost, for a universe's configuration."""

    def __init__(self, config: PortfolioConfig, feasible: Feasible) -> None:
        self._config = config
        self._feasible = feasible
        self.holds = bool(config.constraints.current)
        self.may_stay = self.holds and float(feasible.violation(feasible.current)) <= TOLERANCE

    def cost(self, weights: FloatArray) -> FloatArray:
        """Return what it costs to go to each row ``(..., n_assets)``, as a share of the money."""
        return self._config.costs.of_each(weights - self._feasible.current)

    def by_ratio(self, net_means: FloatArray, risks: FloatArray) -> FloatArray:
        """Worth by the mean above cash, after costs, over the risk; 0 without risk."""
        above = net_means - self._config.cash * self._feasible.budget
        return np.divide(above, risks, out=np.zeros_like(above), where=risks > 0.0)

    def by_risk(self, net_means: FloatArray, risks: FloatArray) -> FloatArray:
        """Worth by half of the aversion times the square of the risk that is saved, after costs."""
        return net_means - self._config.aversion / 2.0 * risks**2

    def settle(self, wanted: FloatArray, market: Market, goal: GoalName) -> Settled:
        """Return how far to go from what is held to what is ``wanted``.

        For a ``ratio`` or the least ``risk``, the best of ``PARTS`` parts of the way; all of it or nothing where the
        number of assets is limited. For a ``utility`` the optimum after costs, or for want of one the best part of the
        way. For a ``rule`` all of it. Nothing at all where less than the band would be traded.
        """
        if not self.may_stay:
            return Settled(wanted)
        config, held, share = self._config, self._feasible.current, 1.0
        weights = self._after_costs(market) if goal == "utility" and self._feasible.convex else None
        if weights is None:
            weights, share = self._part(wanted, market, goal)
        turnover = float(np.abs(weights - held).sum())
        if turnover < SAME:
            return self._stay(wanted, market, goal)
        if turnover < config.band:
            return Settled(held, wanted, f"what is held stays: {turnover:.2%} to trade is less than {config.band:.2%}")
        if share < 1.0:
            return Settled(weights, None, f"{share:.0%} of the way from what is held: more would not be worth its cost")
        return Settled(weights)

    def _stay(self, wanted: FloatArray, market: Market, goal: GoalName) -> Settled:
        """What is held, as nothing is traded; costs are the reason only where the trade would be good without them."""
        held = self._feasible.current
        if float(np.abs(wanted - held).sum()) < SAME:
            return Settled(held, None, "what is held stays: it is what is wanted")
        both = np.array([held, wanted])
        worth = self._worth(both, market, goal, np.zeros(2))
        if worth[1] <= worth[0]:
            return Settled(held, None, "what is held stays: nothing better is known")
        return Settled(held, wanted, f"what is held stays: no trade is worth its cost over {self._config.hold} periods")

    def _after_costs(self, market: Market) -> FloatArray | None:
        config = self._config
        return best_utility_after(
            market.mean, market.covariance, config.aversion, self._feasible, config.costs, config.hold
        )

    def _part(self, wanted: FloatArray, market: Market, goal: GoalName) -> tuple[FloatArray, float]:
        """The best part of the way, and how large it is."""
        if goal == "rule":
            return wanted, 1.0
        held = self._feasible.current
        parts = np.linspace(0.0, 1.0, PARTS + 1) if self._feasible.convex else np.array([0.0, 1.0])
        line = held + parts[:, None] * (wanted - held)
        line[-1] = wanted
        best = int(np.argmax(self._worth(line, market, goal, self.cost(line) / self._config.hold)))
        return line[best], float(parts[best])

    def _worth(self, rows: FloatArray, market: Market, goal: GoalName, cost: FloatArray) -> FloatArray:
        """What each row is worth for a goal, after a cost a period."""
        if goal == "ratio":
            return self.by_ratio(rows @ market.mean - cost, self._risks(rows, market))
        if goal == "utility":
            return self.by_risk(rows @ market.mean - cost, deviations(rows, market.covariance))
        return self.by_risk(-cost, self._risks(rows, market))

    def _risks(self, line: FloatArray, market: Market) -> FloatArray:
        return measured(self._config.risk, line, market.covariance, market.excess)
