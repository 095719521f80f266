"""A history's answer: picks with their fallback, few assets against all sets of so many, and the walk forward."""

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest

from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.answer import as_json, as_record, as_rows
from quicksilver.portfolio.backtest import HOLD, Track, walk
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.estimators import Estimators
from quicksilver.portfolio.goals import least_risk
from quicksilver.portfolio.history import History, LargeConfig
from quicksilver.portfolio.judging import judged
from quicksilver.portfolio.listing import Plan
from quicksilver.portfolio.research import Question, Research
from quicksilver.portfolio.risks import RiskName
from quicksilver.records import Frontier

DAY_NS = 86_400_000_000_000


def market(n_assets: int, n_times: int = 200, seed: int = 1, drift: float = 5e-4) -> History:
    rng = np.random.default_rng(seed)
    returns = rng.normal(drift, 0.01, (n_times, 1)) + rng.normal(
        0, rng.uniform(0.005, 0.03, n_assets), (n_times, n_assets)
    )
    times = DAY_NS * np.arange(1, n_times + 1)
    return History([f"A{i}-USD" for i in range(n_assets)], times, 100 * np.exp(returns.cumsum(axis=0)))


def test_the_answer_is_feasible_efficient_and_says_what_it_is_of() -> None:
    history = market(6)
    constraints = Constraints(cap=0.4, turnover=0.9, current={"A0": 0.5, "A1": 0.5})
    research = Research(history, Question(Estimators("oas"), constraints, n_frontier=8))
    drawn = research.draw(5_000, 100)
    picks = research.picks(drawn)
    frontier = research.frontier(picks["min_variance"], drawn)
    assert set(picks) == {"min_variance", "max_sharpe", "max_utility", "risk_parity", "equal_weight", "current"}
    for name, one in picks.items():
        assert name == "current" or research.feasible.violation(one.weights) <= 1e-9
        assert one.risk >= picks["min_variance"].risk or name == "current"
    assert picks["current"].weights.tolist() == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert picks["min_variance"].risk <= drawn.calmest.risk
    assert picks["max_sharpe"].mean / picks["max_sharpe"].risk >= drawn.sharpest.mean / drawn.sharpest.risk
    assert [one.mean for one in frontier] == sorted(one.mean for one in frontier)
    assert [one.risk for one in frontier] == sorted(one.risk for one in frontier)
    plain = msgspec.json.decode(msgspec.json.encode(as_json(research, picks, frontier, drawn)))
    weights = np.array([plain["picks"]["max_sharpe"]["weights"][name] for name in plain["assets"]])
    covariance = np.array(plain["covariance"])
    assert plain["picks"]["max_sharpe"]["risk"] == pytest.approx(np.sqrt(weights @ covariance @ weights), rel=1e-9)
    assert plain["picks"]["max_sharpe"]["mean"] == pytest.approx(weights @ np.array(plain["mean"]), rel=1e-9)
    record = as_record(research, history, LargeConfig("u", 5_000), picks, frontier, drawn)
    assert record.picks["max_sharpe"].risk_bps == pytest.approx(plain["picks"]["max_sharpe"]["risk"] * 1e4)
    assert (len(record.frontier), record.n_portfolios) == (len(record.frontier_weights), 5_000)
    rows = as_rows(research, picks, frontier)
    assert {len(row) for row in rows} == {10}
    assert [float(one) for one in rows[2][4:]] == weights.tolist()


@pytest.mark.parametrize("risk", ["variance", "cvar"])
def test_the_record_says_what_a_live_one_says(risk: RiskName) -> None:
    history = market(5)
    limits = Constraints(cap=0.5, budget=0.9, current={"A0": 0.4, "A1": 0.5})
    question = Question(
        Estimators("oas", "ewm", 40.0), limits, risk, cash=2e-5, n_frontier=6, costs=Costs(fee_bps=10.0), hold=50
    )
    research = Research(history, question)
    drawn = research.draw(2_000, 50)
    picks = research.picks(drawn)
    record = as_record(research, history, LargeConfig("u"), picks, research.frontier(drawn.calmest, drawn), drawn)
    plain = as_json(research, picks, [], drawn)["picks"]
    assert set(record.picks) == set(picks)
    for name, one in record.picks.items():
        above = one.mean_bps - 2e-5 * 1e4 * sum(one.weights)
        assert one.sharpe == pytest.approx(above / one.risk_bps) == pytest.approx(plain[name]["sharpe"])
        assert one.risk_bps == pytest.approx(plain[name]["risk"] * 1e4)
        assert (one.turnover, one.cost_bps) == (plain[name]["turnover"], plain[name]["cost"] * 1e4)
        assert one.net_sharpe == pytest.approx((above - (one.cost_bps or 0.0) / 50) / one.risk_bps)
    np.testing.assert_allclose(np.sum(record.frontier_weights, axis=1), 0.9, atol=1e-9)
    assert np.max(record.frontier_weights) <= 0.5 + 1e-9
    assert record.estimators == {"covariance": "oas", "mean": "ewm", "returns": "log"}
    assert (record.risk, record.halflife, record.cash, record.hold) == (risk, 40.0, 2e-5, 50)
    assert (record.constraints, record.costs, record.held) == (limits, question.costs, [0.4, 0.5, 0.0, 0.0, 0.0])
    assert record.prices == history.prices[-1].tolist()
    assert codec.decode(Frontier, codec.encode(record)) == record


def test_of_simple_returns_a_portfolios_mean_is_the_mean_of_what_it_earns() -> None:
    history = market(4)
    research = Research(history, Question(Estimators("sample"), returns="simple"))
    picks = research.picks()
    simple = history.prices[1:] / history.prices[:-1] - 1.0
    for one in picks.values():
        earned = simple @ one.weights
        assert one.mean == pytest.approx(earned.mean(), rel=1e-9)
        assert one.risk == pytest.approx(earned.std(ddof=1), rel=1e-9)
    plain = as_json(research, picks, [], research.draw(100, 10))
    assert plain["returns"] == "simple"
    np.testing.assert_allclose(plain["mean"], simple.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(plain["covariance"], np.cov(simple.T), rtol=1e-9, atol=1e-15)


def test_without_a_mean_above_cash_the_fallback_says_so() -> None:
    research = Research(market(4), Question(cash=0.05))
    picks = research.picks()
    assert "max_sharpe" not in picks
    np.testing.assert_array_equal(picks["max_sharpe_fallback"].weights, picks["min_variance"].weights)
    assert research.notes == ["no feasible mean is above cash: min_variance stands in for max_sharpe"]


@pytest.mark.parametrize("constraints", [Constraints(most_assets=3), Constraints(most_assets=3, floor=0.1, cap=0.6)])
def test_few_assets_are_the_best_of_all_sets_of_so_many(constraints: Constraints) -> None:
    history = market(9, seed=4)
    research = Research(history, Question(Estimators("sample"), constraints))
    picks = research.picks()
    best = np.inf
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(9), size):
            part = research.feasible.only(chosen)
            weights = least_risk(research.market, "variance").best(part, list(chosen))
            if weights is not None:
                best = min(best, float(weights @ research.market.covariance[np.ix_(chosen, chosen)] @ weights))
    assert picks["min_variance"].risk ** 2 == pytest.approx(best, rel=1e-9)
    for name, one in picks.items():
        assert (one.weights != 0.0).sum() <= 3, name
        assert research.feasible.violation(one.weights) <= 1e-9


@pytest.mark.parametrize(
    ("history", "question", "why"),
    [
        (market(1), Question(), "two assets or more; there is A0-USD"),
        (market(3, 20), Question(), "31 are needed"),
        (market(40, 36), Question(Estimators("sample")), "35 returns of 40 assets are too few"),
        (market(3), Question(constraints=Constraints(cap=0.2)), "budget 1, cap 0.2"),
        (market(3), Question(aversion=0.0), "aversion of 0"),
    ],
)  # fmt: skip
def test_what_gives_no_answer_is_refused_in_a_sentence(history: History, question: Question, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Research(history, question)


PLAN = Plan(60, 20, costs=Costs(10, 4, 6))


def test_the_walk_reads_no_price_after_its_decision() -> None:
    history = market(4, 180)
    cut = 140
    prices = history.prices.copy()
    prices[cut + 1 :] *= np.random.default_rng(1).uniform(0.5, 2.0, prices[cut + 1 :].shape)
    before, after = (walk(one, Question(), PLAN) for one in (history, history._replace(prices=prices)))
    assert set(before) == {"min_variance", "max_sharpe", "max_utility", "risk_parity", "equal_weight", HOLD}
    for name, track in before.items():
        assert len(track.returns) == 179 - 60
        np.testing.assert_array_equal(track.returns[: cut - 60], after[name].returns[: cut - 60])
        assert (track.returns[cut - 60 :] != after[name].returns[cut - 60 :]).all()


def test_holding_and_equal_weight_are_what_one_can_work_out_by_hand() -> None:
    history = market(3, 101)
    tracks = walk(history, Question(), PLAN)
    grown = history.prices[60:] / history.prices[60]
    cost = (10 + 4 / 2 + 6 / 3) / 1e4
    np.testing.assert_allclose(np.cumprod(1 + tracks[HOLD].returns), (1 - cost) * grown.mean(axis=1)[1:], rtol=1e-12)
    assert tracks[HOLD].turnover.tolist() == pytest.approx([1.0, 0.0])
    equal = tracks["equal_weight"]
    held = grown[20] / grown[20].sum()
    trades = np.abs(1 / 3 - held)
    assert equal.turnover[1] == pytest.approx(trades.sum())
    assert equal.costs[1] == pytest.approx((trades * (12 + 6 * trades)).sum() / 1e4)
    second = (grown[40] / grown[20]).mean() * (1 - equal.costs[1])
    assert np.prod(1 + equal.returns[20:40]) == pytest.approx(second)


def test_a_limit_to_turnover_and_a_band_hold_at_each_rebalancing() -> None:
    history = market(4, 200)
    limited = walk(history, Question(constraints=Constraints(turnover=0.1)), PLAN)
    assert limited["max_sharpe"].turnover[0] == pytest.approx(1.0)
    assert limited["max_sharpe"].turnover[1:].max() <= 0.1 + 1e-9
    assert walk(history, Question(), Plan(60, 20, band=3.0))["max_sharpe"].turnover[1:].max() == 0.0
    capped = Question(constraints=Constraints(cap=0.3, turnover=0.001, groups={"g": Group(("A0",), None, 0.3)}))
    assert np.isfinite(walk(history, capped, PLAN)["min_variance"].returns).all()  # drift alone breaks the cap


def figures(returns: FloatArray, **given: Any) -> Any:
    return judged("x", Track(returns, np.array([1.0]), np.array([0.0])), 0.0, 365.0, seed=3)


def test_figures_are_their_definitions_and_the_interval_holds_the_value() -> None:
    returns = np.random.default_rng(5).normal(0.001, 0.01, 400)
    one = figures(returns)
    wealth = np.cumprod(1 + returns)
    assert one.total_return == pytest.approx(wealth[-1] - 1)
    assert one.sharpe == pytest.approx(returns.mean() / returns.std() * np.sqrt(365))
    assert one.sharpe_low < one.sharpe < one.sharpe_high
    assert one == figures(returns)
    falls = [1 - wealth[j] / max(1.0, wealth[: j + 1].max()) for j in range(400)]
    assert one.max_drawdown == pytest.approx(max(falls))
    assert figures(np.zeros(100)).sharpe == 0.0


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan(500, 20), "need 521: shorten the window"),
        (Plan(5, 20), "cannot be walked"),
        (Plan(60, 0), "cannot be walked"),
        (Plan(60, 20, costs=Costs(-1.0)), "0 or more"),
    ],
)
def test_a_plan_that_cannot_be_walked_is_refused(plan: Plan, why: str) -> None:
    with pytest.raises(InputError, match=why):
        walk(market(3), Question(), plan)
