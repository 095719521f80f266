"""Trades: the utility after costs against a general solver, when it is better to stay, and what doubt there is."""

import msgspec
import numpy as np
import pytest
from scipy.optimize import minimize

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.after_costs import best_utility_after
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.doubt import Doubt
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.ring import Past
from quicksilver.portfolio.risks import NAMES, RiskName
from quicksilver.portfolio.trading import Trader
from quicksilver.records import Pick
from tests.quicksilver.portfolio.test_choosing import ASSETS, SMALL, fed, moments, returns_of

N = 6
RETURNS = returns_of(N, 3)
MEAN, COVARIANCE = moments(RETURNS)
HELD = dict(zip(ASSETS, [0.5, 0.3, 0.2, 0.0, 0.0, 0.0], strict=False))


def utility(w: FloatArray, feasible: Feasible, costs: Costs, hold: float) -> float:
    return float(w @ MEAN - 2.5 * w @ COVARIANCE @ w - costs.of(w - feasible.current) / hold)


@pytest.mark.parametrize("costs", [Costs(), Costs(0.0, 0.0, 50.0), Costs(20.0, 10.0, 0.0)])
@pytest.mark.parametrize("hold", [1, 20, 1000])
@pytest.mark.parametrize("turnover", [None, 0.3])
def test_the_utility_after_costs_is_a_general_solvers(costs: Costs, hold: int, turnover: float | None) -> None:
    feasible = Feasible.of(Constraints(cap=0.6, turnover=turnover, current=HELD), ASSETS[:N])
    ours = best_utility_after(Market(MEAN, COVARIANCE, RETURNS, 0.0), 5.0, feasible, costs, hold)
    assert ours is not None
    assert feasible.violation(ours) <= 1e-9
    held = feasible.current
    rate, impact = (costs.fee_bps + costs.spread_bps / 2) / 1e4, costs.impact_bps / 1e4

    def loss(x: FloatArray) -> float:  # of purchases and sales: smooth
        w = held + x[:N] - x[N:]
        cost = rate * x.sum() + impact * (x @ x)
        return -1e3 * float(w @ MEAN - 2.5 * w @ COVARIANCE @ w - cost / hold)

    found = minimize(
        loss, np.zeros(2 * N), method="SLSQP", bounds=[(0, 1)] * (2 * N), options={"ftol": 1e-14, "maxiter": 500},
        constraints=[
            {"type": "eq", "fun": lambda x: x[:N].sum() - x[N:].sum()},
            {"type": "ineq", "fun": lambda x: 0.6 - (held + x[:N] - x[N:])},
            {"type": "ineq", "fun": lambda x: held + x[:N] - x[N:]},
            {"type": "ineq", "fun": lambda x: (2.0 if turnover is None else turnover) - x.sum()},
        ],
    )  # fmt: skip
    theirs = held + found.x[:N] - found.x[N:]
    mine = utility(ours, feasible, costs, hold)
    assert mine >= utility(theirs, feasible, costs, hold) - 1e-9
    assert mine >= utility(held, feasible, costs, hold) - 1e-12


def picks_of(costs: Costs, hold: int, band: float = 0.0, held: dict[str, float] | None = None) -> dict[str, Pick]:
    constraints = Constraints(current=HELD if held is None else held)
    config = msgspec.structs.replace(SMALL, constraints=constraints, costs=costs, hold=hold, band=band)
    return fed(config, RETURNS).choose(MEAN, COVARIANCE).picks


def test_without_costs_picks_are_those_of_somebody_who_holds_nothing() -> None:
    free, nothing = picks_of(Costs(0.0, 0.0, 0.0), 1), fed(SMALL, RETURNS).choose(MEAN, COVARIANCE).picks
    for name, pick in nothing.items():
        np.testing.assert_allclose(free[name].weights, pick.weights, atol=2e-4)
        assert free[name].wanted is None
        assert pick.turnover == pytest.approx(1.0)
    assert free["current"].turnover == 0.0
    assert free["current"].weights == pytest.approx(list(HELD.values()))


def test_what_is_held_stays_where_no_trade_is_worth_its_cost() -> None:
    dear, free = picks_of(Costs(500.0, 0.0, 0.0), 1), picks_of(Costs(0.0, 0.0, 0.0), 1)
    for name in ("min_variance", "max_sharpe", "max_utility"):
        assert dear[name].weights == pytest.approx(list(HELD.values()))
        assert dear[name].wanted == pytest.approx(free[name].weights, abs=2e-4)
        assert "no trade is worth its cost over 1 periods" in dear[name].note
        assert (dear[name].turnover, dear[name].cost_bps) == (0.0, 0.0)
    assert dear["equal_weight"].weights == pytest.approx([1 / N] * N)
    assert dear["equal_weight"].wanted is None


def test_less_than_the_band_is_not_traded() -> None:
    held = dict(zip(ASSETS, [1 / N + 0.004, 1 / N - 0.004] + [1 / N] * (N - 2), strict=False))
    near = picks_of(Costs(), 1000, 0.01, held)["equal_weight"]
    assert near.weights == pytest.approx(list(held.values()))
    assert near.wanted == pytest.approx([1 / N] * N)
    assert "0.80% to trade is less than 1.00%" in near.note
    assert picks_of(Costs(), 1000, 0.007, held)["equal_weight"].wanted is None


def test_what_is_wanted_already_needs_no_trade_and_costs_are_not_the_reason() -> None:
    equal = dict.fromkeys(ASSETS[:N], 1 / N)
    kept = picks_of(Costs(500.0, 0.0, 0.0), 1, 0.02, equal)["equal_weight"]
    assert kept.weights == pytest.approx([1 / N] * N)
    assert kept.wanted is None
    assert kept.note == "what is held stays: it is what is wanted"


def test_what_is_better_than_all_that_was_found_stays_and_costs_are_not_the_reason() -> None:
    calm = np.array(fed(SMALL, RETURNS).choose(MEAN, COVARIANCE).picks["min_variance"].weights)
    held = dict(zip(ASSETS, calm.tolist(), strict=False))
    constraints = Constraints(current=held)
    config = msgspec.structs.replace(SMALL, constraints=constraints, costs=Costs(1.0, 0.0, 0.0))
    trader = Trader(config, Feasible.of(constraints, ASSETS[:N]))
    worse = 0.9 * calm + 0.1 / N
    settled = trader.settle(worse, Market(MEAN, COVARIANCE, RETURNS, 0.0), "risk")
    assert settled.weights == pytest.approx(calm)
    assert settled[1:] == (None, "what is held stays: nothing better is known")


def test_a_part_of_the_way_is_the_best_part() -> None:
    costs, hold = Costs(5.0, 0.0, 200.0), 30
    pick = picks_of(costs, hold)["max_sharpe"]
    target = np.array(picks_of(Costs(0.0, 0.0, 0.0), 1)["max_sharpe"].weights)
    held = np.array(list(HELD.values()))
    weights = np.array(pick.weights)
    assert "of the way" in pick.note
    assert 0.0 < pick.turnover < np.abs(target - held).sum()  # type: ignore[operator]

    def net(w: FloatArray) -> float:
        return float((w @ MEAN - costs.of(w - held) / hold) / np.sqrt(w @ COVARIANCE @ w))

    assert pick.net_sharpe == pytest.approx(net(weights))
    assert net(weights) >= max(net(held + t * (target - held)) for t in np.linspace(0, 1, 51)) - 1e-12


def test_what_is_held_against_the_constraints_is_traded_into_them_and_no_further_at_any_cost() -> None:
    constraints = Constraints(cap=0.4, current=HELD)
    config = msgspec.structs.replace(SMALL, constraints=constraints, costs=Costs(500.0, 0.0, 0.0), hold=1)
    picks = Chooser(config, ASSETS[:N]).choose(MEAN, COVARIANCE).picks
    into = [0.4, 0.32, 0.22, 0.02, 0.02, 0.02]  # what is above the cap, in equal parts
    for name in ("min_variance", "max_sharpe"):
        assert picks[name].weights == pytest.approx(into)
        assert picks[name].turnover == pytest.approx(0.2)
        assert picks[name].cost_bps == pytest.approx(0.2 * 500.0)
        assert "no further than into the constraints: no trade is worth its cost over 1 periods" in picks[name].note
        assert picks[name].wanted is not None
    assert picks["max_utility"].turnover == pytest.approx(0.2, abs=1e-4)
    assert "does not keep the constraints" in picks["current"].note
    assert picks["equal_weight"].weights == pytest.approx([1 / N] * N)


@pytest.mark.parametrize("last", [0.3333, 0.3334, 0.3335])
def test_rounded_holdings_stay_as_exact_ones_do(last: float) -> None:
    held = {"A00": 0.3333, "A01": 0.3333, "A02": last}
    config = msgspec.structs.replace(SMALL, constraints=Constraints(current=held), costs=Costs(500.0), hold=1)
    returns = returns_of(3, 3)
    picks = fed(config, returns).choose(*moments(returns)).picks
    for name in ("min_variance", "max_sharpe", "max_utility"):
        assert picks[name].weights == pytest.approx([1 / 3] * 3, abs=2e-4)
        assert sum(picks[name].weights) == pytest.approx(1.0, abs=1e-9)


def test_few_assets_that_are_held_against_their_limit_are_dropped_one_by_one() -> None:
    constraints = Constraints(most_assets=2, current={"A00": 0.5, "A01": 0.4, "A02": 0.1})
    config = msgspec.structs.replace(SMALL, constraints=constraints, costs=Costs(500.0), hold=1)
    pick = fed(config, RETURNS).choose(MEAN, COVARIANCE).picks["min_variance"]
    assert pick.weights == pytest.approx([0.55, 0.45, 0, 0, 0, 0])
    assert pick.turnover == pytest.approx(0.2)


def test_what_is_held_of_an_asset_that_has_left_is_sold_which_costs_and_nothing_else_is() -> None:
    held = {**HELD, "GONE-USD": 0.2, "A00-USD": 0.4, "A01-USD": 0.2}
    config = msgspec.structs.replace(SMALL, constraints=Constraints(current=held), costs=Costs(500.0, 0.0, 0.0), hold=1)
    picks = fed(config, RETURNS).choose(MEAN, COVARIANCE).picks
    for name in ("min_variance", "max_sharpe", "max_utility"):
        assert min(np.array(picks[name].weights) - [0.4, 0.2, 0.2, 0.0, 0.0, 0.0]) >= -1e-5  # all else is bought
        assert picks[name].turnover == pytest.approx(0.4, abs=1e-4)
        assert picks[name].cost_bps == pytest.approx(0.4 * 500.0, rel=1e-4)
    assert "no asset GONE-USD now: its constraints do not count, and what is held" in picks["min_variance"].note
    assert (picks["current"].turnover, picks["current"].cost_bps) == (0.0, 0.0)
    nothing_left = msgspec.structs.replace(config, constraints=Constraints(current={"GONE-USD": 0.2}))
    equal = fed(nothing_left, RETURNS).choose(MEAN, COVARIANCE).picks["equal_weight"]
    assert equal.turnover == pytest.approx(1.2)


def test_a_limited_turnover_counts_the_sale_of_what_has_left() -> None:
    held = {**HELD, "GONE-USD": 0.2, "A00-USD": 0.4, "A01-USD": 0.2}

    def config(turnover: float) -> PortfolioConfig:
        return msgspec.structs.replace(SMALL, constraints=Constraints(turnover=turnover, current=held))

    picks = fed(config(0.5), RETURNS).choose(MEAN, COVARIANCE).picks
    assert all(pick.turnover is not None and pick.turnover <= 0.5 + 1e-9 for pick in picks.values())
    for turnover, why in ((0.3, "keeps all of these: budget 1, turnover 0.1"), (0.1, "turnover 0.1 is less than what")):
        with pytest.raises(InputError, match=f"{why}.*; of GONE-USD, which left, 0.2 is sold, out of that turnover"):
            Chooser(config(turnover), ASSETS[:N])


@pytest.mark.parametrize("risk", NAMES)
def test_a_risk_of_many_periods_is_not_weighed_against_a_cost_of_one(risk: RiskName) -> None:
    """Half of 5 times a variance of some 1 % is a fortieth of 1 %: 30 basis points are more, whatever risk is told."""
    costs, name = Costs(30.0, 0.0, 0.0), NAMES[risk][0]
    config = msgspec.structs.replace(
        SMALL, constraints=Constraints(current=HELD), risk=risk, costs=costs, hold=1, band=0.0
    )
    dear = fed(config, RETURNS).choose(MEAN, COVARIANCE).picks[name]
    assert dear.weights == pytest.approx(list(HELD.values()))
    assert "no trade is worth its cost over 1 periods" in dear.note
    free = msgspec.structs.replace(config, costs=Costs(0.0, 0.0, 0.0))
    best = fed(free, RETURNS).choose(MEAN, COVARIANCE).picks[name]
    nothing = (
        fed(msgspec.structs.replace(free, constraints=Constraints()), RETURNS).choose(MEAN, COVARIANCE).picks[name]
    )
    assert best.wanted is None
    assert best.risk_bps == pytest.approx(nothing.risk_bps, rel=1e-3)


@pytest.mark.parametrize("current", [{}, {"A01-USD": 1.0}])
def test_an_asset_that_gains_without_risk_is_the_best_not_worthless(current: dict[str, float]) -> None:
    steady = returns_of(4, 3)
    steady[:, 0] = 1e-4 + 1e-6 * np.sin(np.arange(len(steady)))  # even its worst periods gain: its CVaR is below 0
    costs = Costs(1.0, 0.0, 0.0)
    config = msgspec.structs.replace(SMALL, constraints=Constraints(current=current), risk="cvar", costs=costs)
    chooser = fed(config, steady)
    for _ in range(3):
        pick = chooser.choose(*moments(steady)).picks["max_mean_to_cvar"]
    assert pick.weights[0] > 0.99
    assert pick.risk_bps < 0.0 < pick.mean_bps
    assert (pick.sharpe, "it has gained without risk: there is no ratio" in pick.note) == (0.0, True)
    market = Market(*moments(steady), steady, 0.0)
    ranked = sorted(np.eye(4), key=lambda one: market.ratio("cvar", one), reverse=True)
    assert ranked[0][0] == 1.0


def past(returns: FloatArray) -> Past:
    """Returns of one period each."""
    return Past(returns, np.ones(len(returns)))


def test_the_doubt_about_a_mean_is_its_standard_error() -> None:
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 0.01, (2_000, 3))
    found = Doubt(400, 1e9, 5).intervals(past(returns), np.eye(3), "variance")
    assert found is not None
    error = returns.std(axis=0) / np.sqrt(len(returns))
    np.testing.assert_allclose(found.mean_high, 1.96 * error, rtol=0.25)
    np.testing.assert_allclose(found.mean_low, -1.96 * error, rtol=0.25)
    np.testing.assert_allclose(found.ratio_high - found.ratio_low, 2 * 1.96 / np.sqrt(len(returns)), rtol=0.25)
    fading = Doubt(400, 100.0, 5).intervals(past(returns), np.eye(3), "variance")
    assert fading is not None
    effective = (1 + 0.5**0.01) / (1 - 0.5**0.01)  # Kish's number for weights that fade by 0.5 ** 0.01
    np.testing.assert_allclose(fading.mean_high, 1.96 * returns.std(axis=0) / np.sqrt(effective), rtol=0.3)


def test_blocks_widen_the_doubt_of_what_clusters() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, 0.01, (2_000, 1))
    drifting = np.convolve(noise[:, 0], np.full(8, 1 / np.sqrt(8)), "same")[:, None]
    plain, clustered = (Doubt(300, 1e9, 5).intervals(past(one), np.eye(1), "variance") for one in (noise, drifting))
    assert plain is not None
    assert clustered is not None
    assert clustered.mean_high[0] > 1.5 * plain.mean_high[0]


def test_doubt_needs_returns_and_resamples() -> None:
    assert Doubt(0, 10.0, 1).intervals(past(RETURNS), np.eye(N), "cvar") is None
    assert Doubt(10, 10.0, 1).intervals(past(RETURNS[:9]), np.eye(N), "cvar") is None
    for risk in ("semi-variance", "cvar", "max-drawdown"):
        found = Doubt(50, 10.0, 1).intervals(past(RETURNS), np.eye(N), risk)
        assert found is not None
        assert (found.ratio_low <= found.ratio_high).all()
