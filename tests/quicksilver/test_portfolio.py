"""Bank and picks against batch formulas and exact solutions."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank, draw
from quicksilver.portfolio.estimators import conditioned
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.picks import max_sharpe, min_variance, pareto, picks
from quicksilver.portfolio.shrinkage import covariance_of

wild = hnp.arrays(
    np.float64, (20, 4), elements=st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-1, 1)
)


def random_returns(n: int, n_assets: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(n_assets, n_assets)) / n_assets
    return rng.normal(1e-4, 1e-3, size=(n, n_assets)) @ (np.eye(n_assets) + mix)


@given(returns=wild)
@settings(max_examples=60, deadline=None)
def test_no_input_ever_gives_weights_that_do_not_sum_to_one(returns: FloatArray) -> None:
    moments = Moments(4, 10.0)
    for row in np.clip(returns, -1e3, 1e3):
        moments.update(row)
    covariance, _ = conditioned(covariance_of("oas", moments))
    for pick in picks(moments.mean, covariance).values():
        assert sum(pick.weights) == pytest.approx(1.0, abs=1e-9)
        assert min(pick.weights) >= 0.0
        assert np.isfinite([pick.mean_bps, pick.risk_bps, pick.sharpe]).all()


@given(n_assets=st.integers(1, 12), seed=st.integers(0, 99), n=st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
def test_the_bank_holds_long_only_weights_and_the_corners(n_assets: int, seed: int, n: int) -> None:
    weights = draw(n, n_assets, seed)
    assert weights.shape == (n, n_assets)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    if n > n_assets:
        np.testing.assert_array_equal(weights[:n_assets], np.eye(n_assets, dtype=np.float32))
    np.testing.assert_array_equal(weights, draw(n, n_assets, seed))


@given(seed=st.integers(0, 500), n_assets=st.integers(2, 15), scale=st.sampled_from([1e-12, 1e-4, 1.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_min_variance_beats_every_sampled_portfolio(seed: int, n_assets: int, scale: float) -> None:
    covariance = np.cov(random_returns(50, n_assets, seed).T) * scale + np.eye(n_assets) * 1e-12 * scale
    bank = PortfolioBank(2_000, n_assets, seed)
    means, risks = bank.evaluate(np.linspace(-1, 1, n_assets), covariance)
    weights = min_variance(covariance)
    assert np.sqrt(weights @ covariance @ weights) <= risks.min() * (1 + 1e-4)
    drawn = bank.weights(1234)
    assert risks[1234] == pytest.approx(np.sqrt(drawn @ covariance @ drawn), rel=1e-4)
    assert means[1234] == pytest.approx(drawn @ np.linspace(-1, 1, n_assets), rel=1e-4, abs=1e-5)


def exact(objective, n_assets: int) -> FloatArray:  # type: ignore[no-untyped-def]  # noqa: ANN001
    start = np.full(n_assets, 1 / n_assets)
    result = minimize(
        objective, start, method="SLSQP", bounds=[(0, 1)] * n_assets, options={"ftol": 1e-14, "maxiter": 1000},
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )  # fmt: skip
    weights: FloatArray = result.x
    return weights


def assert_near_exact(mean: FloatArray, covariance: FloatArray) -> None:
    scaled = covariance / covariance.diagonal().max()
    ours, theirs = min_variance(covariance), exact(lambda w: w @ scaled @ w, len(mean))
    assert ours @ covariance @ ours <= theirs @ covariance @ theirs * 1.005
    best = max_sharpe(mean, covariance)
    assert best is not None
    unit = mean / np.abs(mean).max()
    theirs = exact(lambda w: -(w @ unit) / np.sqrt(w @ scaled @ w), len(mean))

    def sharpe(w: FloatArray) -> float:
        return float(w @ mean / np.sqrt(w @ covariance @ w))

    assert sharpe(best) >= sharpe(theirs) * 0.99


@pytest.mark.parametrize("seed", range(5))
def test_picks_equal_exact_solutions(seed: int) -> None:
    returns = random_returns(200, 20, seed)
    assert_near_exact(returns.mean(axis=0), np.cov(returns.T))


def test_picks_equal_exact_solutions_on_real_stocks(tapes: Path) -> None:
    with (tapes / "stocks" / "pyportfolioopt_stock_prices.csv").open() as file:
        rows = [row[1:] for row in list(csv.reader(file))[1:] if all(row)]
    returns = np.diff(np.log(np.array(rows, dtype=float)), axis=0)
    assert returns.shape[1] == 20
    assert_near_exact(returns.mean(axis=0), np.cov(returns.T))


def test_without_a_mean_above_cash_the_fallback_says_so() -> None:
    chosen = picks(np.array([-0.1, -0.2]), np.eye(2))
    assert "max_sharpe" not in chosen
    assert chosen["max_sharpe_fallback"] == chosen["min_variance"]


def test_pareto_points_are_beaten_by_none() -> None:
    rng = np.random.default_rng(4)
    risks, means = rng.random(5000).astype(np.float32), rng.random(5000).astype(np.float32)
    front = pareto(means, risks, 40)
    assert 1 < len(front) <= 40
    for index in front:
        assert not ((means > means[index]) & (risks <= risks[index])).any()
    assert (np.diff(risks[front]) > 0).all()
    assert pareto(np.ones(5, np.float32), np.ones(5, np.float32), 40) == [0]
