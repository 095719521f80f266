"""Mean and covariance of a whole history of returns, by the estimators that users name.

By the same formulas as the live ones, which ``shrinkage.py`` has with their sources: with weights that do not fade,
``moments.Moments`` gives the same numbers.
"""

from typing import Literal, NamedTuple, TypeAlias, get_args

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.shrinkage import denoised, floored, james_stein, to_identity

CovarianceName: TypeAlias = Literal["sample", "ledoit-wolf", "oas", "ewm", "denoised"]
MeanName: TypeAlias = Literal["history", "james-stein", "ewm"]
LEAST_OBSERVATIONS = 2
MOST_RETURN = 1e100  # its square is still a number
RIDGE = 1e-10  # added to correlations: far below what any estimate knows, far above where doubles lose a matrix's rank


class Estimators(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which estimators; ``halflife``, in observations, is that of ``ewm``.

    Raises:
        ValueError: there is no such estimator, or a half-life that is none.
    """

    covariance: CovarianceName = "ledoit-wolf"
    mean: MeanName = "history"
    halflife: float = 60.0

    def __post_init__(self) -> None:
        for what, name, known in (
            ("covariance", self.covariance, get_args(CovarianceName)), ("mean", self.mean, get_args(MeanName)),
        ):  # fmt: skip
            if name not in known:
                raise ValueError(f"there is no {what} estimator {name!r}; there are {', '.join(known)}")
        if not 0.0 < self.halflife < np.inf:
            raise ValueError(f"a half-life of {self.halflife:g} observations is none")


class Estimate(NamedTuple):
    """Moments of one observation's return: ``mean`` ``(n_assets,)``, ``covariance`` ``(n_assets, n_assets)``."""

    mean: FloatArray
    covariance: FloatArray
    n_observations: int


def estimate(returns: FloatArray, estimators: Estimators) -> Estimate:
    """Return the moments of ``returns`` ``(n_observations, n_assets)``; a row with a number that is none is left out.

    An asset that never moves gets a small part of the least variance there is, so that no variance is zero; the matrix
    can still be singular (duplicates, fewer observations than assets): see ``conditioned``.

    Raises:
        InputError: fewer than two rows are left.
    """
    returns = np.asarray(returns, np.float64)
    known = returns[(np.abs(returns) < MOST_RETURN).all(axis=1)]
    if len(known) < LEAST_OBSERVATIONS:
        raise InputError(
            f"{len(known)} of {len(returns)} moments have a usable return of each of {returns.shape[1]} assets; moments"
            f" need {LEAST_OBSERVATIONS} or more"
        )
    size = float(np.max(np.abs(known))) or 1.0  # squares of huge and of tiny returns leave the range of doubles
    scaled = known / size
    covariance = floored(_COVARIANCES[estimators.covariance](scaled, estimators))
    mean = _MEANS[estimators.mean](scaled, estimators)
    return Estimate(mean * size, covariance * size**2, len(known))


def conditioned(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrix made positive definite, ``(n_assets, n_assets)``, and its deviations, ``(n_assets,)``.

    Correlations keep their values but for a part in 10^10; negative eigenvalues, which rounding leaves, go to zero.
    """
    deviations = np.sqrt(np.diag(floored(covariance)))
    correlation = _per_deviation(covariance, deviations)
    symmetric = (correlation + correlation.T) / 2.0
    if not _regular(symmetric):
        values, vectors = np.linalg.eigh(symmetric)
        correlation = (vectors * np.maximum(values, 0.0)) @ vectors.T
        correlation = (correlation + correlation.T) / 2.0 + RIDGE * len(values) * np.eye(len(values))
    return correlation * np.outer(deviations, deviations), deviations


class Regular(NamedTuple):
    """A positive definite ``covariance`` ``(n_assets, n_assets)``, and what solvers need of it.

    ``deviations`` ``(n_assets,)`` are its diagonal's; ``root`` is the lower Cholesky root of its correlation.
    """

    covariance: FloatArray
    deviations: FloatArray
    root: FloatArray

    def correlation(self) -> FloatArray:
        """Return the correlation ``(n_assets, n_assets)``."""
        return _per_deviation(self.covariance, self.deviations)


def regular(covariance: FloatArray) -> Regular:
    """Return a covariance ``(n_assets, n_assets)`` that may be singular as ``conditioned`` makes it."""
    made, deviations = conditioned(covariance)
    return Regular(made, deviations, np.linalg.cholesky(_per_deviation(made, deviations)))


def _per_deviation(covariance: FloatArray, deviations: FloatArray) -> FloatArray:
    return covariance / deviations[:, None] / deviations


def _regular(correlation: FloatArray) -> bool:
    """Whether all eigenvalues are ``RIDGE`` or more: a tenth of the time that it takes to compute them."""
    try:
        np.linalg.cholesky(correlation - RIDGE * np.eye(len(correlation)))
    except np.linalg.LinAlgError:
        return False
    return True


def _scatter(returns: FloatArray, weights: FloatArray, mean: FloatArray) -> FloatArray:
    """Sum of weighted outer products, not by a library's matrix product: its last bits depend on its threads."""
    centred = returns - mean
    scatter: FloatArray = np.einsum("t,ti,tj->ij", weights, centred, centred)
    return (scatter + scatter.T) / 2.0


def _sample(returns: FloatArray, _: Estimators) -> FloatArray:
    n = len(returns)
    return _scatter(returns, np.full(n, 1.0 / (n - 1)), returns.mean(axis=0))


def _ledoit_wolf(returns: FloatArray, estimators: Estimators) -> FloatArray:
    from sklearn.covariance import ledoit_wolf_shrinkage

    return _to_identity(returns, estimators, float(ledoit_wolf_shrinkage(returns)))


def _oas(returns: FloatArray, estimators: Estimators) -> FloatArray:
    from sklearn.covariance import oas

    return _to_identity(returns, estimators, float(oas(returns)[1]))


def _to_identity(returns: FloatArray, estimators: Estimators, intensity: float) -> FloatArray:
    """Shrink as scikit-learn does; a rounded intensity is the same on any machine."""
    n = len(returns)
    return to_identity(_sample(returns, estimators) * ((n - 1) / n), round(intensity, 9))


def _fading(n: int, halflife: float) -> FloatArray:
    weights: FloatArray = 0.5 ** (np.arange(n)[::-1] / halflife)
    return weights


def _ewm(returns: FloatArray, estimators: Estimators) -> FloatArray:
    """As ``moments.Moments`` has it after the last row: unbiased, about the weighted mean."""
    weights = _fading(len(returns), estimators.halflife)
    freedom = weights.sum() - (weights**2).sum() / weights.sum()
    if freedom <= 1e-12:  # a half-life so short that one row is all there is
        return np.zeros((returns.shape[1], returns.shape[1]))
    return _scatter(returns, weights / freedom, _ewm_mean(returns, estimators))


def _denoised(returns: FloatArray, estimators: Estimators) -> FloatArray:
    return denoised(_sample(returns, estimators), len(returns))


def _mean(returns: FloatArray, _: Estimators) -> FloatArray:
    return returns.mean(axis=0)


def _ewm_mean(returns: FloatArray, estimators: Estimators) -> FloatArray:
    weights = _fading(len(returns), estimators.halflife)
    mean: FloatArray = np.einsum("t,ti->i", weights / weights.sum(), returns)
    return mean


def _james_stein(returns: FloatArray, estimators: Estimators) -> FloatArray:
    return james_stein(returns.mean(axis=0), _sample(returns, estimators), len(returns))


_COVARIANCES = {"sample": _sample, "ledoit-wolf": _ledoit_wolf, "oas": _oas, "ewm": _ewm, "denoised": _denoised}
_MEANS = {"history": _mean, "james-stein": _james_stein, "ewm": _ewm_mean}
