"""The picks and the Pareto set of an evaluated bank."""

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit, jit_sums
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import Float32
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.non_negative import RoundsError, non_negative
from quicksilver.records import Pick


class LongOnly:
    """The exact long-only picks of one covariance ``(n_assets, n_assets)``, which is factored once for all of them.

    Raises:
        numpy.linalg.LinAlgError: the covariance is not positive definite.
    """

    def __init__(self, covariance: FloatArray) -> None:
        n_assets = len(covariance)
        self._deviations = np.sqrt(covariance.diagonal())  # solved for risk units: w_i s_i, so scales do not matter
        correlation = covariance / (self._deviations[:, None] * self._deviations)
        self._columns = np.empty((n_assets + 1, n_assets))
        self._columns[:n_assets] = np.linalg.cholesky(correlation).T

    def min_variance(self) -> FloatArray:
        """Return the weights of least variance, ``(n_assets,)``, sum 1.

        min w'Cw with 1'w = 1, w >= 0 has the direction of min |L'w|^2 + (1'w - 1)^2, w >= 0, which is a non-negative
        least squares problem with an exact active-set solution (Lawson, Hanson, Solving least squares problems, 1974,
        ch. 23).

        Raises:
            RoundsError: numbers are too far apart.
        """
        return self._direction(np.ones(len(self._deviations)))

    def max_sharpe(self, mean: FloatArray) -> FloatArray | None:
        """Return the weights of the highest mean over risk, or None when no mean is positive.

        The same problem as ``min_variance`` with ``mean'w`` in the place of ``1'w``.

        Raises:
            RoundsError: numbers are too far apart.
        """
        highest = mean.max()
        return self._direction(mean / max(highest, -mean.min())) if highest > 0.0 else None

    def _direction(self, target: FloatArray) -> FloatArray:
        weights, found = _direction(self._columns, self._deviations, target)
        if not found:
            raise RoundsError("a portfolio's direction: too many rounds")
        return weights


def min_variance(covariance: FloatArray) -> FloatArray:
    """Return the long-only weights of least variance, as ``LongOnly`` does."""
    return LongOnly(covariance).min_variance()


def max_sharpe(mean: FloatArray, covariance: FloatArray) -> FloatArray | None:
    """Return the long-only weights of the highest mean over risk, or None when no mean is positive."""
    return LongOnly(covariance).max_sharpe(mean)


@jit_sums
def _direction(columns: FloatArray, deviations: FloatArray, target: FloatArray) -> tuple[FloatArray, bool]:
    """The weights, and whether they were found; ``target`` goes into the last row of ``columns``."""
    row = columns[-1]
    row[:] = target / deviations
    row /= np.max(np.abs(row))
    solution, _, found = non_negative(columns, 0)
    weights = solution / deviations
    total = weights.sum()
    return (weights / total if total > 0.0 else np.full(len(weights), 1.0 / len(weights))), found


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
    exact = LongOnly(covariance)
    calm, sharpest = exact.min_variance(), exact.max_sharpe(mean)
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
