"""Trades: the utility after costs against a general solver, when it is better to stay, and what doubt there is."""

import msgspec
import numpy as np
import pytest
from scipy.optimize import minimize

from quicksilver.events import FloatArray
from quicksilver.portfolio.after_costs import best_utility_after
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.constraints import Constraints, Feasible
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.doubt import Doubt
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.ring import Past
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
    ours = best_utility_after(MEAN, COVARIANCE, 5.0, feasible, costs, hold)
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


def test_what_is_held_against_the_constraints_is_traded_at_any_cost() -> None:
    config = msgspec.structs.replace(
        SMALL, constraints=Constraints(cap=0.4, current=HELD), costs=Costs(500.0, 0.0, 0.0), hold=1
    )
    picks = Chooser(config, ASSETS[:N]).choose(MEAN, COVARIANCE).picks
    assert max(picks["min_variance"].weights) <= 0.4 + 1e-9
    assert "does not keep the constraints" in picks["current"].note
    trader = Trader(config, Feasible.of(config.constraints, ASSETS[:N]))
    wanted = np.full(N, 1 / N)
    assert trader.settle(wanted, Market(MEAN, COVARIANCE, RETURNS, 0.0), "ratio").weights is wanted


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
