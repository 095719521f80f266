"""Estimators against scikit-learn, against the streaming moments, and on inputs that are hardly data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.covariance import OAS, LedoitWolf

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.estimators import CovarianceName, Estimate, Estimators, MeanName, conditioned, estimate
from quicksilver.portfolio.moments import Moments

COVARIANCES: tuple[CovarianceName, ...] = ("sample", "ledoit-wolf", "oas", "ewm", "denoised")
MEANS: tuple[MeanName, ...] = ("history", "james-stein", "ewm")


def returns_of(n: int, n_assets: int, seed: int = 1) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.normal(2e-4, 0.01, (n, 1)) + rng.normal(0, rng.uniform(0.005, 0.03, n_assets), (n, n_assets))


def covariance_of(returns: FloatArray, name: CovarianceName, halflife: float = 60.0) -> FloatArray:
    return estimate(returns, Estimators(name, halflife=halflife)).covariance


def test_sample_and_shrunk_covariances_are_those_of_numpy_and_scikit_learn() -> None:
    returns = returns_of(120, 9)
    np.testing.assert_allclose(covariance_of(returns, "sample"), np.cov(returns.T), rtol=1e-10, atol=1e-18)
    np.testing.assert_allclose(
        covariance_of(returns, "ledoit-wolf"), LedoitWolf().fit(returns).covariance_, rtol=1e-6, atol=1e-12
    )
    np.testing.assert_allclose(covariance_of(returns, "oas"), OAS().fit(returns).covariance_, rtol=1e-6, atol=1e-12)


@given(n=st.integers(2, 80), n_assets=st.integers(2, 8), halflife=st.floats(0.3, 500), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_ewm_is_what_the_streaming_moments_are_after_the_last_row(
    n: int, n_assets: int, halflife: float, seed: int
) -> None:
    returns = returns_of(n, n_assets, seed)
    moments = Moments(n_assets, halflife)
    for row in returns:
        moments.update(row)
    found = estimate(returns, Estimators("ewm", "ewm", halflife))
    np.testing.assert_allclose(found.mean, moments.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.covariance, moments.covariance(), rtol=1e-7, atol=1e-12)


def test_denoising_keeps_variances_and_comes_nearer_to_the_truth() -> None:
    """The truth: 20 assets with one common factor, of which 60 returns are known."""
    rng = np.random.default_rng(1)
    truth = np.full((20, 20), 0.3) + 0.7 * np.eye(20)
    for _ in range(5):
        returns = rng.multivariate_normal(np.zeros(20), truth, 60)
        sample, cleaned = covariance_of(returns, "sample"), covariance_of(returns, "denoised")
        np.testing.assert_allclose(np.diag(cleaned), np.diag(sample), rtol=1e-9)
        off = [np.abs(one / np.sqrt(np.outer(np.diag(one), np.diag(one))) - truth) for one in (cleaned, sample)]
        assert off[0].mean() < 0.8 * off[1].mean()


def test_james_stein_draws_means_together_and_is_that_of_skfolio() -> None:
    returns = returns_of(100, 6)
    plain, shrunk = returns.mean(axis=0), estimate(returns, Estimators(mean="james-stein")).mean
    assert shrunk.mean() == pytest.approx(plain.mean())
    assert np.ptp(shrunk) < np.ptp(plain)
    values = np.linalg.eigvalsh(np.cov(returns.T))
    apart = ((plain - plain.mean()) ** 2).sum()
    share = min(1.0, (values.sum() - 2 * values[-1]) / 100 / apart)
    np.testing.assert_allclose(shrunk, (1 - share) * plain + share * plain.mean(), rtol=1e-9)
    moments = pytest.importorskip("skfolio.moments")
    if share < 1.0:
        np.testing.assert_allclose(shrunk, moments.ShrunkMu().fit(returns).mu_, rtol=1e-9)


def test_with_few_returns_means_that_say_nothing_become_one() -> None:
    rng = np.random.default_rng(3)
    shrunk = estimate(rng.normal(0, 0.1, (20, 10)), Estimators(mean="james-stein")).mean
    assert np.ptp(shrunk) < 0.7 * np.ptp(rng.normal(0, 0.1, (20, 10)).mean(axis=0))


wild = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 12), st.integers(2, 6)),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-1, 1) | st.just(0.0),
)  # fmt: skip


@given(returns=wild, covariance=st.sampled_from(COVARIANCES), mean=st.sampled_from(MEANS))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_moments_are_numbers_or_refused(
    returns: FloatArray, covariance: CovarianceName, mean: MeanName
) -> None:
    found: Estimate | None
    try:
        found = estimate(returns, Estimators(covariance, mean))
    except InputError as error:
        why = str(error)
        found = None
    if found is None:
        assert "moments" in why
        assert (np.abs(returns) < 1e100).all(axis=1).sum() < 2
        return
    assert np.isfinite(found.mean).all()
    np.testing.assert_array_equal(found.covariance, found.covariance.T)
    regular, scale = conditioned(found.covariance)
    assert (scale > 0).all()
    np.linalg.cholesky(regular / np.outer(scale, scale))


def test_rows_with_a_number_that_is_none_are_left_out() -> None:
    returns = returns_of(50, 3)
    torn = np.insert(returns, [3, 20], [[np.nan, 0.1, 0.1], [0.1, np.inf, 0.0]], axis=0)
    found = estimate(torn, Estimators("sample"))
    assert found.n_observations == 50
    np.testing.assert_allclose(found.covariance, np.cov(returns.T), rtol=1e-10)


def test_twins_stablecoins_and_more_assets_than_returns_can_be_conditioned() -> None:
    returns = returns_of(15, 20)
    returns = np.column_stack([returns, returns[:, 0], np.zeros(15), 1e-9 * returns[:, 1]])
    for name in COVARIANCES:
        covariance = covariance_of(returns, name)
        regular, scale = conditioned(covariance)
        np.linalg.cholesky(regular / np.outer(scale, scale))
        np.testing.assert_allclose(np.sqrt(np.diag(regular)), scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"covariance": "best"}, "no covariance estimator 'best'"),
        ({"mean": "hope"}, "no mean estimator 'hope'"),
        ({"halflife": 0.0}, "half-life of 0"),
    ],
)
def test_what_is_no_estimator_is_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Estimators(**given)  # type: ignore[arg-type]
