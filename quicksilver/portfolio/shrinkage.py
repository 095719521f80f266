"""Covariance and mean that few observations allow, from moments alone: shrunk, denoised, and positive semi-definite.

The conventions are those of ``estimators.py`` (and of scikit-learn): ``ledoit-wolf`` and ``oas`` shrink the covariance,
as a weighted mean, towards its mean variance. Weights that fade count as their effective number of observations.

References: Ledoit, Wolf, A well-conditioned estimator for large-dimensional covariance matrices, Journal of
Multivariate Analysis 88(2), 2004; Chen, Wiesel, Eldar, Hero, Shrinkage algorithms for MMSE covariance estimation, IEEE
Trans. Signal Processing 58(10), 2010; Lopez de Prado, Machine learning for asset managers, 2020, ch. 2; Feng, Palomar,
A signal processing perspective on financial engineering, 2016, eq. 4.11 (James-Stein); Rebonato, Jaeckel, The most
general methodology to create a valid correlation matrix, Journal of Risk 2(2), 2000 (eigenvalues set to zero).
"""

import numpy as np
from scipy.linalg import solve_triangular

from quicksilver.events import FloatArray
from quicksilver.portfolio.moments import STILL, WEIGHT, Moments

FLOOR = 1e-4  # of the least variance there is: what an asset without any gets
MOST_SHARE = 1.0
TWINS = 1e-4  # variance of an asset beside those like it: less, and noise in correlations with it would count as known


def floored(covariance: FloatArray) -> FloatArray:
    """Return the covariance with a small part of the least variance there is for each asset that never moves."""
    variances = np.diag(covariance)
    moving = variances[variances > STILL]
    one = covariance.copy()
    np.fill_diagonal(one, np.maximum(variances, max(moving.min() * FLOOR, STILL) if len(moving) else STILL))
    return one


def correlation_of(covariance: FloatArray) -> FloatArray:
    """Return the correlations ``(n_assets, n_assets)`` of a covariance without zeros on its diagonal."""
    deviations = np.sqrt(np.diag(covariance))
    correlation: FloatArray = covariance / deviations[:, None] / deviations
    np.fill_diagonal(correlation, 1.0)
    return correlation


def covariance_of(name: str, moments: Moments) -> FloatArray:
    """Return the covariance ``(n_assets, n_assets)`` by a name of ``config.LiveCovariance``, positive semi-definite."""
    if name == "ewm":
        return repaired(moments.covariance(), moments)
    if name == "denoised":
        return denoised(repaired(moments.covariance(), moments), moments.n_effective)
    intensity = ledoit_wolf_intensity(moments) if name == "ledoit-wolf" else oas_intensity(moments)
    return to_identity(repaired(moments.biased(), moments), intensity)


def repaired(covariance: FloatArray, moments: Moments) -> FloatArray:
    """Return it without negative eigenvalues, which moments of pairs known at different times can have.

    Variances stay. Assets are gone through from the best known to the least: where one's correlations with those before
    it cannot be, all of them are scaled down until they can (row by row of a Cholesky decomposition). So what is known
    of the others hardly feels a newcomer; what rounding and twins leave negative goes to zero. Nothing changes where
    all pairs have equal weights.
    """
    if moments.even:
        return covariance
    covariance = floored(covariance)
    correlation = np.clip(correlation_of(covariance), -1.0, 1.0)
    values = np.linalg.eigvalsh(correlation)
    if values[0] >= 0.0:
        return covariance
    order = np.argsort(-moments.sums[WEIGHT].diagonal(), kind="stable")
    place = np.ix_(order, order)
    scales = _feasible_scales(correlation[place])
    # The later of two assets has the scale of their correlation.
    correlation[place] *= np.where(np.tri(len(scales), k=-1, dtype=bool), scales[:, None], scales)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    return _rebuilt(np.maximum(values, 0.0), vectors, covariance)


def _feasible_scales(correlation: FloatArray) -> FloatArray:
    """The most, up to 1, that each row's correlations with those before it may be multiplied by, ``(n_assets,)``."""
    n = len(correlation)
    lower, scales = np.zeros((n, n)), np.ones(n)
    for i in range(n):
        row = solve_triangular(lower[:i, :i], correlation[i, :i], lower=True) if i else np.zeros(0)
        size = float(np.sqrt((row**2).sum()))
        scales[i] = min(1.0, 1.0 / size) if size > 0.0 else 1.0
        lower[i, :i] = scales[i] * row
        lower[i, i] = np.sqrt(max(0.0, 1.0 - min(1.0, scales[i] * size) ** 2) + TWINS)
    return scales


def to_identity(covariance: FloatArray, intensity: float) -> FloatArray:
    """Return the covariance shrunk by ``intensity``, 0 to 1, towards its mean variance for each asset."""
    variance = float(np.trace(covariance)) / len(covariance)
    return (1.0 - intensity) * covariance + intensity * variance * np.eye(len(covariance))


def ledoit_wolf_intensity(moments: Moments) -> float:
    """Return the intensity of Ledoit and Wolf: the noise of the covariance's entries over their distance from target.

    Their sum over observations of |x x' - S|^2 is, entry by entry, the variance of the product of two deviations,
    E(a^2 b^2) - S_ab^2: sums about the moving mean give it without the observations. The variance of a weighted mean of
    products is that over the effective number of observations.
    """
    covariance, pairs = moments.biased(), moments.effective()
    noise = float(np.divide(moments.spread(), pairs, out=np.zeros_like(pairs), where=pairs > 0.0).sum())
    variance = float(np.trace(covariance)) / len(covariance)
    apart = float((covariance**2).sum()) - len(covariance) * variance**2
    if noise <= 0.0:
        return 0.0
    return min(MOST_SHARE, noise / apart) if apart > 0.0 else MOST_SHARE


def oas_intensity(moments: Moments) -> float:
    """Return the intensity of the oracle approximating shrinkage, eq. 23 without its terms of 2 / n_assets.

    So scikit-learn has it; for two assets the terms are not small, and it shrinks more than the paper.
    """
    covariance, n = moments.biased(), len(moments.mean)
    square, trace = float((covariance**2).sum()), float(np.trace(covariance))
    numerator, denominator = square + trace**2, (moments.n_effective + 1.0) * (square - trace**2 / n)
    return min(MOST_SHARE, numerator / denominator) if denominator > 0.0 else MOST_SHARE


def denoised(covariance: FloatArray, n_observations: float) -> FloatArray:
    """Return it with those eigenvalues of the correlation averaged that noise alone explains, by Marchenko and Pastur.

    The noise's variance is the mean of the eigenvalues below its own edge, found by repetition. Variances stay.
    """
    sample = floored(covariance)
    values, vectors = np.linalg.eigh(correlation_of(sample))
    edge = (1.0 + np.sqrt(len(values) / n_observations)) ** 2 if n_observations else np.inf
    noise = np.ones(len(values), bool)
    for _ in values:
        inside = values <= edge * float(values[noise].mean())
        if not inside.any() or (inside == noise).all():
            break
        noise = inside
    cleaned = np.where(noise, values[noise].mean(), values)
    return _rebuilt(cleaned, vectors, sample)


def _rebuilt(values: FloatArray, vectors: FloatArray, covariance: FloatArray) -> FloatArray:
    """The covariance's variances with the correlations of other eigenvalues."""
    correlation = correlation_of((vectors * values) @ vectors.T)
    deviations = np.sqrt(np.diag(covariance))
    return (correlation + correlation.T) / 2.0 * np.outer(deviations, deviations)


def james_stein(mean: FloatArray, covariance: FloatArray, n_observations: float) -> FloatArray:
    """Return the means drawn towards the mean of all of them: by how much they differ beside how little is known."""
    return drawn_together(mean, mean_noise(covariance, n_observations))


def mean_noise(covariance: FloatArray, n_observations: float) -> float:
    """Return what James and Stein's estimator takes for the noise in the squared distance of means from each other."""
    values = np.linalg.eigvalsh(covariance)
    return float(values.sum() - 2.0 * values[-1]) / n_observations if n_observations else np.inf


def drawn_together(means: FloatArray, noise: float) -> FloatArray:
    """Return means ``(n_assets,)``, or each row of ``(n, n_assets)``, drawn together by the share that is ``noise``."""
    centred = means - means.mean(axis=-1, keepdims=True)
    apart = (centred[..., None, :] @ centred[..., :, None])[..., 0]
    share = np.divide(noise, apart, out=np.ones_like(apart), where=apart > 0.0)
    return means - np.clip(share, 0.0, 1.0) * centred
