"""The picks and the Pareto set of an evaluated bank."""

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import Float32
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.non_negative import RoundsError, non_negative
from quicksilver.records import Pick


def min_variance(covariance: FloatArray) -> FloatArray:
    """Return the long-only weights of least variance, shape ``(n_assets,)``, sum 1.

    min w'Cw with 1'w = 1, w >= 0 has the direction of min |L'w|^2 + (1'w - 1)^2, w >= 0, which is a non-negative least
    squares problem with an exact active-set solution (Lawson, Hanson, Solving least squares problems, 1974, ch. 23).
    """
    return _direction(covariance, np.ones(len(covariance)))


def max_sharpe(mean: FloatArray, covariance: FloatArray) -> FloatArray | None:
    """Return the long-only weights of the highest mean over risk, or None when no mean is positive.

    The same problem as ``min_variance`` with ``mean'w`` in the place of ``1'w``.
    """
    if not np.any(mean > 0.0):
        return None
    return _direction(covariance, mean / np.max(np.abs(mean)))


def _direction(covariance: FloatArray, target: FloatArray) -> FloatArray:
    deviations = np.sqrt(np.diag(covariance))  # solved for risk units: w_i s_i, so that scales do not matter
    correlation = covariance / np.outer(deviations, deviations)
    row = target / deviations
    stacked = np.vstack([np.linalg.cholesky(correlation).T, row / np.max(np.abs(row))])
    solution, _, found = non_negative(stacked, 0)
    if not found:
        raise RoundsError("a portfolio's direction: too many rounds")
    weights = solution / deviations
    total = weights.sum()
    return weights / total if total > 0.0 else np.full(len(weights), 1.0 / len(weights))


def describe(weights: FloatArray, mean: FloatArray, covariance: FloatArray) -> Pick:
    """Return the pick's record, evaluated in float64."""
    expected, risk = float(weights @ mean), float(np.sqrt(weights @ covariance @ weights))
    return Pick(weights.tolist(), expected * BPS, risk * BPS, expected / risk if risk > 0.0 else 0.0)


def picks(mean: FloatArray, covariance: FloatArray) -> dict[str, Pick]:
    """Return min-variance, max-Sharpe and equal weight.

    When no asset's mean is above cash (0) there is no long-only portfolio to prefer, and the min-variance one stands
    in under the name ``max_sharpe_fallback``.
    """
    n_assets = len(mean)
    calm = min_variance(covariance)
    sharpest = max_sharpe(mean, covariance)
    name = "max_sharpe_fallback" if sharpest is None else "max_sharpe"
    chosen = {
        "min_variance": calm,
        name: calm if sharpest is None else sharpest,
        "equal_weight": np.full(n_assets, 1.0 / n_assets),
    }
    return {name: describe(weights, mean, covariance) for name, weights in chosen.items()}


def pareto(means: Float32, risks: Float32, n_points: int) -> list[int]:
    """Return at most ``n_points`` indices of portfolios that none beats, by rising risk and rising mean.

    The range of risk is cut into bins; the best mean of a bin is Pareto-optimal if it beats all calmer bins.
    """
    winners = _best_of_bins(means, risks, n_points, risks.min(), risks.max())
    front, best = [], -np.inf
    for index in winners[winners >= 0].tolist():
        if means[index] > best:
            best = means[index]
            front.append(index)
    return front


@jit
def _best_of_bins(
    means: Float32, risks: Float32, n_bins: int, low: np.float32, high: np.float32
) -> NDArray[np.int64]:  # fmt: skip
    """Index of the highest mean (then lowest risk, then first) in each bin of risk; -1 for an empty bin.

    Bins are of the range from ``low`` to ``high``, the least and the highest risk.
    """
    scale = n_bins / (high - low) if high > low else np.float32(0.0)
    winners = np.full(n_bins, -1)
    for i in range(len(means)):
        at = min(int((risks[i] - low) * scale), n_bins - 1)
        best = winners[at]
        if best < 0 or means[i] > means[best] or (means[i] == means[best] and risks[i] < risks[best]):
            winners[at] = i
    return winners
