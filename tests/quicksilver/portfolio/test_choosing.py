"""The live chooser: its picks against exact solvers, its constraints, its state, and what it says."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.errors import InputError, StateError
from quicksilver.events import FloatArray
from quicksilver.portfolio.choosing import Chooser, ChooserState, Chosen
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible, Group
from quicksilver.portfolio.goals import Market, best_ratio, best_utility, least_risk, optimum
from quicksilver.portfolio.research import Question, names_of
from quicksilver.portfolio.risks import NAMES, RiskName, measured
from quicksilver.portfolio.solving import Solver

ASSETS = [f"A{i:02d}-USD" for i in range(20)]
SMALL = PortfolioConfig(n_portfolios=1_000, window=120, n_cloud=50, n_frontier=12, resamples=20)
EQUAL = dict.fromkeys(ASSETS[:6], 1 / 6)
KINDS: dict[str, Constraints] = {
    "none": Constraints(),
    "cap": Constraints(cap=0.4),
    "held": Constraints(current=EQUAL),
    "short": Constraints(floor=-0.2, cap=0.6),
    "turnover": Constraints(turnover=0.4, current=EQUAL),
    "cash": Constraints(budget=0.7, cap=0.4),
    "groups": Constraints(cap=0.5, groups={"x": Group(("A00", "A01"), 0.3), "y": Group(("A03", "A04"), None, 0.2)}),
    "few": Constraints(most_assets=3),
    "few with floors": Constraints(most_assets=4, floor=0.1, cap=0.5),
}


def returns_of(n_assets: int, seed: int, n: int = 150, scale: float = 1.0) -> FloatArray:
    rng = np.random.default_rng(seed)
    common = rng.normal(4e-4, 0.01, (n, 1))
    own: FloatArray = common + rng.normal(3e-4, rng.uniform(0.005, 0.03, n_assets), (n, n_assets))
    return own * scale


def config_of(constraints: Constraints, **more: Any) -> PortfolioConfig:
    return msgspec.structs.replace(SMALL, constraints=constraints, **more)


def fed(config: PortfolioConfig, returns: FloatArray) -> Chooser:
    chooser = Chooser(config, ASSETS[: returns.shape[1]])
    for row in returns:
        chooser.returned(row)
    return chooser


def moments(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    return returns.mean(axis=0), np.cov(returns.T)


def assert_feasible(chosen: Chosen, constraints: Constraints, n_assets: int) -> None:
    feasible = Feasible.of(constraints, ASSETS[:n_assets])
    for name, pick in chosen.picks.items():
        weights = np.array(pick.weights)
        assert pick.net_sharpe is not None
        assert pick.cost_bps is not None
        assert np.isfinite([pick.mean_bps, pick.risk_bps, pick.sharpe, pick.net_sharpe, pick.cost_bps]).all()
        if name != "current":
            assert weights.sum() == pytest.approx(constraints.budget, abs=1e-9)
            assert feasible.violation(weights) <= 1e-9
    for row in chosen.weights:
        assert feasible.violation(np.array(row)) <= 1e-9
    assert np.isfinite(chosen.frontier).all()
    assert np.isfinite(chosen.cloud).all()
    points = np.array(chosen.frontier)
    assert (np.diff(points, axis=0) >= 0.0).all()


# Updates that look for a corner draw nothing, and as long as few are known fewer are drawn.
AFTER_THREE = {"none": 1_000, "held": 1_000, "turnover": 166, "groups": 166, "few": 500, "few with floors": 500}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("risk", NAMES)
def test_picks_are_named_and_feasible_whatever_is_asked(kind: str, risk: RiskName) -> None:
    config, returns = config_of(KINDS[kind], risk=risk), returns_of(6, 3)
    chooser = fed(config, returns)
    for _ in range(3):
        chosen = chooser.choose(*moments(returns))
        assert_feasible(chosen, config.constraints, 6)
    names = names_of(Question(constraints=config.constraints, risk=risk))
    assert list(chosen.picks) == names
    assert chooser.n_portfolios == AFTER_THREE.get(kind, 750)


@pytest.mark.parametrize("cap", [1.0, 0.15])
@pytest.mark.parametrize("seed", range(3))
def test_picks_are_those_of_pyportfolioopt(cap: float, seed: int) -> None:
    optimiser = pytest.importorskip("pypfopt")
    mean, covariance = moments(returns_of(20, seed))
    picks = fed(config_of(Constraints(cap=cap)), returns_of(20, seed)).choose(mean, covariance).picks
    unit = float(np.sqrt(np.diag(covariance).max()))
    for theirs, ours in (("min_volatility", "min_variance"), ("max_sharpe", "max_sharpe")):
        one = optimiser.EfficientFrontier(mean / unit, covariance / unit**2, weight_bounds=(0, cap), solver="CLARABEL")
        getattr(one, theirs)(**({"risk_free_rate": 0.0} if theirs == "max_sharpe" else {}))
        weights, pick = np.array(one.weights), picks[ours]
        if ours == "min_variance":
            assert (pick.risk_bps / 1e4) ** 2 == pytest.approx(weights @ covariance @ weights, rel=5e-3)
        assert pick.sharpe == pytest.approx(weights @ mean / np.sqrt(weights @ covariance @ weights), rel=1e-2)


@pytest.mark.parametrize("kind", ["none", "cap", "groups"])
def test_the_frontier_keeps_up_with_the_exact_one(kind: str) -> None:
    """One point is solved at an update: when each has had its turn, all have the least variance to half a percent."""
    returns = returns_of(20, 1, 140)
    chooser = fed(config_of(KINDS[kind], n_portfolios=4_000), returns)
    for n in range(100, 154):
        mean, covariance = moments(returns[: min(n, 140)])
        chosen = chooser.choose(mean, covariance)
    solver = Solver(covariance, Feasible.of(KINDS[kind], ASSETS))
    points = np.array(chosen.frontier) / 1e4
    assert len(points) >= 12
    for risk, value in points[:-1]:
        least = solver.at_least(mean, value)
        assert least is not None
        assert risk**2 == pytest.approx(least @ covariance @ least, rel=5e-3)


@pytest.mark.parametrize("name", ["min_variance", "max_sharpe", "max_utility"])
def test_exchanging_assets_comes_to_what_a_whole_search_finds(name: str) -> None:
    returns, constraints = returns_of(12, 4), Constraints(most_assets=4, floor=0.05, cap=0.6)
    mean, covariance = moments(returns)
    market = Market(mean, covariance, returns, 0.0)
    goal = {
        "min_variance": least_risk(market, "variance"),
        "max_sharpe": best_ratio(market, "variance"),
        "max_utility": best_utility(market, 5.0),
    }[name]
    exact = optimum(goal, Feasible.of(constraints, ASSETS[:12]))
    assert exact is not None
    chooser = fed(config_of(constraints), returns)
    for _ in range(100):
        pick = chooser.choose(mean, covariance).picks[name]
    assert goal.score(np.array(pick.weights)) <= goal.score(exact) + 0.005 * abs(goal.score(exact))


@pytest.mark.parametrize("risk", ["semi-variance", "cvar", "max-drawdown"])
@pytest.mark.parametrize("cap", [1.0, 0.3])
def test_steps_keep_up_with_a_past_that_moves_on(risk: RiskName, cap: float) -> None:
    returns = returns_of(8, 2, 200)
    constraints = Constraints(cap=cap)
    chooser = fed(config_of(constraints, risk=risk), returns[:120])
    for row in returns[120:]:
        chooser.returned(row)
        chosen = chooser.choose(*moments(returns))
    last, feasible = returns[-120:], Feasible.of(constraints, ASSETS[:8])
    exact = optimum(least_risk(Market(*moments(returns), last, 0.0), risk), feasible)
    assert exact is not None
    least = float(measured(risk, exact[None], np.eye(8), last)[0])
    pick = chosen.picks[NAMES[risk][0]]
    assert "updates ago" in pick.note
    assert least * (1 - 1e-9) <= pick.risk_bps / 1e4 <= least * 1.01


def test_without_a_mean_above_cash_the_fallback_says_so() -> None:
    returns = returns_of(6, 3)
    for kind in ("none", "cap", "few"):
        for risk in ("variance", "cvar"):
            config = config_of(KINDS[kind], risk=risk, cash=0.5)
            calm, sharp = NAMES[config.risk]
            picks = fed(config, returns).choose(*moments(returns)).picks
            assert sharp not in picks
            assert f"{calm} stands in for {sharp}" in picks[f"{sharp}_fallback"].note
            assert picks[f"{sharp}_fallback"].weights == picks[calm].weights


def test_cash_is_what_ratios_are_above() -> None:
    returns = returns_of(6, 3)
    mean, covariance = moments(returns)
    picks = fed(config_of(Constraints(budget=0.5, cap=0.4), cash=1e-4), returns).choose(mean, covariance).picks
    weights = np.array(picks["max_sharpe"].weights)
    above = weights @ mean - 0.5e-4
    assert picks["max_sharpe"].sharpe == pytest.approx(above / np.sqrt(weights @ covariance @ weights))


@pytest.mark.parametrize("config", [
    config_of(KINDS["none"]), config_of(KINDS["turnover"]), config_of(KINDS["few"]),
    config_of(KINDS["cap"], risk="cvar"), config_of(KINDS["none"], risk="max-drawdown"),
    config_of(KINDS["few"], risk="semi-variance"),
])  # fmt: skip
def test_dump_and_load_go_on_to_the_bit(config: PortfolioConfig) -> None:
    returns = returns_of(6, 7, 170)
    whole = Chooser(config, ASSETS[:6])
    for i, row in enumerate(returns):
        whole.returned(row)
        if i == 151:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(whole.dump()), type=ChooserState)
            after = Chooser(config, ASSETS[:6])
            after.returned(row * 2)
            after.load(state)
        elif i > 151:
            after.returned(row)
        if i % 3 == 0 and i > 100:
            mean, covariance = moments(returns[: i + 1])
            chosen = whole.choose(mean, covariance)
            if i > 150:
                assert after.choose(mean, covariance) == chosen
                assert after.n_portfolios == whole.n_portfolios
    with pytest.raises(StateError, match="not of these 5 assets"):
        Chooser(msgspec.structs.replace(config, constraints=Constraints()), ASSETS[:5]).load(state)


wild = st.sampled_from(["plain", "twins", "still", "one", "zero"])


@given(
    kind=st.sampled_from(sorted(KINDS)), shape=wild, seed=st.integers(0, 99),
    scale=st.sampled_from([1e-12, 1e-5, 1.0, 1e5]), lift=st.sampled_from([0.0, 1.0, -1e3, 1e6]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_moments_ever_give_infeasible_weights(kind: str, shape: str, seed: int, scale: float, lift: float) -> None:
    returns = returns_of(6, seed, 40, scale)
    if shape == "twins":
        returns[:, 1] = returns[:, 0]
    elif shape == "still":
        returns[:, 2:5] = 0.0
    elif shape == "one":
        returns[:] = returns[:, :1]
    elif shape == "zero":
        returns[:] = 0.0
    chooser = fed(config_of(KINDS[kind]), returns)
    mean, covariance = moments(returns)
    for _ in range(2):
        assert_feasible(chooser.choose(mean + lift * scale, covariance), KINDS[kind], 6)


def test_what_is_no_number_is_refused_or_counts_as_nothing() -> None:
    returns = returns_of(6, 1)
    chooser, clean = fed(SMALL, returns), fed(SMALL, returns)
    chooser.returned(np.array([np.nan, np.inf, 0.0, 0.0, 0.0, 0.0]))
    clean.returned(np.zeros(6))
    mean, covariance = moments(returns)
    assert chooser.choose(mean, covariance) == clean.choose(mean, covariance)
    with pytest.raises(StateError, match="not all numbers"):
        chooser.choose(mean * np.nan, covariance)


def test_assets_that_are_away_are_left_out_and_named() -> None:
    constraints = Constraints(
        caps={"A00": 0.4, "GONE-USD": 0.1}, groups={"x": Group(("A01", "AWAY")), "y": Group(("AWAY",), 0.5)}
    )
    returns = returns_of(6, 3)
    chooser = fed(config_of(constraints), returns)
    assert chooser.left_out == ("GONE-USD", "AWAY")
    picks = chooser.choose(*moments(returns)).picks
    assert all("GONE-USD, AWAY" in pick.note for pick in picks.values())
    assert all(pick.weights[0] <= 0.4 + 1e-9 for pick in picks.values())


@pytest.mark.parametrize(
    ("config", "n", "why"),
    [
        (SMALL, 1, "two assets or more; there is A00-USD"),
        (config_of(Constraints(cap=0.1)), 6, "allow 0.1667 or more of each"),
        (config_of(Constraints(), window=1), 6, "window = 1: give 2 to"),
        (config_of(Constraints(), hold=-1), 6, "hold = -1: give 1 to"),
        (config_of(Constraints(), band=float("nan")), 6, "band = nan: give 0 to 10"),
        (config_of(Constraints(), aversion=0.0), 6, "aversion = 0: give 1e-09 to"),
        (config_of(Constraints(), cash=2.0), 6, "cash = 2: give -1 to 1"),
    ],
)
def test_what_nobody_can_choose_by_is_refused(config: PortfolioConfig, n: int, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Chooser(config, ASSETS[:n])


@pytest.mark.parametrize("turnover", [1e-9, 1e-8, 1e-7])
def test_a_set_that_is_hardly_more_than_a_point_has_portfolios(turnover: float) -> None:
    """Linear programs keep constraints to 1e-7: of such a set they find no corner."""
    held = {"A-USD": 0.5, "B-USD": 0.5}
    config = PortfolioConfig(constraints=Constraints(turnover=turnover, current=held), n_portfolios=500)
    chosen = Chooser(config, ["A-USD", "B-USD"]).choose(np.array([1e-4, 2e-4]), np.diag([1e-4, 2e-4]))
    for name, pick in chosen.picks.items():
        assert np.abs(np.array(pick.weights) - 0.5).sum() <= turnover + 1e-9, name
        assert sum(pick.weights) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("risk", ["semi-variance", "cvar", "max-drawdown"])
@pytest.mark.parametrize("seed", range(3))
def test_few_assets_stay_few_where_turnover_is_limited(risk: RiskName, seed: int) -> None:
    """What is sold is sold to the last digit, also after trades were cut to what may be traded."""
    constraints = Constraints(most_assets=3, turnover=1.0, current=dict.fromkeys(ASSETS[:3], 1.0 / 3.0))
    returns = returns_of(6, seed, 60)
    chooser = fed(config_of(constraints, risk=risk), returns[:30])
    for i in range(30, 50):
        chooser.returned(returns[i])
        assert_feasible(chooser.choose(*moments(returns[: i + 1])), constraints, 6)
