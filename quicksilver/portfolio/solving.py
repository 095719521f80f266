"""Exact portfolios under linear constraints: least variance, highest Sharpe ratio, highest utility, risk parity."""

import numpy as np
from scipy.linalg import solve_triangular

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio import least_distance
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.estimators import Regular, regular
from quicksilver.portfolio.feasibility import corner

# Tried in turn. A ridge, beside correlations of 1, tells purchases from sales, which the variance alone does not; with
# no slack, or too small a ridge, a set as thin as a point is lost to rounding.
ATTEMPTS = ((1e-9, 0.0), (1e-9, TOLERANCE / 100.0), (1e-7, TOLERANCE / 10.0), (1e-4, TOLERANCE / 10.0))
NO_MEAN = 1e-12  # of the largest mean: below it a portfolio's mean is not above cash
SURE = 1e-6  # of the largest mean: a portfolio whose mean is as much above cash is beyond rounding
FAR, NEAR = 1e8, 1e6  # times the budget, of the best weights without constraints: lost to rounding, and never
APART = 1e6  # deviations: in a variance, all that a number holds
MOST_SWEEPS = 10_000


class Solver:
    """The optima of one covariance over one feasible set without a limit to the number of assets.

    ``covariance`` ``(n_assets, n_assets)`` may be singular, or it is what was made of one already. Every result is
    feasible to ``TOLERANCE``, or None.
    """

    def __init__(self, covariance: FloatArray | Regular, feasible: Feasible) -> None:
        made = covariance if isinstance(covariance, Regular) else regular(covariance)
        self.covariance, self._scale, self._root = made
        self._feasible = feasible
        self._space = feasible.space

    def min_variance(self) -> FloatArray | None:
        """Return the weights of least variance, ``(n_assets,)``; None if the set is empty.

        Where some risks are beside others what rounding leaves of them, the least sum of risks stands in.
        """
        found = self.nearest(np.zeros(len(self._scale)))
        if found is not None or self._scale.max() <= APART * self._scale.min():
            return found
        return corner(self._feasible, self._scale / self._scale.max())

    def nearest(self, weights: FloatArray) -> FloatArray | None:
        """Return the feasible weights of which the variance of the difference to ``weights`` is least."""
        return self._solved(self._root.T @ (weights * self._scale))

    def max_utility(self, mean: FloatArray, aversion: float) -> FloatArray | None:
        """Return the weights of the highest ``mean @ w - aversion / 2 * w @ covariance @ w``.

        Where the best without constraints are millions, rounding may lose the feasible ones: those of a higher aversion
        or of the highest mean stand in then, whichever has the highest utility. None if the set is empty.
        """
        wanted = solve_triangular(self._root, mean / self._scale, lower=True, check_finite=False) / aversion
        far = float(np.linalg.norm(wanted)) / (self._feasible.budget * float(self._scale.min()))
        found = self._solved(wanted)
        if far <= NEAR or (found is not None and far <= FAR):
            return found
        nearer = self._nearer(wanted * min(1.0, FAR / far), min(far, FAR), mean)

        def utility(weights: FloatArray) -> float:
            return float(weights @ mean - aversion / 2.0 * weights @ self.covariance @ weights)

        return max((one for one in (found, *nearer) if one is not None), key=utility, default=None)

    def _nearer(self, wanted: FloatArray, far: float, mean: FloatArray) -> list[FloatArray | None]:
        """The highest mean, and what is wanted or, where rounding loses it, the best of a higher aversion."""
        highest = corner(self._feasible, -mean / (float(np.max(np.abs(mean))) or 1.0))
        found = None
        while highest is not None and found is None and far > NEAR:
            found = self._solved(wanted)
            wanted, far = wanted / 10.0, far / 10.0
        return [highest, found]

    def at_least(self, mean: FloatArray, value: float) -> FloatArray | None:
        """Return the weights of least variance with ``mean @ w >= value``."""
        return self._solved(np.zeros(len(mean)), mean, value)

    def max_sharpe(self, excess: FloatArray) -> FloatArray | None:
        """Return the weights of the highest mean over risk, or None where no feasible mean is above 0.

        ``excess`` ``(n_assets,)`` are the means less cash. The ratio does not change with a portfolio's size, so the
        one of mean 1 and least variance is sought, of any size (Charnes, Cooper, Programming with linear fractional
        functionals, Naval Research Logistics Quarterly 9, 1962). Where what is found has so little mean that it may be
        rounding, a linear program says whether there is any.
        """
        largest = float(np.max(np.abs(excess), initial=0.0))
        if largest <= 0.0:
            return None
        space, above = self._space, excess / largest
        equal = np.vstack([space.equal, above @ space.of])
        value = np.append(np.zeros(len(space.equal)), 1.0)
        found = self._found(np.zeros(len(excess)), equal, value, space.rows, np.zeros(len(space.rows)))
        if found is None or float(found @ above) > SURE or self._any_above(above):
            return found
        return None

    def _any_above(self, excess: FloatArray) -> bool:
        best = corner(self._feasible, -excess)
        return best is not None and float(best @ excess) > NO_MEAN

    def _solved(self, target: FloatArray, also: FloatArray | None = None, value: float = 0.0) -> FloatArray | None:
        space = self._space
        equal = np.vstack([space.equal, space.size])
        rows, least = space.rows, np.zeros(len(space.rows))
        if also is not None:
            largest = float(np.max(np.abs(also))) or 1.0
            rows, least = np.vstack([rows, also @ space.of / largest]), np.append(least, value / largest)
        return self._found(target, equal, np.append(np.zeros(len(space.equal)), 1.0), rows, least)

    def _found(
        self, target: FloatArray, equal: FloatArray, value: FloatArray, rows: FloatArray, least: FloatArray
    ) -> FloatArray | None:
        """Solve for ``v``, and scale what comes out to the budget."""
        equal, value = equal[np.any(equal != 0.0, axis=1)], value[np.any(equal != 0.0, axis=1)]
        for ridge, slack in ATTEMPTS:
            loose = rows + slack * self._space.size
            weights = self._once(ridge, target, equal, value, loose, least)
            if weights is not None:
                return weights
        return None

    def _once(
        self, ridge: float, target: FloatArray, equal: FloatArray, value: FloatArray, rows: FloatArray,
        least: FloatArray,
    ) -> FloatArray | None:  # fmt: skip
        of = self._space.of
        root, wanted = self._root, target
        if of.shape[1] > len(target):
            risks = self._root.T @ (self._scale[:, None] * of)
            root = np.linalg.cholesky(risks.T @ risks + ridge * np.diag(self._units() ** 2))
            wanted = solve_triangular(root, risks.T @ target, lower=True, check_finite=False)
        else:
            of, equal, rows = of / self._scale, equal / self._scale, rows / self._scale
        found = least_distance.solved(least_distance.Problem(root, wanted, equal, value, rows, least))
        weights = None if found is None else of @ found
        if weights is None or weights.sum() <= 0.0:
            return None
        return settled(weights * (self._feasible.budget / float(weights.sum())), self._feasible)

    def _units(self) -> FloatArray:
        return np.concatenate([self._scale, self._scale, [float(self._scale.mean())]])


def settled(weights: FloatArray, feasible: Feasible) -> FloatArray | None:
    """Return the weights without what rounding has left: bounds exact, the budget to the last digit.

    None if they are not feasible.
    """
    weights = np.clip(weights, feasible.low, feasible.high)
    for _ in range(2):
        rest = feasible.budget - float(weights.sum())
        room = feasible.high - weights if rest > 0.0 else weights - feasible.low
        if room.sum() > 0.0:
            weights = weights + rest * room / room.sum()
        weights = np.clip(weights, feasible.low, feasible.high)
    trades = weights - feasible.current
    traded = float(np.abs(trades).sum())
    if traded > feasible.turnover and abs(float(trades.sum())) < TOLERANCE:
        weights = np.clip(feasible.current + trades * (feasible.turnover / traded), feasible.low, feasible.high)
    return weights if float(feasible.violation(weights)) <= TOLERANCE else None


def risk_parity(covariance: FloatArray | Regular) -> FloatArray:
    """Return the long-only weights, ``(n_assets,)`` with sum 1, of which each adds the same to the risk.

    They minimise x'Cx / 2 - sum(log x), coordinate by coordinate (Griveau-Billion, Richard, Roncalli, A fast algorithm
    for computing high-dimensional risk parity portfolios, 2013), here of correlations, which are solved alike.
    """
    made = covariance if isinstance(covariance, Regular) else regular(covariance)
    correlation, scale = made.correlation(), made.deviations
    x = 1.0 / np.sqrt(correlation.sum(axis=0).clip(1e-3))
    _equalise(correlation, x)
    weights: FloatArray = x / scale
    return weights / weights.sum()


@jit
def _equalise(correlation: FloatArray, x: FloatArray) -> None:
    product = np.zeros(len(x))
    for i in range(len(x)):
        product += correlation[i] * x[i]
    for _ in range(MOST_SWEEPS):
        moved = 0.0
        for i in range(len(x)):
            rest, own = product[i] - correlation[i, i] * x[i], correlation[i, i]
            new = (-rest + np.sqrt(rest * rest + 4.0 * own)) / (2.0 * own)
            product += correlation[i] * (new - x[i])
            moved, x[i] = max(moved, abs(new - x[i]) / new), new
        if moved < 1e-12:
            break
