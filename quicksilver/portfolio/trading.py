"""From what is held to what is wanted: what the trade costs, how much of it is worth that, or whether to stay.

The no-trade region of proportional costs: Davis, Norman, Portfolio selection with transaction costs, Mathematics of
Operations Research 15(4), 1990; here one trade, held for ``hold`` periods.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.after_costs import best_utility_after
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.goals import Market, nearest, optimum
from quicksilver.portfolio.risks import LEAST, deviations, measured, ratios
from quicksilver.portfolio.searching import tried

PARTS = 50  # of the way to what is wanted, each of which may be where it ends
SAME = 1e-9  # of turnover: rounding
HELD, NEAREST = "what is held stays", "what is held goes no further than into the constraints"
LOST = "all of the way: rounding has lost what keeps the constraints and is nearest to what is held"
GoalName = Literal["ratio", "risk", "utility", "rule"]


class Settled(NamedTuple):
    """Where a trade ends: ``wanted`` is None unless it goes no further than it must; ``note`` says why, or how far."""

    weights: FloatArray
    wanted: FloatArray | None = None
    note: str = ""


class Trader:
    """Weighs trades from ``feasible.current`` against their cost, for a universe's configuration.

    Where what is held does not keep the constraints, a trade has to go at least to what is ``nearest`` to it, by the
    sum of squares, and its way begins there. ``gone`` are weights that are held of assets which are not among those of
    ``feasible``: whichever way is gone, they are sold.
    """

    def __init__(self, config: PortfolioConfig, feasible: Feasible, gone: Sequence[float] = ()) -> None:
        self._config = config
        self._feasible = feasible
        self.gone = list(gone)
        self._cost_of_gone = config.costs.of(np.array(self.gone))
        self.holds = bool(config.constraints.current) or bool(len(gone))
        self._start = self._nearest() if self.holds else None
        self._stays = HELD if self._start is feasible.current and not len(gone) else NEAREST

    def _nearest(self) -> FloatArray | None:
        """What is held, or what keeps the constraints nearest to it; None if rounding loses that."""
        held, feasible = self._feasible.current, self._feasible
        if float(feasible.violation(held)) <= TOLERANCE:
            return held
        return tried(lambda: optimum(nearest(np.eye(len(held)), held), feasible))

    def cost(self, weights: FloatArray) -> FloatArray:
        """Return what it costs to go to each row ``(..., n_assets)``, as a share of the money."""
        return self._config.costs.of_each(weights - self._feasible.current) + self._cost_of_gone

    def turnover(self, weights: FloatArray) -> FloatArray:
        """Return the sum of all changes of weight on the way to each row ``(..., n_assets)``."""
        traded: FloatArray = np.abs(weights - self._feasible.current).sum(axis=-1)
        return traded + sum(abs(one) for one in self.gone)

    def settle(self, wanted: FloatArray, market: Market, goal: GoalName) -> Settled:
        """Return how far to go from what is held to what is ``wanted``.

        For a ``ratio`` or the least ``risk``, the best of ``PARTS`` parts of the way; all of it or nothing where the
        number of assets is limited. For a ``utility`` the optimum after costs, or for want of one the best part of the
        way. For a ``rule`` all of it. No further than the constraints ask for where less than the band would be traded.
        """
        if self._start is None:
            return Settled(wanted, None, LOST if self.holds else "")
        config, start, share = self._config, self._start, 1.0
        weights = self._after_costs(market) if goal == "utility" and self._feasible.convex else None
        if weights is None:
            weights, share = self._part(start, wanted, market, goal)
        turnover = float(np.abs(weights - start).sum())
        if turnover < SAME:
            return self._stay(start, wanted, market, goal)
        if turnover < config.band:
            return Settled(start, wanted, f"{self._stays}: {turnover:.2%} to trade is less than {config.band:.2%}")
        if share < 1.0:
            return Settled(weights, None, f"{share:.0%} of the way from what is held: more would not be worth its cost")
        return Settled(weights)

    def _stay(self, start: FloatArray, wanted: FloatArray, market: Market, goal: GoalName) -> Settled:
        """What is held, as nothing is traded; costs are the reason only where the trade would be good without them."""
        if float(np.abs(wanted - start).sum()) < SAME:
            return Settled(start, None, f"{self._stays}: it is what is wanted")
        both = np.array([start, wanted])
        worth = self._worth(both, market, goal, np.zeros(2))
        if worth[1] <= worth[0]:
            return Settled(start, None, f"{self._stays}: nothing better is known")
        return Settled(start, wanted, f"{self._stays}: no trade is worth its cost over {self._config.hold} periods")

    def _after_costs(self, market: Market) -> FloatArray | None:
        config = self._config
        return best_utility_after(market, config.aversion, self._feasible, config.costs, config.hold)

    def _part(
        self, start: FloatArray, wanted: FloatArray, market: Market, goal: GoalName
    ) -> tuple[FloatArray, float]:  # fmt: skip
        """The best part of the way, and how large it is."""
        if goal == "rule":
            return wanted, 1.0
        parts = np.linspace(0.0, 1.0, PARTS + 1) if self._feasible.convex else np.array([0.0, 1.0])
        line = start + parts[:, None] * (wanted - start)
        line[-1] = wanted
        best = int(np.argmax(self._worth(line, market, goal, self.cost(line) / self._config.hold)))
        return line[best], float(parts[best])

    def _worth(self, rows: FloatArray, market: Market, goal: GoalName, cost: FloatArray) -> FloatArray:
        """What each row is worth for a goal, after a cost a period."""
        config, means = self._config, rows @ market.mean - cost
        if goal == "ratio":
            return ratios(means - config.cash * self._feasible.budget, self._risks(rows, market))
        spread = deviations(rows, market.covariance)
        if goal == "utility":
            return means - config.aversion / 2.0 * spread**2
        # A cost is one of a period, and so is a deviation; a drawdown is one of the whole window. What is saved of any
        # risk counts as if the deviation fell by the same share.
        risks = self._risks(rows, market)
        most = int(np.argmax(np.abs(risks)))
        unit = spread[most] / max(abs(float(risks[most])), LEAST)
        return -cost - config.aversion / 2.0 * unit**2 * risks * np.abs(risks)

    def _risks(self, line: FloatArray, market: Market) -> FloatArray:
        return measured(self._config.risk, line, market.covariance, market.excess)
