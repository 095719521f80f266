"""The picks beside those of a general solver, PyPortfolioOpt, where it is installed: an independent check."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.research import Point, Research

SHOWN_ASSETS = 4


def picks_table(research: Research, picks: dict[str, Point]) -> list[str]:
    """Return lines for people: each pick's mean and risk of one period in bps, its ratio, and its largest weights."""
    question = research.question
    risk = "st.dev." if question.risk == "variance" else question.risk
    lines = [f"{'pick':<24}{'mean bps':>10}{risk + ' bps':>18}{'ratio':>9}  largest weights"]
    for name, one in picks.items():
        ratio = research.market.ratio(question.risk, one.weights)
        order = np.argsort(-np.abs(one.weights), kind="stable")[:SHOWN_ASSETS]
        largest = ", ".join(f"{research.assets[i]} {one.weights[i]:.1%}" for i in order)
        lines.append(f"{name:<24}{one.mean * 1e4:>10.2f}{one.risk * 1e4:>18.2f}{ratio:>9.4f}  {largest}")
    return lines + [f"note: {note}" for note in research.notes]


def comparison(research: Research, picks: dict[str, Point]) -> list[str]:
    """Return lines that lay the picks beside PyPortfolioOpt's; none where it is missing or cannot solve the problem."""
    if find_spec("pypfopt") is None:
        return []
    if research.question.costs is not None and research.question.constraints.current:
        return ["PyPortfolioOpt is not asked: the picks are those after costs"]
    if research.question.risk != "variance" or not research.feasible.convex:
        return ["PyPortfolioOpt is not asked: another risk than variance, or a limit to the number of assets"]
    lines = [f"{'beside PyPortfolioOpt':<24}{'measure':>10}{'ours':>16}{'theirs':>16}{'difference':>14}"]
    for name, (measure, value, solve) in _checks(research).items():
        if name not in picks:
            continue
        ours, theirs = value(picks[name].weights), value(exact(research, solve))
        apart = (ours / theirs - 1.0) * 100.0 if theirs else 0.0
        lines.append(f"{name:<24}{measure:>10}{ours:>16.8g}{theirs:>16.8g}{apart:>13.5f}%")
    return lines


def exact(research: Research, solve: Callable[[Any], Any]) -> FloatArray:
    """Return PyPortfolioOpt's weights ``(n_assets,)`` for the research's moments and constraints."""
    import cvxpy
    from pypfopt import EfficientFrontier

    feasible, market, unit = research.feasible, research.market, _unit(research)
    solver = EfficientFrontier(
        market.mean / unit, market.covariance / unit**2,
        weight_bounds=list(zip(feasible.low, feasible.high, strict=True)), solver="CLARABEL",
    )  # fmt: skip
    for row, least in zip(feasible.rows, feasible.least, strict=True):
        solver.add_constraint(lambda w, row=row, least=least: row @ w >= least)
    if np.isfinite(feasible.turnover):
        solver.add_constraint(lambda w: cvxpy.norm(w - feasible.current, 1) <= feasible.turnover)
    solve(solver)
    weights: FloatArray = np.array(solver.weights, np.float64)
    return weights


def _unit(research: Research) -> float:
    """The largest deviation: solvers with tolerances of their own need numbers near 1."""
    return float(np.sqrt(np.max(np.diag(research.market.covariance))))


Check = tuple[str, Callable[[FloatArray], float], Callable[[Any], Any]]


def _checks(research: Research) -> dict[str, Check]:
    """What each pick is measured by, and how the solver is asked for it; it always invests all, and trades freely."""
    market, question, unit = research.market, research.question, _unit(research)
    if research.feasible.budget != 1.0:
        return {}
    checks: dict[str, Check] = {
        "min_variance": (
            "variance", lambda w: float(w @ market.covariance @ w), lambda one: one.min_volatility(),
        ),
        "max_utility": (
            "utility", lambda w: float(w @ market.mean - question.aversion / 2.0 * (w @ market.covariance @ w)),
            lambda one: one.max_quadratic_utility(risk_aversion=question.aversion * unit),
        ),
    }  # fmt: skip
    if not np.isfinite(research.feasible.turnover):  # its transformation to a Sharpe ratio loses such a constraint
        checks["max_sharpe"] = (
            "Sharpe", lambda w: market.ratio("variance", w),
            lambda one: one.max_sharpe(risk_free_rate=question.cash / unit),
        )  # fmt: skip
    return checks
