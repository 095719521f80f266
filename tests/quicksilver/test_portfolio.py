"""Portfolios: moments, bank and picks against batch formulas and exact solutions; the live stage as a whole."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from quicksilver.errors import StateError
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank, draw
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.moments import Moments, shrunk_covariance
from quicksilver.portfolio.picks import max_sharpe, min_variance, pareto, picks
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import Frontier

SECOND = 1_000_000_000
wild = hnp.arrays(
    np.float64, (20, 4), elements=st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-1, 1)
)


def random_returns(n: int, n_assets: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(n_assets, n_assets)) / n_assets
    return rng.normal(1e-4, 1e-3, size=(n, n_assets)) @ (np.eye(n_assets) + mix)


def test_streaming_moments_equal_batch() -> None:
    returns, halflife = random_returns(200, 5, 1), 40.0
    moments = Moments(5, halflife)
    for row in returns:
        moments.update(row)
    weights = 0.5 ** (np.arange(len(returns))[::-1] / halflife)
    total = weights.sum()
    mean = weights @ returns / total
    centred = returns - mean
    covariance = (centred * weights[:, None]).T @ centred / (total - (weights**2).sum() / total)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(), covariance, rtol=1e-10)
    assert moments.n_effective == pytest.approx(total**2 / (weights**2).sum())


def test_shrinkage_makes_duplicates_and_idle_assets_positive_definite() -> None:
    returns = random_returns(60, 3, 2)
    returns = np.column_stack([returns, returns[:, 0], np.zeros(60)])
    moments = Moments(5, 300.0)
    for row in returns:
        moments.update(row)
    covariance, correlation = shrunk_covariance(moments.covariance(), moments.n_effective)
    np.linalg.cholesky(covariance)
    assert correlation[0, 3] > 0.8
    assert (covariance.diagonal() > 0).all()


@given(returns=wild)
@settings(max_examples=60, deadline=None)
def test_no_input_ever_gives_weights_that_do_not_sum_to_one(returns: FloatArray) -> None:
    moments = Moments(4, 10.0)
    for row in np.clip(returns, -1e3, 1e3):
        moments.update(row)
    covariance, _ = shrunk_covariance(moments.covariance(), moments.n_effective)
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


CONFIG = PortfolioConfig(min_observations=5, n_portfolios=500, n_cloud=50, n_frontier=20)


def prices(n: int, symbols: list[str], seed: int = 1) -> list[tuple[str, str, float, int]]:
    rng, out, ts = np.random.default_rng(seed), [], 1_000 * SECOND
    levels = dict.fromkeys(symbols, 100.0)
    for _ in range(n):
        for symbol in symbols:
            ts += SECOND // 7
            levels[symbol] *= float(np.exp(rng.normal(0, 1e-4)))
            out.append(("v", symbol, levels[symbol], ts))
    return out


def play(stage: PortfolioStage, rows: list[tuple[str, str, float, int]]) -> list[Frontier]:
    return [one for venue, symbol, price, ts in rows for one in stage.on_price(venue, symbol, price, ts, ts)]


def test_a_frontier_each_tick_once_enough_is_known() -> None:
    frontiers = play(PortfolioStage(CONFIG), prices(100, ["A-USD", "B-USD", "C-USD"]))
    assert [one.seq for one in frontiers] == list(range(1, len(frontiers) + 1))
    assert frontiers[0].n_observations == 5
    last = frontiers[-1]
    assert last.assets == ["A-USD", "B-USD", "C-USD"]
    assert set(last.picks) >= {"min_variance", "equal_weight"}
    assert last.ts_event_ns % SECOND == 0
    assert len(last.frontier) == len(last.frontier_weights)
    assert len(last.cloud) == 50


def test_dump_and_load_go_on_to_the_bit() -> None:
    rows = prices(60, ["A-USD", "B-USD"])
    whole = play(PortfolioStage(CONFIG), rows)
    for cut in (0, 1, 7, 50, 119):
        first, second = PortfolioStage(CONFIG), PortfolioStage(CONFIG)
        before = play(first, rows[:cut])
        second.load(first.dump())
        assert before + play(second, rows[cut:]) == whole
    with pytest.raises(StateError, match="another configuration"):
        PortfolioStage().load(first.dump())
    with pytest.raises(StateError, match="not a saved"):
        PortfolioStage().load(b"junk")


def test_a_tick_reads_no_price_of_its_own_time_or_later() -> None:
    rows = prices(60, ["A-USD", "B-USD"])
    changed = [(v, s, p * (3.0 if i == len(rows) - 1 else 1.0), ts) for i, (v, s, p, ts) in enumerate(rows)]
    assert play(PortfolioStage(CONFIG), rows) == play(PortfolioStage(CONFIG), changed)


def test_bad_prices_silence_and_time_going_back_are_harmless() -> None:
    stage = PortfolioStage(CONFIG)
    rows = prices(60, ["A-USD", "B-USD"])
    play(stage, rows)
    for price in (float("nan"), -1.0, 0.0, float("inf")):
        stage.on_price("v", "A-USD", price, rows[-1][3] + SECOND, 0)
    assert play(stage, [("v", "A-USD", 100.0, 1)]) == []
    (after,) = play(stage, [("v", "A-USD", 100.0, rows[-1][3] + 10_000 * SECOND)])
    assert after.n_observations < 100  # ten thousand silent seconds are a break, not ten thousand zero returns


def test_one_symbol_on_several_venues_is_an_asset_each_until_there_are_two_symbols() -> None:
    stage = PortfolioStage(CONFIG)
    rows = [(venue, s, p, ts) for _, s, p, ts in prices(90, ["A-USD"]) for venue in ("x", "y")]
    assert play(stage, rows)[-1].assets == ["x:A-USD", "y:A-USD"]
    later = [("x", s, p, ts + 400 * SECOND) for _, s, p, ts in prices(60, ["A-USD", "B-USD"])]
    assert play(stage, later)[-1].assets == ["A-USD", "B-USD"]


def test_a_broken_feed_is_no_asset_without_risk() -> None:
    """While a price is in doubt nothing is computed; the return across the doubt is taken for no asset."""
    stage, rows = PortfolioStage(CONFIG), prices(100, ["A-USD", "B-USD"])
    before = play(stage, rows)[-1]
    stage.forget("v", "B-USD")
    pause_ns = rows[-1][3] - rows[0][3] + SECOND
    alone = [(v, s, p, ts + pause_ns) for v, s, p, ts in rows if s == "A-USD" and ts < rows[0][3] + 20 * SECOND]
    assert play(stage, alone) == []
    back = [(v, s, p, ts + pause_ns + 21 * SECOND) for v, s, p, ts in rows[:40]]
    after = play(stage, back)
    assert after[0].assets == ["A-USD", "B-USD"]
    assert before.n_observations <= after[0].n_observations <= before.n_observations + 1  # none across the pause
    risks = [one.picks["equal_weight"].risk_bps for one in (before, after[-1])]
    assert risks[1] == pytest.approx(risks[0], rel=0.1)


def test_another_venue_stands_in_and_its_other_price_is_no_return() -> None:
    stage = PortfolioStage(CONFIG)
    both = [(v, s, p * (1.05 if v == "w" else 1.0), ts) for _, s, p, ts in prices(60, ["A-USD", "B-USD"]) for v in "vw"]
    before = play(stage, both)[-1]
    stage.forget("v", "A-USD")
    later = [(v, s, p, ts + 60 * SECOND) for v, s, p, ts in both if (v, s) != ("v", "A-USD")]
    after = play(stage, later)
    assert after[-1].assets == before.assets
    assert after[-1].n_observations > before.n_observations
    assert max(one.picks["equal_weight"].risk_bps for one in after) < 2 * before.picks["equal_weight"].risk_bps


def test_an_asset_without_a_price_for_long_leaves() -> None:
    stage = PortfolioStage(CONFIG)
    rows = prices(400, ["A-USD", "B-USD", "C-USD"])
    play(stage, rows[:300])
    stage.forget("v", "C-USD")
    left = play(stage, [row for row in prices(1200, ["A-USD", "B-USD", "C-USD"])[300:] if row[1] != "C-USD"])
    assert left[0].assets == ["A-USD", "B-USD"]


def test_the_frontier_begins_at_the_exact_least_variance() -> None:
    last = play(PortfolioStage(CONFIG), prices(100, ["A-USD", "B-USD", "C-USD"]))[-1]
    calm = last.picks["min_variance"]
    assert last.frontier[0] == (round(calm.risk_bps, 6), round(calm.mean_bps, 6))
    assert last.frontier_weights[0] == pytest.approx(calm.weights, abs=1e-6)
    means = [mean for _, mean in last.frontier]
    assert means == sorted(means)
