"""A research's answer in the shapes that leave the program: plain objects, a ``Frontier`` record, rows of a table."""

from typing import Any

import numpy as np

from quicksilver.portfolio.choosing import PLACES
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.history import History, LargeConfig
from quicksilver.portfolio.net import traded
from quicksilver.portfolio.research import Drawn, Point, Research
from quicksilver.portfolio.shrinkage import correlation_of
from quicksilver.records import Frontier, Pick


def as_json(research: Research, picks: dict[str, Point], frontier: list[Point], drawn: Drawn) -> dict[str, Any]:
    """Return the answer as plain objects, weights by asset; numbers are those of one period, with all their digits."""
    question, market, assets = research.question, research.market, research.assets

    def plain(one: Point) -> dict[str, Any]:
        weights = dict(zip(assets, one.weights.tolist(), strict=True))
        return {"weights": weights, "mean": one.mean, "risk": one.risk, "sharpe": _ratio(research, one)}

    return {
        "assets": assets, "observations": research.estimate.n_observations, "returns": question.returns,
        "estimators": question.estimators, "constraints": question.constraints, "cash": question.cash,
        "aversion": question.aversion, "risk": "standard-deviation" if question.risk == "variance" else question.risk,
        "mean": market.mean.tolist(), "covariance": market.covariance.tolist(),
        "picks": {name: plain(one) | traded(research, one) for name, one in picks.items()}, "notes": research.notes,
        "frontier": [plain(one) for one in frontier], "portfolios": drawn.n_portfolios, "seed": question.seed,
        "best_drawn": {"least_risk": plain(drawn.calmest), "highest_ratio": plain(drawn.sharpest)},
    }  # fmt: skip


def as_record(
    research: Research, history: History, config: LargeConfig, picks: dict[str, Point], frontier: list[Point],
    drawn: Drawn,
) -> Frontier:  # fmt: skip
    """Return the answer as the record that the live frontier is too; risks are those that were asked for, in bps."""
    question, newest = research.question, int(history.times_ns[-1])

    def spot(one: Point) -> tuple[float, float]:
        return round(one.risk * BPS, 6), round(one.mean * BPS, 6)

    estimators = question.estimators
    return Frontier(
        config.universe, 1, newest, newest, history.every_ns, history.assets, research.estimate.n_observations,
        drawn.n_portfolios, np.round(correlation_of(research.market.covariance), 6).tolist(),
        {name: _pick(research, one) for name, one in picks.items()}, [spot(one) for one in frontier],
        [one.weights.round(PLACES).tolist() for one in frontier], [spot(one) for one in drawn.shown],
        reason="; ".join(research.notes), ts_computed_ns=newest, prices=history.prices[-1].tolist(), risk=question.risk,
        held=research.feasible.current.tolist() if question.constraints.current else [],
        estimators={"covariance": estimators.covariance, "mean": estimators.mean, "returns": question.returns},
        halflife=estimators.halflife if "ewm" in (estimators.covariance, estimators.mean) else None,
        costs=question.costs, hold=None if question.costs is None else question.hold,
        band=None if question.costs is None else question.band, constraints=question.constraints, cash=question.cash,
        aversion=question.aversion,
    )  # fmt: skip


def _ratio(research: Research, one: Point, cost: float = 0.0) -> float:
    """Mean above cash, less a cost, over risk; 0 without risk."""
    above = one.mean - research.question.cash * float(one.weights.sum()) - cost
    return above / one.risk if one.risk > 0.0 else 0.0


def _pick(research: Research, one: Point) -> Pick:
    trade = traded(research, one)
    cost = trade.get("cost")
    return Pick(
        one.weights.tolist(), one.mean * BPS, one.risk * BPS, _ratio(research, one), turnover=trade.get("turnover"),
        cost_bps=None if cost is None else cost * BPS,
        net_sharpe=None if cost is None else _ratio(research, one, cost / research.question.hold),
    )  # fmt: skip


def as_rows(research: Research, picks: dict[str, Point], frontier: list[Point]) -> list[list[str]]:
    """Return the answer as rows of a CSV file, header first: a pick or a point of the frontier each."""
    rows = [["kind", "name", "mean", "risk", *research.assets]]
    named = [("pick", name, one) for name, one in picks.items()]
    named += [("frontier", str(i), one) for i, one in enumerate(frontier)]
    for kind, name, one in named:
        rows.append([kind, name, repr(one.mean), repr(one.risk), *map(repr, one.weights.tolist())])
    return rows
