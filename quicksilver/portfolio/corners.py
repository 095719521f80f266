"""The corners of a feasible set, and where the number of assets is limited, of some of its convex parts.

All at once, or one by one: a linear program takes some milliseconds, and hundreds of them too long for one update.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.feasibility import by_order, corner
from quicksilver.portfolio.solving import Solver

CORNERS = 4  # directions by chance for each asset, beside two in its own
MOST_CORNERS = 200
SUPPORTS = 20  # sets of assets that are drawn from, where their number is limited
SETS = 4  # of them that are found at a time where none takes a linear program
THIN = "the constraints leave hardly more than one portfolio, which rounding loses: loosen one"


@dataclass
class Part:
    """A convex set and its known corners, ``(n_corners, n_assets)``, the last ``new`` of which nobody has taken yet."""

    feasible: Feasible
    corners: FloatArray
    new: int = 0

    def take_new(self) -> FloatArray:
        """Return the new corners, which are new no longer."""
        found = self.corners[len(self.corners) - self.new :]
        self.new = 0
        return found

    def add(self, corners: FloatArray) -> None:
        """Take in more corners, none of which is known."""
        self.corners = np.vstack([self.corners, corners])
        self.new += len(corners)


def parts_of(feasible: Feasible, seed: int) -> list[Part]:
    """Return the convex parts with all corners that are looked for.

    Raises:
        InputError: rounding loses a part, which is hardly more than one portfolio.
    """
    rng = np.random.default_rng([seed, 0])
    parts = [feasible] if feasible.convex else list(_supports(feasible, rng))
    return [Part(one, _corners(one, _directions(one, rng, _by_chance(feasible)))) for one in parts]


class GrowingParts:
    """The same parts and corners in another order, ``parts``: one corner at first, and more with each ``look``.

    Raises:
        InputError: rounding loses the whole set, which is hardly more than one portfolio.
    """

    def __init__(self, feasible: Feasible, seed: int) -> None:
        self.parts: list[Part] = []
        self._steps = self._search(feasible, seed)
        while not self.parts:
            if next(self._steps, None) is None and not self.parts:  # few sets are all found before the first yield
                raise InputError(THIN)

    def look(self) -> bool:
        """Look for one corner more, or ``SETS`` sets where that takes no linear program; False: all are known."""
        return next(self._steps, None) is not None

    def _search(self, feasible: Feasible, seed: int) -> Iterator[int]:
        """Look into one direction after the other, by turns in each part; yields how often it has looked."""
        rng, looked = np.random.default_rng([seed, 0]), 0
        ways, waiting = np.random.default_rng([seed, 8]), list[tuple[Feasible, FloatArray, dict[bytes, Part]]]()
        for part in [feasible] if feasible.convex else _supports(feasible, rng):
            directions = _directions(part, rng if feasible.convex else ways, _by_chance(feasible))
            if by_order(part):
                corners = _corners(part, directions)
                self.parts.append(Part(part, corners, len(corners)))
                looked += 1
                if looked % SETS == 0 or not by_order(feasible):
                    yield looked
            else:
                waiting.append((part, ways.permutation(directions), {}))
                looked += 1
                self._look(*waiting[-1], 0)
                yield looked
        for turn in range(1, max((len(one[1]) for one in waiting), default=0)):
            for one in waiting:
                if turn < len(one[1]):
                    looked += 1
                    self._look(*one, turn)
                    yield looked
        if not self.parts and waiting and (inside := _inside(waiting[0][0])) is not None:
            self.parts.append(Part(waiting[0][0], inside[None], 1))
            yield looked

    def _look(self, feasible: Feasible, directions: FloatArray, known: dict[bytes, Part], turn: int) -> None:
        """Add what lies farthest in a direction, unless it is known."""
        for one in _kept(feasible, [corner(feasible, directions[turn])]):
            key = _key(one)
            if not known:
                self.parts.append(Part(feasible, one[None], 1))
            elif key not in known:
                next(iter(known.values())).add(one[None])
            known.setdefault(key, next(iter(known.values()), self.parts[-1]))


def exact(weights: FloatArray, feasible: Feasible) -> FloatArray:
    """Put what rounding has taken from the budget where there is most room."""
    weights = np.clip(weights, feasible.low, feasible.high)
    rows = np.arange(len(weights))
    rest = feasible.budget - weights.sum(axis=1)
    at = np.where(
        rest > 0.0, np.argmax(feasible.high - weights, axis=1), np.argmax(weights - feasible.low, axis=1)
    )  # fmt: skip
    weights[rows, at] += rest
    return weights


def _by_chance(feasible: Feasible) -> int:
    return min(CORNERS * len(feasible.low), MOST_CORNERS) if feasible.convex else feasible.most


def _directions(feasible: Feasible, rng: np.random.Generator, count: int) -> FloatArray:
    """Both of each asset that is free, and random ones: ``(n_directions, n_assets)``."""
    n = len(feasible.low)
    free = np.flatnonzero(feasible.high > feasible.low)
    single = np.vstack([np.eye(n)[free], -np.eye(n)[free]])
    single += 0.01 * rng.standard_normal(single.shape)  # else ties are always broken in favour of the same assets
    return np.vstack([single, rng.standard_normal((count, n))])


def _corners(feasible: Feasible, directions: FloatArray) -> FloatArray:
    """The corners in these directions, each once: ``(n_corners, n_assets)``."""
    found = [corner(feasible, direction) for direction in directions]
    kept = {_key(one): one for one in found if one is not None}
    corners = _kept(feasible, list(kept.values()))
    if len(corners):
        return corners
    inside = _inside(feasible)
    if inside is None:
        raise InputError(THIN)
    return inside[None]


def _key(weights: FloatArray) -> bytes:
    return weights.round(12).tobytes()


def _kept(feasible: Feasible, found: list[FloatArray | None]) -> FloatArray:
    """Those that keep the constraints once the budget is exact."""
    corners = exact(np.array([one for one in found if one is not None]).reshape(-1, len(feasible.low)), feasible)
    return corners[feasible.violation(corners) <= TOLERANCE / 10.0]


def _inside(feasible: Feasible) -> FloatArray | None:
    """A portfolio of a set as thin as a linear program's tolerance; None if rounding loses it."""
    return Solver(np.eye(len(feasible.low)), feasible).min_variance()


def _supports(feasible: Feasible, rng: np.random.Generator) -> Iterator[Feasible]:
    """Convex parts, each of some assets of which a portfolio can be made, each once."""
    n, known = len(feasible.low), set[bytes]()
    for _ in range(SUPPORTS):
        found = corner(feasible, rng.standard_normal(n), gap=0.5)
        if found is None:
            continue
        inside = found != 0.0
        others = rng.permutation(np.flatnonzero(~inside))[: feasible.most - int(inside.sum())]
        part = _widest(feasible, inside, others)
        key = part.high.tobytes() + part.low.tobytes()
        if key not in known:
            known.add(key)
            yield part


def _widest(feasible: Feasible, inside: NDArray[np.bool_], others: NDArray[np.int64]) -> Feasible:
    """The part of the assets ``inside`` and as many of the others, in their order, as their floors leave room for."""
    for n_others in range(len(others), 0, -1):
        more = inside.copy()
        more[others[:n_others]] = True
        part = feasible.of_support(more)
        if corner(part, np.zeros(len(inside))) is not None:
            return part
    return feasible.of_support(inside)
