"""How far a research's picks go from what is held, where going costs something: as live ones do."""

import numpy as np

from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.research import Point, Research
from quicksilver.portfolio.risks import NAMES
from quicksilver.portfolio.trading import GoalName, Trader


def after_costs(research: Research, picks: dict[str, Point]) -> dict[str, Point]:
    """Return the picks after costs; as they are, where costs are not asked for or nothing is held.

    What costs have changed is added to the research's notes.
    """
    question = research.question
    if question.costs is None or not question.constraints.current:
        return picks
    trader = Trader(
        PortfolioConfig(
            constraints=question.constraints, costs=question.costs, hold=question.hold, band=question.band,
            aversion=question.aversion, cash=question.cash, risk=question.risk,
        ),
        research.feasible,
    )  # fmt: skip
    calm, sharp = NAMES[question.risk]
    goals: dict[str, GoalName] = {calm: "risk", f"{sharp}_fallback": "risk", sharp: "ratio", "max_utility": "utility"}
    net = dict(picks)
    for name, one in picks.items():
        if name == "current":
            continue
        settled = trader.settle(one.weights, research.market, goals.get(name, "rule"))
        if settled.note:
            research.notes.append(f"{name}: {settled.note}")
        net[name] = research.point(settled.weights)
    return net


def traded(research: Research, one: Point) -> dict[str, float]:
    """Return the ``turnover`` from what is held and its ``cost``, shares of the money; nothing where none is held."""
    question = research.question
    if not question.constraints.current:
        return {}
    trades = one.weights - research.feasible.current
    found = {"turnover": float(np.abs(trades).sum())}
    return found if question.costs is None else {**found, "cost": question.costs.of(trades)}
