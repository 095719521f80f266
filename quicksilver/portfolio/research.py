"""A history's efficient portfolios under constraints: moments, exact picks, frontier, and a Monte Carlo inside."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import Constraints, Feasible
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.estimators import Estimate, Estimators, estimate
from quicksilver.portfolio.feasibility import checked, corner
from quicksilver.portfolio.goals import Goal, Market, best_ratio, best_utility, least_risk, nearest, optimum
from quicksilver.portfolio.history import LIVE, History
from quicksilver.portfolio.inside import Inside, Winners
from quicksilver.portfolio.large import NOBODY
from quicksilver.portfolio.pareto import efficient
from quicksilver.portfolio.prices import few
from quicksilver.portfolio.risks import NAMES, RiskName
from quicksilver.portfolio.solving import risk_parity

ReturnName: TypeAlias = Literal["log", "simple"]


class Question(msgspec.Struct, frozen=True):
    """What is asked of a history; ``cash`` is what cash earns in one period, ``aversion`` that of the utility.

    Moments are of ``log`` returns, as live ones are, whose means are those of growth, or of ``simple`` ones, of which
    alone a portfolio's mean is exactly the mean of what it earns.
    With ``costs`` picks are what is worth going to from ``constraints.current``, as a universe's are (see ``net.py``).
    """

    estimators: Estimators = Estimators()
    constraints: Constraints = Constraints()
    risk: RiskName = "variance"
    cash: float = 0.0
    aversion: float = 5.0
    n_frontier: int = 30
    seed: int = 7
    quasi: bool = False
    costs: Costs | None = None
    hold: int = LIVE.hold
    band: float = LIVE.band
    returns: ReturnName = "log"


class Point(NamedTuple):
    """One portfolio: its weights ``(n_assets,)``, and its mean and risk in one period."""

    weights: FloatArray
    mean: float
    risk: float


class Drawn(NamedTuple):
    """A Monte Carlo inside of the feasible set: the least risk, the highest ratio, some of all, and each bin's best.

    The ``winners`` are the highest means in equal bins of risk.
    """

    n_portfolios: int
    calmest: Point
    sharpest: Point
    shown: list[Point]
    winners: list[Point]


def names_of(question: Question) -> list[str]:
    """Return the picks that answer a question; ``current`` where something is held."""
    held = ["current"] if question.constraints.current else []
    return [*NAMES[question.risk], "max_utility", "risk_parity", "equal_weight", *held]


class Research:
    """One history's answer to a question.

    Raises:
        InputError: the history is too little, or no portfolio keeps the constraints.
    """

    def __init__(self, history: History, question: Question) -> None:
        _check(history, question)
        self.question = question
        self.assets = history.assets
        logs = np.diff(np.log(history.prices), axis=0)
        returns = logs if question.returns == "log" else np.expm1(logs)
        self.estimate: Estimate = estimate(returns, question.estimators)
        self.feasible = checked(Feasible.of(question.constraints, history.assets))
        usable = returns[np.isfinite(returns).all(axis=1)]
        self.market = Market(self.estimate.mean, self.estimate.covariance, usable - question.cash, question.cash)
        self.notes: list[str] = []

    def point(self, weights: FloatArray) -> Point:
        """Return a portfolio with its mean and risk."""
        return Point(weights, float(weights @ self.market.mean), self.market.risk(self.question.risk, weights))

    def picks(self, drawn: Drawn | None = None) -> dict[str, Point]:
        """Return the chosen portfolios by name; what has been drawn is where a search for few assets begins.

        Where no feasible mean is above cash there is no highest ratio, and the least risk stands in for it under its
        name with ``_fallback``. ``current`` is what is held, whether it keeps the constraints or not.
        """
        starts = [] if drawn is None else [drawn.calmest.weights, drawn.sharpest.weights]
        found = dict(self.pick(name, starts) for name in names_of(self.question))
        return {name: self.point(weights) for name, weights in found.items()}

    def pick(self, name: str, starts: Sequence[FloatArray] = ()) -> tuple[str, FloatArray]:
        """Return one of ``names_of`` with its weights ``(n_assets,)``, and the name that it then goes by."""
        question, market, budget = self.question, self.market, self.feasible.budget
        calm, sharp = NAMES[question.risk]
        if name == sharp:
            best = optimum(best_ratio(market, question.risk), self.feasible, starts)
            if best is not None:
                return name, best
            self._note(f"no feasible mean is above cash: {calm} stands in for {sharp}")
            return f"{sharp}_fallback", self.pick(calm, starts)[1]
        if name == "risk_parity":
            parity = budget * risk_parity(market.covariance)
            weights = self._kept("risk parity", parity, nearest(market.covariance, parity))
        elif name == "equal_weight":
            equal = np.full(len(self.assets), budget / len(self.assets))
            weights = self._kept("equal weight", equal, nearest(np.eye(len(equal)), equal))
        elif name == "current":
            weights = self.feasible.current
        elif name == "max_utility":
            weights = self._best(best_utility(market, question.aversion), starts)
        else:
            weights = self._best(least_risk(market, question.risk), starts)
        return name, weights

    def frontier(self, calmest: Point, drawn: Drawn | None = None) -> list[Point]:
        """Return the efficient portfolios from ``calmest`` to the highest mean, by rising risk and mean."""
        question, starts, points = self.question, [calmest.weights], [calmest]
        top = corner(self.feasible, -self.market.mean / (np.max(np.abs(self.market.mean)) or 1.0))
        highest = calmest.mean if top is None else max(calmest.mean, float(top @ self.market.mean))
        for value in np.linspace(calmest.mean, highest, question.n_frontier)[1:]:
            weights = optimum(least_risk(self.market, question.risk, float(value)), self.feasible, starts)
            if weights is not None:
                points.append(self.point(weights))
                starts = [weights]
        if drawn is not None and not self.feasible.convex:  # the search may have missed what was drawn
            points += [drawn.sharpest, *drawn.winners, *drawn.shown]
        front = efficient(np.array([one.risk for one in points]), np.array([one.mean for one in points]))
        return [points[i] for i in front]

    def draw(self, n_portfolios: int, n_shown: int) -> Drawn:
        """Draw portfolios inside of the feasible set, the same for the same seed."""
        work = self.inside(n_portfolios)
        return self.drawn(work, work.reduce(range(work.n_chunks)), n_shown)

    def inside(self, n_portfolios: int) -> Inside:
        """Return the drawing as work that can be shared out."""
        question = self.question
        return Inside(
            self.feasible, self.market, question.risk, n_portfolios, question.seed, n_bins=question.n_frontier,
            quasi=question.quasi,
        )  # fmt: skip

    def drawn(self, work: Inside, found: Winners, n_shown: int) -> Drawn:
        """Return what came of such work, with some of the first chunk's portfolios to be shown."""
        some = work.drawn(0)
        shown = [self.point(row) for row in some[:: max(1, len(some) // n_shown)]]
        winners = [self.point(row) for row in found.weights[:-2][found.number[:-2] != NOBODY]]
        calmest, sharpest = map(self.point, found.weights[-2:])
        return Drawn(work.n_portfolios, calmest, sharpest, shown, winners)

    def _best(self, goal: Goal, starts: Sequence[FloatArray]) -> FloatArray:
        found = optimum(goal, self.feasible, starts)
        if found is None:  # rounding has lost a set that is hardly more than a point
            found = corner(self.feasible, np.zeros(len(self.assets)))
        if found is None:
            raise InputError("the constraints leave hardly more than one portfolio, which rounding loses: loosen one")
        return found

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _kept(self, name: str, wanted: FloatArray, goal: Goal) -> FloatArray:
        """What is wanted if it is feasible, else what is nearest to it."""
        if float(self.feasible.violation(wanted)) <= 1e-12:
            return wanted
        self._note(f"{name} does not keep the constraints: the nearest portfolio that does stands in for it")
        return self._best(goal, [])


def _check(history: History, question: Question) -> None:
    n_assets, n_times = len(history.assets), len(history.times_ns)
    if n_assets < 2:
        raise InputError(
            f"a frontier needs two assets or more; there is {', '.join(history.assets) or 'none'}: name several files,"
            " or one whose first row names a column for each"
        )
    if n_times <= LIVE.min_observations:
        raise InputError(
            f"{n_times} moments at which all of {few(history.assets)} have a price; {LIVE.min_observations + 1}"
            " are needed. Leave out assets with a short history (--symbols), or give a period to sample all by"
        )
    name = question.estimators.covariance
    if name in {"sample", "ewm"} and n_times - 1 <= n_assets:
        raise InputError(
            f"{n_times - 1} returns of {n_assets} assets are too few for the covariance {name!r}, which would call"
            " some portfolio free of risk: use ledoit-wolf or oas, or more prices"
        )
    if not 0.0 < question.aversion < np.inf or not abs(question.cash) < 1.0:
        raise InputError(f"an aversion of {question.aversion:g} with cash at {question.cash:g} cannot be used")
    if question.n_frontier < 2:
        raise InputError(f"a frontier of {question.n_frontier} points is none: ask for 2 or more")
    if question.seed < 0:
        raise InputError(f"the seed must be 0 or more, not {question.seed}")
