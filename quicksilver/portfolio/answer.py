"""A research's answer in the shapes that leave the program: plain objects, a ``Frontier`` record, rows of a table."""

from typing import Any

import numpy as np

from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.history import History, LargeConfig
from quicksilver.portfolio.net import traded
from quicksilver.portfolio.pareto import efficient
from quicksilver.portfolio.picks import describe
from quicksilver.portfolio.research import Drawn, Point, Research
from quicksilver.portfolio.risks import deviations
from quicksilver.portfolio.shrinkage import correlation_of
from quicksilver.records import Frontier


def as_json(research: Research, picks: dict[str, Point], frontier: list[Point], drawn: Drawn) -> dict[str, Any]:
    """Return the answer as plain objects, weights by asset; numbers are those of one period, with all their digits."""
    question, market, assets = research.question, research.market, research.assets

    def plain(one: Point) -> dict[str, Any]:
        excess = one.mean - question.cash * float(one.weights.sum())
        return {
            "weights": dict(zip(assets, one.weights.tolist(), strict=True)), "mean": one.mean, "risk": one.risk,
            "sharpe": excess / one.risk if one.risk > 0.0 else 0.0,
        }  # fmt: skip

    return {
        "assets": assets, "observations": research.estimate.n_observations, "returns": "log",
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
    """Return the answer as the record that the live frontier is too: risks are standard deviations, in bps."""
    market, newest = research.market, int(history.times_ns[-1])

    def spot(one: Point) -> tuple[float, float]:
        return round(float(deviations(one.weights[None], market.covariance)[0]) * BPS, 6), round(one.mean * BPS, 6)

    spots = [spot(one) for one in frontier]
    front = efficient(*np.array(spots).T)
    return Frontier(
        config.universe, 1, newest, newest, history.every_ns, history.assets,
        research.estimate.n_observations, drawn.n_portfolios,
        np.round(correlation_of(market.covariance), 6).tolist(),
        {name: describe(one.weights, market.mean, market.covariance) for name, one in picks.items()},
        [spots[i] for i in front], [np.round(frontier[i].weights, 6).tolist() for i in front],
        [spot(one) for one in drawn.shown],
    )  # fmt: skip


def as_rows(research: Research, picks: dict[str, Point], frontier: list[Point]) -> list[list[str]]:
    """Return the answer as rows of a CSV file, header first: a pick or a point of the frontier each."""
    rows = [["kind", "name", "mean", "risk", *research.assets]]
    named = [("pick", name, one) for name, one in picks.items()]
    named += [("frontier", str(i), one) for i, one in enumerate(frontier)]
    for kind, name, one in named:
        rows.append([kind, name, repr(one.mean), repr(one.risk), *map(repr, one.weights.tolist())])
    return rows
