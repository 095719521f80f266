"""Picks against others' solvers: scipy's for each kind of constraint, PyPortfolioOpt's and skfolio's on real prices."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from jobs.history import from_files
from producers.exchanges.base import ignore
from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import Constraints, Feasible, Group
from quicksilver.portfolio.estimators import Estimators, estimate
from quicksilver.portfolio.feasibility import checked, corner
from quicksilver.portfolio.history import History
from quicksilver.portfolio.past_solving import PastSolver
from quicksilver.portfolio.risks import RiskName, measured
from quicksilver.portfolio.solving import Solver, risk_parity

ASSETS = [f"A{i}-USD" for i in range(20)]
EQUAL = dict.fromkeys(ASSETS, 0.05)
KINDS = {
    "long-only": Constraints(),
    "cap": Constraints(cap=0.1),
    "short": Constraints(floor=-0.2, cap=0.5),
    "turnover": Constraints(turnover=0.3, current=EQUAL),
    "cash": Constraints(budget=0.7, cap=0.2),
    "groups": Constraints(cap=0.3, groups={"x": Group(("A0", "A1"), 0.3), "y": Group(("A3", "A4"), None, 0.1)}),
}


def returns_of(n_assets: int, seed: int, n: int = 300) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.normal(4e-4, 0.01, (n, 1)) + rng.normal(0, rng.uniform(0.005, 0.03, n_assets), (n, n_assets))


def slsqp(feasible: Feasible, objective: Any) -> FloatArray:
    """The best of scipy's general solver, in purchases and sales where turnover is limited."""
    n = len(feasible.low)
    start = Solver(np.eye(n), feasible).min_variance()
    assert start is not None
    limited = np.isfinite(feasible.turnover)
    trades = start - feasible.current
    x = np.concatenate([start, np.maximum(trades, 0), np.maximum(-trades, 0)]) if limited else start
    rules: list[dict[str, Any]] = [{"type": "eq", "fun": lambda x: x[:n].sum() - feasible.budget}]
    if len(feasible.rows):
        rules.append({"type": "ineq", "fun": lambda x: feasible.rows @ x[:n] - feasible.least})
    bounds = list(zip(feasible.low, feasible.high, strict=True))
    if limited:
        bounds += [(0.0, 2.0)] * (2 * n)
        rules.append({"type": "eq", "fun": lambda x: x[:n] - x[n : 2 * n] + x[2 * n :] - feasible.current})
        rules.append({"type": "ineq", "fun": lambda x: feasible.turnover - x[n:].sum()})
    found = minimize(
        lambda x: objective(x[:n]), x, method="SLSQP", bounds=bounds, constraints=rules,
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    weights: FloatArray = found.x[:n]
    return weights


@pytest.mark.parametrize("name", KINDS)
def test_picks_are_no_worse_than_a_general_solvers(name: str) -> None:
    returns = returns_of(20, 5)
    mean, covariance, _ = estimate(returns, Estimators("sample"))
    feasible = checked(Feasible.of(KINDS[name], ASSETS))
    solver, unit = Solver(covariance, feasible), float(np.diag(covariance).max())
    scaled, means = covariance / unit, mean / np.sqrt(unit)
    calm, sharp, useful = solver.min_variance(), solver.max_sharpe(mean), solver.max_utility(mean, 5.0)
    assert calm is not None
    assert sharp is not None
    assert useful is not None
    for weights in (calm, sharp, useful):
        assert feasible.violation(weights) <= 1e-9
    theirs = slsqp(feasible, lambda w: w @ scaled @ w)
    assert calm @ covariance @ calm <= theirs @ covariance @ theirs * (1 + 1e-6)
    theirs = slsqp(feasible, lambda w: -(w @ means) / np.sqrt(w @ scaled @ w))
    assert ratio(sharp, mean, covariance) >= ratio(theirs, mean, covariance) * (1 - 1e-6)
    assert utility(useful, mean, covariance) >= utility(
        slsqp(feasible, lambda w: -utility(w, mean, covariance) / unit), mean, covariance
    ) - 1e-6 * abs(utility(useful, mean, covariance))  # fmt: skip
    middle = float((calm @ mean + sharp @ mean) / 2)
    between = solver.at_least(mean, middle)
    assert between is not None
    assert between @ mean >= middle - 1e-12
    assert calm @ covariance @ calm <= between @ covariance @ between <= sharp @ covariance @ sharp


def ratio(weights: FloatArray, mean: FloatArray, covariance: FloatArray) -> float:
    return float(weights @ mean / np.sqrt(weights @ covariance @ weights))


def utility(weights: FloatArray, mean: FloatArray, covariance: FloatArray) -> float:
    return float(weights @ mean - 2.5 * weights @ covariance @ weights)


def coins(tapes: Path) -> History:
    young = {"Aave", "Polkadot", "Solana", "Uniswap", "Cosmos", "USDCoin", "WrappedBitcoin", "CryptocomCoin"}
    files = sorted((tapes / "candles-cmc-daily").glob("coin_*.csv"))
    return from_files([file for file in files if file.stem.removeprefix("coin_") not in young], ignore)


def stocks(tapes: Path) -> History:
    return from_files([tapes / "stocks" / "pyportfolioopt_stock_prices.csv"], ignore)


@pytest.mark.parametrize("source", [coins, stocks])
@pytest.mark.parametrize("covariance", ["sample", "ledoit-wolf"])
@pytest.mark.parametrize(
    "constraints",
    [Constraints(), Constraints(cap=0.15), Constraints(floor=-0.1, cap=0.4), Constraints(
        cap=0.3, groups={"g": Group((), 0.1, 0.25)})],
    ids=["long-only", "cap", "short", "groups"],
)  # fmt: skip
def test_picks_on_real_prices_are_those_of_pyportfolioopt(
    tapes: Path, source: Any, covariance: Any, constraints: Constraints
) -> None:
    optimiser = pytest.importorskip("pypfopt")
    history = source(tapes)
    assets = history.assets
    groups = {name: Group(tuple(assets[:5]), one.floor, one.cap) for name, one in constraints.groups.items()}
    constraints = Constraints(floor=constraints.floor, cap=constraints.cap, groups=groups)
    mean, matrix, _ = estimate(np.diff(np.log(history.prices), axis=0), Estimators(covariance))
    feasible, unit = checked(Feasible.of(constraints, assets)), float(np.sqrt(np.diag(matrix).max()))
    found = {}
    for name in ("min_volatility", "max_sharpe"):
        one = optimiser.EfficientFrontier(
            mean / unit, matrix / unit**2, weight_bounds=(constraints.floor, constraints.cap), solver="CLARABEL"
        )
        for row, least in zip(feasible.rows, feasible.least, strict=True):
            one.add_constraint(lambda w, row=row, least=least: row @ w >= least)
        getattr(one, name)(**({"risk_free_rate": 0.0} if name == "max_sharpe" else {}))
        found[name] = np.array(one.weights)
    solver = Solver(matrix, feasible)
    calm, sharp = solver.min_variance(), solver.max_sharpe(mean)
    assert calm is not None
    assert sharp is not None
    assert max(feasible.violation(calm), feasible.violation(sharp)) <= 1e-9
    theirs = found["min_volatility"]
    assert calm @ matrix @ calm == pytest.approx(theirs @ matrix @ theirs, rel=1e-4)
    assert ratio(sharp, mean, matrix) == pytest.approx(ratio(found["max_sharpe"], mean, matrix), rel=1e-4)


@pytest.mark.parametrize("cap", [1.0, 0.15])
@pytest.mark.parametrize("risk", ["semi-variance", "cvar", "max-drawdown"])
def test_other_risks_on_real_prices_are_those_of_skfolio(tapes: Path, risk: RiskName, cap: float) -> None:
    optimisation = pytest.importorskip("skfolio.optimization")
    measures = pytest.importorskip("skfolio").RiskMeasure
    returns = np.diff(np.log(stocks(tapes).prices), axis=0)
    feasible = checked(Feasible.of(Constraints(cap=cap), stocks(tapes).assets))
    solver, none = PastSolver(risk, returns, feasible), np.zeros((20, 20))
    for goal, ours in (("MINIMIZE_RISK", solver.least()), ("MAXIMIZE_RATIO", solver.best_ratio(returns.mean(axis=0)))):
        model = optimisation.MeanRisk(
            objective_function=optimisation.ObjectiveFunction[goal], max_weights=cap, min_acceptable_return=0.0,
            risk_measure=measures[risk.upper().replace("-", "_")],
        )  # fmt: skip
        assert ours is not None
        assert feasible.violation(ours) <= 1e-9
        both = np.array([ours, model.fit(returns).weights_])
        mine, theirs = measured(risk, both, none, returns)
        means = both @ returns.mean(axis=0)
        if goal == "MINIMIZE_RISK":
            assert mine <= theirs * (1 + 1e-4)
        else:
            assert means[0] / mine >= means[1] / theirs * (1 - 1e-4)


@pytest.mark.parametrize("risk", ["semi-variance", "cvar", "max-drawdown"])
def test_other_risks_are_below_all_that_is_drawn(risk: RiskName) -> None:
    returns = returns_of(6, 3)
    feasible = checked(
        Feasible.of(Constraints(cap=0.5, turnover=0.8, current=dict.fromkeys(ASSETS[:6], 1 / 6)), ASSETS[:6])
    )
    solver, rng = PastSolver(risk, returns, feasible), np.random.default_rng(1)
    drawn = rng.dirichlet(np.ones(6), 20_000)
    drawn = drawn[feasible.violation(drawn) <= 0.0]
    risks = measured(risk, drawn, np.eye(6), returns)
    calm, sharp = solver.least(), solver.best_ratio(returns.mean(axis=0))
    assert len(drawn) > 1_000
    assert calm is not None
    assert sharp is not None
    assert float(measured(risk, calm[None], np.eye(6), returns)[0]) <= risks.min() + 1e-12
    best = sharp @ returns.mean(axis=0) / float(measured(risk, sharp[None], np.eye(6), returns)[0])
    assert best >= (drawn @ returns.mean(axis=0) / risks).max() - 1e-12


def test_measures_of_risk_are_their_definitions() -> None:
    returns, weights = returns_of(3, 1, 40), np.array([[0.2, 0.3, 0.5]])
    r = returns @ weights[0]
    assert measured("semi-variance", weights, np.eye(3), returns)[0] == pytest.approx(
        np.sqrt(np.mean([min(x, 0) ** 2 for x in r]))
    )
    assert measured("cvar", weights, np.eye(3), returns)[0] == pytest.approx(-np.sort(r)[:2].mean())
    total, high, worst = 0.0, 0.0, 0.0
    for x in r:
        total += x
        high = max(high, total)
        worst = max(worst, high - total)
    assert measured("max-drawdown", weights, np.eye(3), returns)[0] == pytest.approx(worst)


@given(seed=st.integers(0, 300), n=st.integers(2, 15), scale=st.sampled_from([1e-8, 1.0, 1e5]))
@settings(max_examples=40, deadline=None)
def test_each_asset_adds_the_same_to_the_risk_of_risk_parity(seed: int, n: int, scale: float) -> None:
    covariance = np.cov(returns_of(n, seed, 60).T) * scale
    weights = risk_parity(covariance)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    parts = weights * (covariance @ weights)
    np.testing.assert_allclose(parts, parts.mean(), rtol=1e-6)


wild = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 10), st.integers(2, 5)),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=32) | st.floats(-1, 1) | st.just(0.0),
)  # fmt: skip


@given(
    returns=wild, scale=st.sampled_from([1e-12, 1.0, 1e9]), twin=st.booleans(),
    constraints=st.sampled_from([
        Constraints(), Constraints(cap=0.5), Constraints(floor=-0.3, cap=0.9), Constraints(turnover=1.2),
        Constraints(turnover=0.1, current={"A0": 0.5, "A1": 0.5}), Constraints(budget=0.5, cap=0.3),
    ]),
)  # fmt: skip
@example(returns=np.array([[401.0, 1.0], [0.0, 0.0]]), scale=1e-12, twin=False, constraints=Constraints(cap=0.5))
@example(
    returns=np.array([[1993.0, 1.0], [0.0, 0.0]]), scale=1.0, twin=False, constraints=Constraints(floor=-0.3, cap=0.9)
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_prices_did_weights_are_feasible(
    returns: FloatArray, scale: float, twin: bool, constraints: Constraints
) -> None:
    known = returns[(np.abs(returns) < 1e30).all(axis=1)] * scale
    if len(known) < 2:
        return
    known = np.column_stack([known, known[:, 0]]) if twin else known
    mean, covariance, _ = estimate(known, Estimators("sample"))
    feasible = checked(Feasible.of(constraints, ASSETS[: known.shape[1]]))
    solver = Solver(covariance, feasible)
    found = [solver.min_variance(), solver.max_utility(mean, 5.0), solver.nearest(np.full(len(mean), 0.3))]
    assert found[0] is not None
    for weights in [*found, solver.max_sharpe(mean)]:
        if weights is not None:
            assert np.isfinite(weights).all()
            assert feasible.violation(weights) <= 1e-9
            assert weights.sum() == pytest.approx(constraints.budget, abs=1e-9)
    parity = risk_parity(covariance)
    assert parity.sum() == pytest.approx(1.0)
    assert (parity >= 0).all()


@pytest.mark.parametrize("most", [4, 5, 9])
def test_corners_by_order_are_those_of_the_program_with_whole_numbers(most: int) -> None:
    assets = [f"A{i}-USD" for i in range(9)]
    plain = Constraints(cap=0.22, most_assets=most)
    whole = Constraints(cap=0.22, most_assets=most, groups={"all": Group(tuple(assets), cap=1.5)})  # cuts nothing
    rng = np.random.default_rng(3)
    for direction in rng.standard_normal((20, 9)):
        fast = corner(Feasible.of(plain, assets), direction)
        slow = corner(Feasible.of(whole, assets), direction)
        if most == 4:  # of 0.22 each
            assert fast is None
            assert slow is None
            continue
        assert fast is not None
        assert slow is not None
        assert float(Feasible.of(plain, assets).violation(fast)) <= 1e-12
        np.testing.assert_allclose(fast, slow, atol=1e-9)


def test_an_empty_set_has_no_corner_and_no_optimum() -> None:
    feasible = Feasible.of(Constraints(cap=0.04), ASSETS)
    assert corner(feasible, np.zeros(20)) is None
    assert Solver(np.eye(20), feasible).min_variance() is None
    assert Solver(np.eye(20), feasible).max_sharpe(np.ones(20)) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_highest_utility_of_next_to_no_risk_is_that_of_the_highest_mean(seed: int) -> None:
    returns = 1e-9 * returns_of(12, seed)
    constraints = Constraints(cap=0.3, budget=0.5, groups={"few": Group(tuple(ASSETS[:4]), floor=0.2)})
    feasible, found = Feasible.of(constraints, ASSETS[:12]), estimate(returns, Estimators("oas"))
    weights = Solver(found.covariance, feasible).max_utility(found.mean, 5.0)
    richest = corner(feasible, -found.mean / found.mean.max())
    assert weights is not None
    assert richest is not None
    assert float(feasible.violation(weights)) <= 1e-9
    assert weights @ found.mean == pytest.approx(richest @ found.mean, rel=1e-6)
