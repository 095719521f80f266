"""Streaming mean and covariance of returns: exponentially weighted, shrunk, O(n^2) an update."""

import numpy as np

from quicksilver.events import FloatArray

STILL = 1e-30  # variance of an asset that does not move: far below any price's, far above where doubles lose digits


class Moments:
    """Exponentially weighted mean and covariance of return vectors, bias-corrected from the first one on.

    West, Updating mean and variance estimates, CACM 22(9), 1979, with weights that fade by half every
    ``halflife`` observations. The effective number of observations is (sum w)^2 / (sum w^2), Kish, Survey sampling,
    1965.
    """

    def __init__(self, n_assets: int, halflife: float) -> None:
        self.decay = 0.5 ** (1.0 / halflife)
        self.n_observations = 0
        self.weight = 0.0
        self.squared_weight = 0.0
        self.mean: FloatArray = np.zeros(n_assets)
        self.scatter: FloatArray = np.zeros((n_assets, n_assets))

    def update(self, returns: FloatArray) -> None:
        """Take in one vector of log returns, shape ``(n_assets,)``; a return that is not finite counts as 0."""
        returns = np.where(np.isfinite(returns), returns, 0.0)
        self.n_observations += 1
        self.weight = self.decay * self.weight + 1.0
        self.squared_weight = self.decay**2 * self.squared_weight + 1.0
        before = returns - self.mean
        self.mean = self.mean + before / self.weight
        self.scatter = self.decay * self.scatter + np.outer(before, before) * (1.0 - 1.0 / self.weight)

    @property
    def n_effective(self) -> float:
        """Effective number of observations."""
        return self.weight**2 / self.squared_weight if self.squared_weight else 0.0

    def covariance(self) -> FloatArray:
        """Return the unbiased covariance, shape ``(n_assets, n_assets)``; zeros before two observations."""
        freedom = self.weight - self.squared_weight / self.weight if self.weight else 0.0
        return self.scatter / freedom if freedom > 1e-12 else np.zeros_like(self.scatter)


def shrunk_correlation(covariance: FloatArray, n_effective: float) -> FloatArray:
    """Return the correlation matrix shrunk towards no correlation, positive definite for any input.

    Oracle approximating shrinkage (Chen, Wiesel, Eldar, Hero, Shrinkage algorithms for MMSE covariance estimation,
    IEEE Trans. Signal Processing 58(10), 2010, eq. 23), on correlations so that assets of unlike volatility count
    alike. Duplicates and assets that never move would make the plain estimate singular.
    """
    n_assets = len(covariance)
    deviations = np.sqrt(np.diag(covariance))
    scale = np.where(deviations > 0.0, deviations, 1.0)
    sample = covariance / scale[:, None] / scale
    np.fill_diagonal(sample, 1.0)
    trace_of_square = float(np.sum(sample**2))
    excess = trace_of_square - n_assets
    numerator = (1.0 - 2.0 / n_assets) * trace_of_square + n_assets**2
    denominator = (n_effective + 1.0 - 2.0 / n_assets) * excess
    intensity = min(1.0, numerator / denominator) if denominator > 0.0 else 1.0
    intensity = max(intensity, 1e-4)  # keeps exact duplicates apart however long the history
    shrunk = (1.0 - intensity) * sample
    np.fill_diagonal(shrunk, 1.0)
    return shrunk


def shrunk_covariance(covariance: FloatArray, n_effective: float) -> tuple[FloatArray, FloatArray]:
    """Return covariance and correlation, both shrunk, shape ``(n_assets, n_assets)``, positive definite.

    An asset without any variance gets a small part of the least there is, or ``STILL`` if no asset moves.
    """
    correlation = shrunk_correlation(covariance, n_effective)
    variances = np.diag(covariance)
    moving = variances[variances > 0.0]
    floor = max(moving.min() * 1e-4, STILL) if len(moving) else STILL
    deviations = np.sqrt(np.maximum(variances, floor))
    return correlation * np.outer(deviations, deviations), correlation
