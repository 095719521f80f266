"""The efficient frontier of a live universe, kept from update to update and bettered at each one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.feasibility import corner
from quicksilver.portfolio.goals import Market, least_risk
from quicksilver.portfolio.growing import Evaluated
from quicksilver.portfolio.pareto import efficient
from quicksilver.portfolio.picks import pareto
from quicksilver.portfolio.risks import measured
from quicksilver.portfolio.searching import neighbours, tried

FIRST = 8  # updates within which each point is solved once: all at one would take long


class Line(NamedTuple):
    """Portfolios ``(n, n_assets)`` that none beats, by rising risk; ``means`` and ``risks`` are ``(n,)``."""

    weights: FloatArray
    means: FloatArray
    risks: FloatArray


class Front:
    """The Pareto set of all that was ever found, by the newest moments.

    At each update the last set is evaluated anew, beside the best of the bank and the picks. Where the feasible set is
    convex, so is the frontier, and what lies halfway between neighbours is feasible and has less risk than they have on
    average; and one point by turns is solved exactly (variance; all of them within the first ``FIRST`` updates), or
    looked for near the one that is there (other risks).
    """

    def __init__(self, config: PortfolioConfig, feasible: Feasible) -> None:
        self._config = config
        self._feasible = feasible
        self.weights: FloatArray = np.empty((0, len(feasible.low)))

    def update(self, update: int, market: Market, drawn: Evaluated, known: list[FloatArray]) -> Line:
        """Return the frontier at the ``update``-th update, with what is ``known`` among its candidates."""
        config, old = self._config, self.weights
        best = drawn.bank.weights(pareto(drawn.means, drawn.risks, config.n_frontier))
        rows = np.vstack([*known, best, old])
        if self._feasible.convex:
            rows = np.vstack([rows, (old[1:] + old[:-1]) / 2.0, *self._better(update, market, rows, drawn)])
        line = self._line(rows, market)
        line = self._line(np.vstack([line.weights[self._thinned(line.means)], *known]), market)
        self.weights = line.weights
        return line

    def _line(self, rows: FloatArray, market: Market) -> Line:
        risks = measured(self._config.risk, rows, market.covariance, market.excess)
        means = rows @ market.mean
        kept = efficient(risks, means)
        if self._feasible.convex:
            kept = kept[_envelope(risks[kept], means[kept])]
        return Line(rows[kept], means[kept], risks[kept])

    def _thinned(self, means: FloatArray) -> list[int]:
        """Both ends, and those that are nearest to the means of the points that are solved by turns."""
        wanted = np.linspace(means[0], means[-1], self._config.n_frontier)
        nearest: list[int] = np.abs(means[:, None] - wanted).argmin(axis=0).tolist()
        return sorted(set(nearest))

    def _better(self, update: int, market: Market, rows: FloatArray, drawn: Evaluated) -> list[FloatArray]:
        """One point by turns, from the calmest to the highest mean; and that of the highest mean once in a turn."""
        n = self._config.n_frontier
        turn = update % n
        found = list[FloatArray]()
        if turn == 1:
            top = tried(lambda: corner(self._feasible, -market.mean / (np.max(np.abs(market.mean)) or 1.0)))
            if top is not None and float(self._feasible.violation(top)) <= TOLERANCE:
                found.append(top)
        means = np.vstack([rows, *found]) @ market.mean
        risks = measured(self._config.risk, rows, market.covariance, market.excess)
        low, high = float(means[np.argmin(risks)]), float(means.max())
        values = np.linspace(low, high, n)
        if self._config.risk == "variance":
            wanted = values[1:-1][update - 1 :: FIRST] if update <= FIRST else values[turn : turn + 1]
            exact = [self._exact(market, float(value)) for value in wanted]
            return found + [one for one in exact if one is not None]
        above = np.flatnonzero(means[: len(rows)] >= min(values[turn], float(means[: len(rows)].max())))
        start = rows[above[np.argmin(risks[above])]]
        rng = np.random.default_rng([self._config.seed, 6, update])
        return [*found, *neighbours(start, np.array([*rows[:6], *drawn.some(rng, 6)]), self._feasible, rng)]

    def _exact(self, market: Market, value: float) -> FloatArray | None:
        goal = least_risk(market, "variance", value)
        return tried(lambda: goal.best(self._feasible, list(range(len(market.mean)))))


@jit
def _envelope(risks: FloatArray, means: FloatArray) -> NDArray[np.int64]:
    """The points that no mixture of two others beats, of points by rising risk and mean: risks are convex."""
    kept, count = np.empty(len(risks), np.int64), 0
    for i in range(len(risks)):
        while count > 1:
            a, b = kept[count - 2], kept[count - 1]
            rise = (means[b] - means[a]) * (risks[i] - risks[a]) - (means[i] - means[a]) * (risks[b] - risks[a])
            if rise > 0.0:
                break
            count -= 1
        kept[count] = i
        count += 1
    return kept[:count]
