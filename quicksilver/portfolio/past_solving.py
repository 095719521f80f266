"""Exact portfolios of least risk where risk is measured by the past itself: linear programs, and Newton's method."""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.risks import TAIL, RiskName, measured
from quicksilver.portfolio.solving import Solver, settled

NEWTON_STEPS = 60
CLOSE = 1e-10


class PastSolver:
    """The optima of one feasible set under a risk other than the variance.

    ``excess`` ``(n_observations, n_assets)`` are returns less cash in order of time.
    """

    def __init__(self, risk: RiskName, excess: FloatArray, feasible: Feasible) -> None:
        self._risk = risk
        self._excess = excess
        self._feasible = feasible
        self._none = np.zeros((len(feasible.low), len(feasible.low)))

    def least(self, mean: FloatArray | None = None, value: float = 0.0) -> FloatArray | None:
        """Return the weights ``(n_assets,)`` of least risk, with ``mean @ w >= value`` if a mean is given."""
        if self._risk == "semi-variance":
            return self._newton(
                lambda one: one.min_variance() if mean is None else one.at_least(mean, value), self._risk_of
            )
        return self._program(mean, value, free=False)

    def best_ratio(self, excess_mean: FloatArray) -> FloatArray | None:
        """Return the weights of the highest mean over risk, or None where no feasible mean is above 0."""
        if self._risk != "semi-variance":
            if Solver(np.eye(len(excess_mean)), self._feasible).max_sharpe(excess_mean) is None:
                return None
            return self._program(excess_mean, 1.0, free=True)
        return self._newton(
            lambda one: one.max_sharpe(excess_mean), lambda w: -float(w @ excess_mean) / max(self._risk_of(w), 1e-300)
        )

    def _risk_of(self, weights: FloatArray) -> float:
        return float(measured(self._risk, weights[None], self._none, self._excess)[0])

    def _newton(
        self, solve: Callable[[Solver], FloatArray | None], value: Callable[[FloatArray], float]
    ) -> FloatArray | None:
        """Semi-variance is w'Mw with M of the periods that are below now; on to the optimum by M, halving the way."""
        weights = solve(Solver(self._excess.T @ self._excess, self._feasible))
        for _ in range(NEWTON_STEPS):
            if weights is None:
                return None
            below = self._excess[self._excess @ weights < 0.0]
            goal = solve(Solver(below.T @ below, self._feasible)) if len(below) else None
            if goal is None:
                break
            before, step = value(weights), 1.0
            while step > CLOSE and value(weights + step * (goal - weights)) > before:
                step /= 2.0
            after = weights + step * (goal - weights)
            if value(after) >= before - CLOSE * abs(before):
                break
            weights = after
        return None if weights is None else settled(weights, self._feasible)

    def _program(self, mean: FloatArray | None, value: float, *, free: bool) -> FloatArray | None:
        """Solve the linear program; ``free``: of a portfolio of any size with ``mean @ w = value``."""
        space, scale = self._feasible.space, float(np.max(np.abs(self._excess), initial=0.0)) or 1.0
        returns = self._excess @ space.of / scale
        cost, aux, most = (_cvar if self._risk == "cvar" else _drawdown)(returns)
        n, more = space.of.shape[1], len(cost)
        blank = sparse.csr_array((len(space.rows), more))
        below = [sparse.hstack([sparse.csr_array(-space.rows), blank]), aux]
        limits = [np.zeros(len(space.rows)), most]
        largest = 1.0 if mean is None else float(np.max(np.abs(mean))) or 1.0
        equal, values = [*space.equal], [0.0] * len(space.equal)
        if free and mean is not None:
            equal, values = [*equal, mean @ space.of / largest], [*values, 1.0]
        else:
            equal, values = [*equal, space.size], [*values, 1.0]
            if mean is not None:
                row = np.concatenate([-mean @ space.of / largest, np.zeros(more)])
                below, limits = [*below, sparse.csr_array(row[None])], [*limits, np.array([-value / largest])]
        found = linprog(
            np.concatenate([np.zeros(n), cost]), A_ub=sparse.vstack(below).tocsr(), b_ub=np.concatenate(limits),
            A_eq=np.hstack([np.array(equal), np.zeros((len(equal), more))]), b_eq=values,
            bounds=[(None, None)] * n + [(None, None)] + [(0, None)] * (more - 1), method="highs",
        )  # fmt: skip
        if found.x is None:
            return None
        weights = space.of @ found.x[:n]
        total = float(weights.sum())
        return settled(weights * (self._feasible.budget / total), self._feasible) if total > 0.0 else None


def _cvar(returns: FloatArray) -> tuple[FloatArray, sparse.csr_array, FloatArray]:
    """Cost and rows of ``a`` and the losses ``u`` beyond it: -r - a - u <= 0."""
    n = len(returns)
    cost = np.concatenate([[1.0], np.full(n, 1.0 / (TAIL * n))])
    rows = sparse.hstack([sparse.csr_array(-returns), sparse.csr_array(-np.ones((n, 1))), -sparse.eye_array(n)])
    return cost, rows.tocsr(), np.zeros(n)


def _drawdown(returns: FloatArray) -> tuple[FloatArray, sparse.csr_array, FloatArray]:
    """Cost and rows of the fall ``d`` and the peaks ``p``: c - p <= 0, p(t-1) - p <= 0, p - c - d <= 0."""
    n, total = len(returns), sparse.csr_array(np.cumsum(returns, axis=0))
    unit, none = sparse.eye_array(n), sparse.csr_array((n, 1))
    later = sparse.hstack([sparse.csr_array((n, returns.shape[1])), none, sparse.eye_array(n, k=-1) - unit])
    reached = sparse.hstack([total, none, -unit])
    fallen = sparse.hstack([-total, sparse.csr_array(-np.ones((n, 1))), unit])
    return np.concatenate([[1.0], np.zeros(n)]), sparse.vstack([reached, later, fallen]).tocsr(), np.zeros(3 * n)
