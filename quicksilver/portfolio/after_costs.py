"""The highest utility after what the trade to it costs: a quadratic program in purchases and sales.

Proportional costs and impact as Grinold, Kahn, Active portfolio management, 2000, ch. 16, have them, of one trade that
is held for a number of periods.
"""

import numpy as np
from scipy.linalg import solve_triangular

from quicksilver.events import FloatArray
from quicksilver.portfolio import least_distance
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.costs import BPS, Costs
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.solving import settled

RIDGES = (1e-9, 1e-6)  # beside variances of 1: where nothing tells purchases from sales


def best_utility_after(
    market: Market, aversion: float, feasible: Feasible, costs: Costs, hold: float
) -> FloatArray | None:  # fmt: skip
    """Return the weights ``(n_assets,)`` of the highest utility less the cost of going there, or None.

    That is ``mean @ w - aversion / 2 * w @ covariance @ w - costs.of(w - feasible.current) / hold``. None: there is no
    feasible portfolio, or rounding has lost it.
    """
    mean, scale, space = market.mean, market.regular.deviations, feasible.trades
    n, unit = len(mean), np.concatenate([scale, scale, [float(scale.mean())]])  # each unknown in units of its risk
    rate, impact = (costs.fee_bps + costs.spread_bps / 2.0) / BPS / hold, costs.impact_bps / BPS / hold
    traded = np.append(np.ones(2 * n), 0.0)
    gain = (mean @ space.of - rate * traded) / unit / aversion
    risk = (space.of.T @ market.regular.covariance @ space.of) / np.outer(unit, unit)
    risk += np.diag(2.0 * impact * traded / aversion / unit**2)
    equal = np.vstack([space.equal, space.size]) / unit
    value = np.append(np.zeros(len(space.equal)), 1.0)
    for ridge in RIDGES:
        root = np.linalg.cholesky(risk + ridge * np.eye(2 * n + 1))
        target = solve_triangular(root, gain, lower=True, check_finite=False)
        problem = least_distance.Problem(
            root, target, equal, value, space.rows / unit, np.zeros(len(space.rows))
        )  # fmt: skip
        found = least_distance.solved(problem)
        weights = None if found is None else settled(space.of @ (found / unit), feasible)
        if weights is not None:
            break
    else:
        return None
    if float(feasible.violation(feasible.current)) > TOLERANCE:
        return weights
    # The ridge trades some millionths where nothing should be traded.
    both = [feasible.current, weights]
    covariance = market.covariance
    worth = [
        float(mean @ w - aversion / 2.0 * w @ covariance @ w - costs.of(w - feasible.current) / hold) for w in both
    ]
    return both[0] if worth[0] >= worth[1] else weights
