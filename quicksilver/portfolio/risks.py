"""Risk of portfolios, measured: standard deviation, semi-deviation, conditional value at risk, maximum drawdown.

References: Markowitz, Portfolio selection, 1959, ch. 9 (semi-variance); Rockafellar, Uryasev, Optimization of
conditional value-at-risk, Journal of Risk 2, 2000; Chekhlov, Uryasev, Zabarankin, Drawdown measure in portfolio
optimization, Int. Journal of Theoretical and Applied Finance 8(1), 2005.
"""

from typing import Literal, TypeAlias

import numpy as np

from quicksilver.events import FloatArray

RiskName: TypeAlias = Literal["variance", "semi-variance", "cvar", "max-drawdown"]
TAIL = 0.05  # the share of worst periods that the conditional value at risk is the mean of
NAMES: dict[RiskName, tuple[str, str]] = {  # of the picks of least risk, and of the highest mean over it
    "variance": ("min_variance", "max_sharpe"),
    "semi-variance": ("min_semi_variance", "max_sortino"),
    "cvar": ("min_cvar", "max_mean_to_cvar"),
    "max-drawdown": ("min_max_drawdown", "max_mean_to_drawdown"),
}
ROWS = 2_000  # portfolios measured at once: their returns of all periods have to fit in memory


def deviations(weights: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the standard deviations ``(n,)`` of portfolios ``(n, n_assets)``."""
    return np.sqrt(np.maximum(((weights @ covariance) * weights).sum(axis=1), 0.0))


def measured(risk: RiskName, weights: FloatArray, covariance: FloatArray, excess: FloatArray) -> FloatArray:
    """Return the risk ``(n,)`` of portfolios ``(n, n_assets)``.

    ``variance`` is measured as the standard deviation by ``covariance``; the others by the past itself, ``excess``
    ``(n_observations, n_assets)``, returns less cash in order of time, as ``of_one_period`` has them: ``semi-variance``
    as the root of the mean square of what is below cash, ``cvar`` as the mean loss of the worst 5 % of periods,
    ``max-drawdown`` as the deepest fall of the sum of returns from what it had reached.
    """
    if risk == "variance":
        return deviations(weights, covariance)
    parts = [of_returns(risk, excess @ weights[i : i + ROWS].T) for i in range(0, len(weights), ROWS)]
    return np.concatenate(parts) if parts else np.empty(0)


def of_one_period(risk: RiskName, excess: FloatArray, periods: FloatArray) -> FloatArray:
    """Return the rows ``(n_observations, n)`` that a risk is measured by, of returns over ``periods`` (that broadcast).

    For semi-variance and CVaR of one period a row over several counts once, with its return divided by the square root
    of their number: that is how returns of a walk without memory spread. A drawdown is a fall of the path itself, so
    its rows stay as they are; so do those of the variance, which is not measured by them.
    """
    return excess / np.sqrt(periods) if risk in ("semi-variance", "cvar") else excess


def of_returns(risk: RiskName, returns: FloatArray) -> FloatArray:
    """Return the risk ``(n,)`` of portfolios by their own excess returns ``(n_observations, n)`` in order of time."""
    return _PAST[risk](returns)


def _semi_deviation(returns: FloatArray) -> FloatArray:
    return np.sqrt((np.minimum(returns, 0.0) ** 2).mean(axis=0))


def _cvar(returns: FloatArray) -> FloatArray:
    """The least ``a + mean(max(-r - a, 0)) / TAIL``, which a value of the sample attains."""
    n = TAIL * len(returns)
    whole = int(n)
    lowest = np.partition(returns, whole, axis=0)[: whole + 1]
    mean: FloatArray = -(lowest[:whole].sum(axis=0) + (n - whole) * lowest[whole]) / n
    return mean


def _max_drawdown(returns: FloatArray) -> FloatArray:
    """Falls of the running sum, which begins at 0."""
    total = np.cumsum(returns, axis=0)
    reached = np.maximum(np.maximum.accumulate(total, axis=0), 0.0)
    fall: FloatArray = (reached - total).max(axis=0)
    return fall


def _deviation(returns: FloatArray) -> FloatArray:
    return returns.std(axis=0)


_PAST = {"variance": _deviation, "semi-variance": _semi_deviation, "cvar": _cvar, "max-drawdown": _max_drawdown}
