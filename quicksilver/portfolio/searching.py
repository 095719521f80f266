"""Picks that no solver gives within an update: kept, and bettered a little at each one.

Where the number of assets is limited the set of assets is exchanged one by one, and each set's weights are exact. Where
the risk is of the past, weights move towards others' and from asset to asset, and an exact solution is put in their
place now and then. What is done at an update depends on the seed and on how many updates there were.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.goals import Goal, on_support
from quicksilver.portfolio.non_negative import RoundsError
from quicksilver.portfolio.solving import settled

TURNS = 5  # updates from one in which other sets of assets are tried for a pick to the next
MOVES = 24  # pairs of assets, tried at an update
STEPS = (0.5, 0.1, 0.02, 0.004)  # of the way to another portfolio
SHARES = (1.0, 0.3, 0.05, 0.005)  # of the weight that may go from one asset to another
EVERY = 256  # updates from one solution of a linear program to the next: it takes long, and fewer than 1 % may
STEPWISE = "the best found step by step"


class Kept(NamedTuple):
    """A pick's weights ``(n_assets,)``; ``solved`` at which update, with how many returns ``known``; 0 for never."""

    weights: list[float]
    solved: int = 0
    known: int = 0


class Search:
    """Picks by name, ``kept`` from update to update."""

    def __init__(self, config: PortfolioConfig, feasible: Feasible) -> None:
        self._config = config
        self._feasible = feasible
        self.kept: dict[str, Kept] = {}

    def exchange(self, update: int, name: str, goal: Goal, drawn: FloatArray) -> FloatArray:
        """Return the best weights over the assets that are kept; by turns, also over others, and over those ``drawn``.

        Others are those of the highest weights without the limit, and what is kept with one exchanged.
        """
        kept = self.kept.get(name)
        starts = [drawn] if kept is None else [np.array(kept.weights)]
        supports = [np.flatnonzero(starts[0]).tolist()]
        if kept is None or update % TURNS == list(self.kept).index(name) % TURNS:
            starts.append(drawn)
            supports += [np.flatnonzero(drawn).tolist(), *self._others(update, name, goal, supports[0])]
        found = [tried(partial(on_support, goal, self._feasible, one)) for one in supports if one]
        weights = min([one for one in found if one is not None] + starts, key=goal.score)
        self.kept[name] = Kept(weights.tolist())
        return weights

    def _others(self, update: int, name: str, goal: Goal, support: list[int]) -> list[list[int]]:
        feasible, rng, n = self._feasible, self._rng(update, name), len(self._feasible.low)
        free = replace(feasible, most=n, low=np.minimum(feasible.low, 0.0))
        guide = tried(lambda: goal.best(free, list(range(n))))
        largest = [] if guide is None else np.argsort(-np.abs(guide), kind="stable").tolist()
        likely = [i for i in largest[: 2 * feasible.most] if i not in support]
        rest = [i for i in range(n) if i not in support]
        exchanged = [_neighbour(support, those, feasible, rng) for those in (likely, likely, rest)]
        return [sorted(largest[: feasible.most]), *exchanged]

    def step(
        self, update: int, name: str, goal: Goal, known: int, starts: list[FloatArray],
        score: Callable[[FloatArray], FloatArray],
    ) -> tuple[FloatArray, str]:  # fmt: skip
        """Return the exact optimum when it is time for it, else something better near what is kept; and a note.

        ``known`` is how many returns there are; of ``starts`` the first is the best that was drawn. ``score`` is
        the goal's for all rows ``(n, n_assets)`` at once.
        """
        kept = self.kept.get(name)
        if self._feasible.convex and self._due(update, name, known):
            exact = tried(lambda: goal.best(self._feasible, list(range(len(self._feasible.low)))))
            if exact is not None:
                self.kept[name] = Kept(exact.tolist(), update, known)
                return exact, ""
        start, others = starts[0] if kept is None else np.array(kept.weights), np.array(starts)
        around = np.vstack([start, starts[0], neighbours(start, others, self._feasible, self._rng(update, name))])
        weights = _tidied(around[int(np.argmin(score(around)))], self._feasible)
        if weights is None:
            weights = start
        self.kept[name] = Kept(weights.tolist()) if kept is None else kept._replace(weights=weights.tolist())
        solved = self.kept[name].solved
        note = f"solved {update - solved} updates ago, and bettered step by step since" if solved else STEPWISE
        return weights, note

    def _due(self, update: int, name: str, known: int) -> bool:
        """Whether a pick is to be solved: one at an update, after ``EVERY`` ones, or with twice as many returns."""
        kept = self.kept.get(name)
        if any(one.solved == update for one in self.kept.values()):
            return False
        return kept is None or not kept.solved or update - kept.solved >= EVERY or known >= 2 * kept.known

    def _rng(self, update: int, name: str) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, 4, update, *name.encode()])


def _neighbour(support: list[int], others: list[int], feasible: Feasible, rng: np.random.Generator) -> list[int]:
    """The assets with one of the others for one of them, or with one more, if there may be, or with one less."""
    kind = int(rng.integers(4))
    entering = [int(rng.choice(others))] if others and kind < 3 else []
    leaving = int(rng.choice(support)) if kind != 2 or len(support) >= feasible.most else None
    return sorted([i for i in support if i != leaving] + entering)


def neighbours(
    weights: FloatArray, towards: FloatArray, feasible: Feasible, rng: np.random.Generator
) -> FloatArray:  # fmt: skip
    """Return feasible portfolios ``(n, n_assets)`` around ``weights``, some on the way to others, ``(m, n_assets)``."""
    n, parts = len(weights), list[FloatArray]()
    if feasible.convex:
        parts += [weights + step * (towards - weights) for step in STEPS]
    pairs = rng.integers(n, size=(MOVES, 2))
    rows = np.arange(MOVES)
    room = np.minimum(weights[pairs[:, 0]] - np.minimum(feasible.low, 0.0)[pairs[:, 0]],
                      feasible.high[pairs[:, 1]] - weights[pairs[:, 1]])  # fmt: skip
    for share in SHARES:
        moved = np.repeat(weights[None], MOVES, axis=0)
        moved[rows, pairs[:, 0]] -= share * np.maximum(room, 0.0)
        moved[rows, pairs[:, 1]] += share * np.maximum(room, 0.0)
        parts.append(moved)
    around = np.concatenate(parts)
    return around[feasible.violation(around) <= TOLERANCE / 10.0]


def _tidied(weights: FloatArray, feasible: Feasible) -> FloatArray | None:
    """Return the weights with the budget to the last digit, or None where that is not to be had."""
    part = feasible if feasible.convex else feasible.of_support(weights != 0.0)
    return settled(weights, part)


def tried(solve: Callable[[], FloatArray | None]) -> FloatArray | None:
    """Return what a solver finds; None too where it gives up on numbers that are too far apart.

    That is a matrix that rounding has left without a root, too many rounds, or weights that are no numbers.
    """
    try:
        found = solve()
    except (np.linalg.LinAlgError, RoundsError):
        return None
    return found if found is not None and bool(np.isfinite(found).all()) else None
