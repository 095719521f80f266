"""Risk of portfolios, measured: standard deviation, semi-deviation, conditional value at risk, maximum drawdown.

References: Markowitz, Portfolio selection, 1959, ch. 9 (semi-variance); Rockafellar, Uryasev, Optimization of
conditional value-at-risk, Journal of Risk 2, 2000; Chekhlov, Uryasev, Zabarankin, Drawdown measure in portfolio
optimization, Int. Journal of Theoretical and Applied Finance 8(1), 2005.
"""

from typing import Literal, TypeAlias

import numpy as np

from quicksilver.compiled import jit
from quicksilver.events import FloatArray

RiskName: TypeAlias = Literal["variance", "semi-variance", "cvar", "max-drawdown"]
TAIL = 0.05  # the share of worst periods that the conditional value at risk is the mean of
NAMES: dict[RiskName, tuple[str, str]] = {  # of the picks of least risk, and of the highest mean over it
    "variance": ("min_variance", "max_sharpe"),
    "semi-variance": ("min_semi_variance", "max_sortino"),
    "cvar": ("min_cvar", "max_mean_to_cvar"),
    "max-drawdown": ("min_max_drawdown", "max_mean_to_drawdown"),
}
LEAST = 1e-200  # of a risk: what loses nothing even in its worst periods (CVaR) has less than none
NEAR = 0.85  # of where a portfolio's tail begins: the next one's begins below, mostly
ROWS = 2_000  # portfolios measured at once, and fewer where there are many periods:
MOST_RETURNS = 8_000_000  # of all of them in all periods have to fit in memory, some times over


def ratios(above: FloatArray, risks: FloatArray) -> FloatArray:
    """Return gains over risks, to rank by; 0 without either. A gain without risk is better than any with some."""
    return above / np.maximum(risks, LEAST)


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
    rows = max(1, min(ROWS, MOST_RETURNS // max(1, len(excess))))
    parts = [of_returns(risk, excess @ weights[i : i + rows].T) for i in range(0, len(weights), rows)]
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
    return _mean_of_tail(np.ascontiguousarray(returns.T), TAIL * len(returns))


@jit
def _mean_of_tail(returns: FloatArray, n: float) -> FloatArray:
    """The mean loss of the worst ``n``, a part of one among them, of each row.

    Rows are alike: what is not near the tail of the one before is left out at first, and the tail found in the rest.
    """
    whole, losses, bar = int(n), np.empty(len(returns)), np.inf
    near = np.empty(returns.shape[1])
    for i in range(len(returns)):
        count = 0
        for value in returns[i]:
            near[count] = value
            count += value < bar
        if count <= whole:
            near[:] = returns[i]
            count = len(near)
        _select(near, count, whole)
        total = (n - whole) * near[whole]
        for k in range(whole):
            total += near[k]
        losses[i] = -total / n
        bar = NEAR * near[whole] if near[whole] < 0.0 else np.inf
    return losses


@jit
def _select(values: FloatArray, count: int, at: int) -> None:
    """Put no higher ones before the value that is ``at`` in order, no lower ones after it (Hoare's quickselect)."""
    low, high = 0, count - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if at <= j:
            high = j
        elif at >= i:
            low = i
        else:
            return


def _max_drawdown(returns: FloatArray) -> FloatArray:
    """Falls of the running sum, which begins at 0."""
    total = np.cumsum(returns, axis=0)
    reached = np.maximum(np.maximum.accumulate(total, axis=0), 0.0)
    fall: FloatArray = (reached - total).max(axis=0)
    return fall


def _deviation(returns: FloatArray) -> FloatArray:
    return returns.std(axis=0)


_PAST = {"variance": _deviation, "semi-variance": _semi_deviation, "cvar": _cvar, "max-drawdown": _max_drawdown}
