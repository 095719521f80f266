"""Streaming moments: equal to the batch's, whatever assets come and go; shrunk as scikit-learn shrinks."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.covariance import ledoit_wolf, oas

from quicksilver.errors import StateError
from quicksilver.events import FloatArray
from quicksilver.portfolio.config import LiveCovariance
from quicksilver.portfolio.estimators import Estimators, conditioned, estimate
from quicksilver.portfolio.moments import FOURTH, PRODUCT, THIRD, Moments
from quicksilver.portfolio.shrinkage import (
    covariance_of,
    james_stein,
    ledoit_wolf_intensity,
    oas_intensity,
    repaired,
)

COVARIANCES: tuple[LiveCovariance, ...] = get_args(LiveCovariance)
FOREVER = 1e12  # a half-life with which weights do not fade


def returns_of(n: int, n_assets: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(n_assets, n_assets)) / n_assets
    return rng.standard_t(5, size=(n, n_assets)) * 1e-3 @ (np.eye(n_assets) + mix) + 1e-4


def moments_of(returns: FloatArray, halflife: float) -> Moments:
    moments = Moments(returns.shape[1], halflife)
    for row in returns:
        moments.update(row)
    return moments


def batch(returns: FloatArray, halflife: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights, weighted mean and deviations from it."""
    weights = 0.5 ** (np.arange(len(returns))[::-1] / halflife)
    mean = weights @ returns / weights.sum()
    return weights, mean, returns - mean


def test_mean_and_covariance_equal_the_batchs() -> None:
    returns = returns_of(200, 5, 1)
    moments = moments_of(returns, 40.0)
    weights, mean, centred = batch(returns, 40.0)
    total = weights.sum()
    covariance = (centred * weights[:, None]).T @ centred / (total - (weights**2).sum() / total)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(), covariance, rtol=1e-10)
    assert moments.n_effective == pytest.approx(total**2 / (weights**2).sum())
    assert moments.n_observations == 200


@given(
    n=st.integers(2, 60), n_assets=st.integers(1, 6), halflife=st.floats(0.5, 1e4), seed=st.integers(0, 99),
    offset=st.sampled_from([0.0, 1e-2, -3.0]), scale=st.sampled_from([1e-9, 1.0, 1e6]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sums_of_all_orders_equal_the_batchs(
    n: int, n_assets: int, halflife: float, seed: int, offset: float, scale: float
) -> None:
    returns = (returns_of(n, n_assets, seed) + offset) * scale
    sums = moments_of(returns, halflife).sums
    weights, _, a = batch(returns, halflife)
    size = float(np.abs(a).max())
    precise = 1e-10 * max(1.0, abs(offset) * scale / size)  # deviations from a far mean have lost those digits
    for which, powers in ((PRODUCT, (1, 1)), (THIRD, (2, 1)), (FOURTH, (2, 2))):
        expected = np.einsum("t,ti,tj->ij", weights, a ** powers[0], a ** powers[1])
        np.testing.assert_allclose(sums[which], expected, rtol=precise, atol=precise * n * size ** sum(powers))


@given(n=st.integers(3, 60), n_assets=st.integers(2, 6), halflife=st.floats(1.0, 1e3), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_ledoit_wolf_equals_its_definition_over_all_weighted_observations(
    n: int, n_assets: int, halflife: float, seed: int
) -> None:
    """Ledoit and Wolf, 2004, sec. 3.2, with a weighted mean in the place of each mean over observations."""
    returns = returns_of(n, n_assets, seed)
    weights, _, centred = batch(returns, halflife)
    shares, n_effective = weights / weights.sum(), weights.sum() ** 2 / (weights**2).sum()
    sample = (centred * shares[:, None]).T @ centred
    apart = float(((sample - np.eye(n_assets) * np.trace(sample) / n_assets) ** 2).sum())
    noise = sum(
        float(w * ((np.outer(x, x) - sample) ** 2).sum()) for w, x in zip(shares, centred, strict=True)
    ) / n_effective  # fmt: skip
    moments = moments_of(returns, halflife)
    assert ledoit_wolf_intensity(moments) == pytest.approx(min(1.0, noise / apart), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("n", "n_assets"), [(60, 4), (300, 12), (15, 20)])
def test_with_weights_that_do_not_fade_they_are_scikit_learns(n: int, n_assets: int) -> None:
    returns = returns_of(n, n_assets, n)
    moments = moments_of(returns, FOREVER)
    np.testing.assert_allclose(covariance_of("ledoit-wolf", moments), ledoit_wolf(returns)[0], rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(covariance_of("oas", moments), oas(returns)[0], rtol=1e-8, atol=1e-16)
    assert oas_intensity(moments) == pytest.approx(oas(returns)[1], rel=1e-8)


@pytest.mark.parametrize("name", COVARIANCES)
def test_the_live_estimators_are_those_of_research(name: LiveCovariance) -> None:
    returns = returns_of(150, 7, 3)
    halflife = 30.0 if name == "ewm" else FOREVER
    moments = moments_of(returns, halflife)
    found = estimate(returns, Estimators(name, "james-stein", halflife))
    np.testing.assert_allclose(covariance_of(name, moments), found.covariance, rtol=1e-6, atol=1e-14)
    if name != "ewm":
        mean = james_stein(moments.mean, moments.covariance(), moments.n_effective)
        np.testing.assert_allclose(mean, found.mean, rtol=1e-6)


def with_absences(returns: FloatArray, seed: int) -> FloatArray:
    """Some assets join late, some leave and return, some miss a moment."""
    rng, torn = np.random.default_rng(seed), returns.copy()
    n, n_assets = returns.shape
    for asset in range(n_assets):
        match rng.integers(4):
            case 0:
                torn[: rng.integers(n), asset] = np.nan
            case 1:
                start = rng.integers(n)
                torn[start : start + rng.integers(1, n), asset] = np.nan
            case 2:
                torn[rng.random(n) < 0.1, asset] = np.nan
    return torn


@given(seed=st.integers(0, 200), halflife=st.floats(2.0, 1e3))
@settings(max_examples=40, deadline=None)
def test_a_pairs_moments_are_those_of_the_times_at_which_both_are_known(seed: int, halflife: float) -> None:
    returns = with_absences(returns_of(50, 4, seed), seed)
    moments = moments_of(returns, halflife)
    for i in range(4):
        for j in range(4):
            both = np.isfinite(returns[:, [i, j]]).all(axis=1)
            weights = 0.5 ** (np.arange(50)[::-1] / halflife) * both
            if both.sum() < 2:
                continue
            a, b = np.nan_to_num(returns[:, i]), np.nan_to_num(returns[:, j])
            total = weights.sum()
            a, b = a - weights @ a / total, b - weights @ b / total
            expected = (weights * a) @ b / (total - (weights**2).sum() / total)
            np.testing.assert_allclose(moments.covariance()[i, j], expected, rtol=1e-8, atol=1e-15)


@given(seed=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_moments_of_a_part_are_to_the_bit_what_they_were_without_the_others(seed: int) -> None:
    returns = with_absences(returns_of(60, 5, seed), seed)
    part = [4, 1, 2]
    whole, alone = moments_of(returns, 20.0), moments_of(returns[:, part], 20.0)
    np.testing.assert_array_equal(whole.over(part).sums, alone.sums)
    wider = alone.over([None, 0, 1, 2])
    wider.update(np.array([0.1, *returns[0, part]]))
    alone.update(returns[0, part])
    np.testing.assert_array_equal(wider.over([1, 2, 3]).sums, alone.sums)


@given(seed=st.integers(0, 500), name=st.sampled_from(COVARIANCES))
@settings(max_examples=80, deadline=None)
def test_whoever_comes_and_goes_the_covariance_stays_positive_semi_definite(seed: int, name: LiveCovariance) -> None:
    returns = with_absences(returns_of(30, 8, seed), seed)
    returns[:, 5] = returns[:, 0]
    moments = moments_of(returns, 15.0)
    covariance = covariance_of(name, moments)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
    assert np.linalg.eigvalsh(covariance)[0] >= -1e-12 * np.trace(covariance)
    np.linalg.cholesky(conditioned(covariance)[0])


def test_a_repair_keeps_variances_and_changes_nothing_that_needs_none() -> None:
    returns = returns_of(40, 3, 5)
    even = moments_of(returns, 20.0)
    np.testing.assert_array_equal(repaired(even.covariance(), even), even.covariance())
    rng = np.random.default_rng(0)
    common = rng.normal(size=60)
    torn = np.column_stack([common, common, common]) + 0.01 * rng.normal(size=(60, 3))
    torn[:30, 1] = np.nan  # 0 and 2 move as one, and so do 0 and 1; in what is left 1 and 2 move against each other
    torn[30:, 2] = np.where(np.arange(30) < 2, -torn[30:, 2], np.nan)
    uneven = moments_of(torn, 50.0)
    covariance = uneven.covariance()
    assert np.linalg.eigvalsh(covariance)[0] < 0.0
    fixed = repaired(covariance, uneven)
    assert np.linalg.eigvalsh(fixed)[0] >= -1e-12
    np.testing.assert_allclose(fixed.diagonal(), covariance.diagonal(), rtol=1e-12)


@given(seed=st.integers(0, 300))
@settings(max_examples=30, deadline=None)
def test_a_newcomer_hardly_changes_what_is_known_of_the_others(seed: int) -> None:
    """Six assets known for long, one of them another's twin, and one that has five returns that fit with none."""
    returns = returns_of(200, 7, seed)
    returns[:, 5] = returns[:, 0]
    returns[:195, 6] = np.nan
    moments = moments_of(returns, 100.0)
    before, after = moments.covariance(), repaired(moments.covariance(), moments)
    deviations = np.sqrt(before.diagonal())
    change = np.abs(after - before) / np.outer(deviations, deviations)
    assert change[:6, :6].max() < 2e-3
    assert np.linalg.eigvalsh(after)[0] >= -1e-12 * np.trace(after)


wild = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 25), st.integers(1, 5)),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-1, 1) | st.just(0.0)
    | st.sampled_from([1e-300, -1e-200, 1e69, -1e69]),
)  # fmt: skip


@given(returns=wild, name=st.sampled_from(COVARIANCES), halflife=st.sampled_from([1e-3, 1.0, 10.0, 86_400.0]))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_moments_are_numbers(returns: FloatArray, name: LiveCovariance, halflife: float) -> None:
    moments = moments_of(returns, halflife)
    assert np.isfinite(moments.sums).all()
    assert np.isfinite(moments.mean).all()
    regular, scale = conditioned(covariance_of(name, moments))
    assert (scale > 0.0).all()
    np.linalg.cholesky(regular / np.outer(scale, scale))


def test_what_is_forgotten_is_gone_and_can_begin_again() -> None:
    moments = moments_of(returns_of(20, 2, 1), 0.5)
    for _ in range(400):
        moments.update(np.array([np.nan, 0.0]))
    assert moments.n_observations == 0
    assert moments.n_effective == 0.0
    again = returns_of(20, 2, 2)
    for row in again:
        moments.update(row)
    np.testing.assert_allclose(moments.covariance()[0, 0], moments_of(again, 0.5).covariance()[0, 0], rtol=1e-12)


def test_idle_assets_and_twins_can_be_conditioned_by_every_estimator() -> None:
    returns = returns_of(60, 3, 2)
    returns = np.column_stack([returns, returns[:, 0], np.zeros(60), returns[:, 1] * 1e-7])
    moments = moments_of(returns, 300.0)
    for name in COVARIANCES:
        covariance, scale = conditioned(covariance_of(name, moments))
        np.linalg.cholesky(covariance / np.outer(scale, scale))
        assert covariance[0, 3] / scale[0] / scale[3] > 0.8


def test_dump_and_load_go_on_to_the_bit() -> None:
    returns = with_absences(returns_of(60, 4, 7), 7)
    whole, second = moments_of(returns, 20.0), Moments(4, 20.0)
    second.load(moments_of(returns[:31], 20.0).dump())
    for row in returns[31:]:
        second.update(row)
    assert second.dump() == whole.dump()
    with pytest.raises(StateError, match="another number of assets"):
        Moments(3, 20.0).load(whole.dump())
