"""Random portfolios inside the feasible set: its corners, what is sparse, its faces and its middle.

Where nothing but the budget cuts the simplex, weights are of Dirichlet laws, or of quasi-random points taken through
the same laws. Otherwise corners are found (``corners``), weights are Dirichlet mixtures of some of them, which
convexity keeps inside, and a third of them goes on by hit-and-run to the uniform law (Smith, Efficient Monte Carlo
procedures for generating points uniformly distributed over bounded regions, Operations Research 32(6), 1984).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaincinv

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import TOLERANCE, Feasible
from quicksilver.portfolio.corners import GrowingParts, Part, exact, parts_of
from quicksilver.portfolio.feasibility import by_order

CONCENTRATIONS = (0.05, 0.2, 0.5, 1.0, 3.0)  # of Dirichlet laws: from nearly one corner to the middle
WALKED = 3  # one group in so many goes on by hit-and-run, for it takes longer than all else
STEPS = 12  # of hit-and-run; its start is spread over the set already
TINY = 1e-300


class Sampler:
    """Draws feasible weights, the same for the same seed; ``quasi`` takes Sobol's points for chance.

    Corners are found once, for all draws. With ``gradual`` there are some at first, and more with each ``look``: then
    what is drawn depends on how often it was called, and the first rows of a chunk are the corners that are new.

    Raises:
        InputError: rounding loses the whole set, which is hardly more than one portfolio.
    """

    def __init__(self, feasible: Feasible, seed: int, *, quasi: bool = False, gradual: bool = False) -> None:
        self._feasible = feasible
        self._seed = seed
        self._quasi = quasi
        self._plain = (
            not len(feasible.rows) and not np.isfinite(feasible.turnover) and feasible.convex
            and bool(np.all(feasible.high >= feasible.budget - feasible.low.sum() + feasible.low))
        )  # fmt: skip
        self._parts: list[Part] = []
        self._growing: GrowingParts | None = None
        if gradual and not self._plain and not (feasible.convex and by_order(feasible)):
            self._growing = GrowingParts(feasible, seed)
            self._parts = self._growing.parts
        elif not self._plain:
            self._parts = parts_of(feasible, seed)

    @property
    def few(self) -> bool:
        """Whether so few corners of a convex set are known that little of it lies between them: all draws walk on."""
        return (
            self._growing is not None
            and self._feasible.convex
            and len(self._parts[0].corners) < len(self._feasible.low)
        )

    def look(self) -> bool:
        """Look for one corner more, or a few sets of assets; False: there was nothing left to look for."""
        return self._growing is not None and self._growing.look()

    def draw(self, n_portfolios: int, chunk: int = 0) -> FloatArray:
        """Return weights ``(n_portfolios, n_assets)``, feasible to ``TOLERANCE``; each chunk has others.

        The first rows of the first chunk are corners of the set.
        """
        rng, points = np.random.default_rng([self._seed, 1, chunk]), None
        width = len(self._feasible.low)
        if not self._plain:
            corners = max(len(part.corners) for part in self._parts)
            width = corners if self._quasi else min(width, corners)
        if self._quasi:
            from scipy.stats import qmc  # takes a second to import, and most live portfolios do without

            seed = np.random.default_rng([self._seed, 2, chunk])
            points = qmc.Sobol(width, rng=seed).random_base2(max(n_portfolios - 1, 1).bit_length())[:n_portfolios]
        # Of more corners than assets as many have weight as of the simplex's.
        spread = min(1.0, len(self._feasible.low) / width)
        turns = np.arange(n_portfolios) // max(1, len(self._parts))  # each part has all laws
        laws = spread * np.array(CONCENTRATIONS)[turns % len(CONCENTRATIONS)]
        mixture = dirichlet(laws, width, rng, points)
        if self._plain:
            return self._on_simplex(mixture, chunk)
        return self._inside(mixture, rng, chunk)

    def _on_simplex(self, mixture: FloatArray, chunk: int) -> FloatArray:
        feasible = self._feasible
        if chunk == 0:
            begin_with_corners(mixture)
        return exact(feasible.low + (feasible.budget - feasible.low.sum()) * mixture, feasible)

    def _inside(self, mixture: FloatArray, rng: np.random.Generator, chunk: int) -> FloatArray:
        drawn = np.empty((len(mixture), len(self._feasible.low)))
        for i, part in enumerate(self._parts):
            rows = np.arange(i, len(mixture), len(self._parts))
            weights = exact(self._mixed(mixture[rows], part.corners, rng), part.feasible)
            walked = np.arange(len(rows)) // len(CONCENTRATIONS) % WALKED == WALKED - 1
            walked |= self.few
            weights[walked] = hit_and_run(part.feasible, weights[walked], rng)
            first = self._first(part, chunk)[: len(rows)]
            weights[: len(first)] = first
            drawn[rows] = weights
        return drawn

    def _first(self, part: Part, chunk: int) -> FloatArray:
        """The corners that a chunk begins with."""
        if self._growing is not None:
            return part.take_new()
        return part.corners if chunk == 0 else part.corners[:0]

    def _mixed(self, mixture: FloatArray, corners: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Each row's mixture of all corners by quasi-random points, else of some by chance, as many as assets."""
        if self._quasi:
            shares = mixture[:, : len(corners)]
            total = shares.sum(axis=1, keepdims=True)
            shares = np.where(total > TINY, shares / np.maximum(total, TINY), 1.0 / len(corners))
            return shares @ corners
        n, width = mixture.shape
        picked, starts = rng.integers(len(corners), size=n * width), width * np.arange(n + 1)
        weights: FloatArray = sparse.csr_array((mixture.ravel(), picked, starts), shape=(n, len(corners))) @ corners
        return weights


def hit_and_run(feasible: Feasible, weights: FloatArray, rng: np.random.Generator, steps: int = STEPS) -> FloatArray:
    """Move each row of feasible ``weights`` by steps in random directions, each uniform on its chord of the set."""
    free = feasible.high - feasible.low > TOLERANCE
    if free.sum() < 2 or not len(weights):
        return weights
    moved = np.array(weights)
    directions, shares = rng.standard_normal((steps, *weights.shape)), rng.random((steps, len(weights)))
    _walk(moved, directions, shares, free, feasible.low, feasible.high, np.ascontiguousarray(feasible.rows),
          feasible.least, feasible.budget, feasible.current, feasible.turnover, TOLERANCE / 10.0)  # fmt: skip
    return moved


@jit
def _walk(
    weights: FloatArray, directions: FloatArray, shares: FloatArray, free: NDArray[np.bool_], low: FloatArray,
    high: FloatArray, rows: FloatArray, least: FloatArray, budget: float, current: FloatArray, turnover: float,
    slack: float,
) -> None:  # fmt: skip
    """Move each row to a uniform point of its chord in its next direction, and so on."""
    free_places = np.flatnonzero(free)
    for t in range(len(directions)):
        for k in range(len(weights)):
            _step(weights[k], directions[t, k], shares[t, k], free_places, low, high, rows, least, budget, current,
                  turnover, slack)  # fmt: skip


@jit
def _step(
    w: FloatArray, d: FloatArray, share: float, free: NDArray[np.int64], low: FloatArray, high: FloatArray,
    rows: FloatArray, least: FloatArray, budget: float, current: FloatArray, turnover: float, slack: float,
) -> None:  # fmt: skip
    """Move one portfolio to a uniform point of its chord; it stays where rounding would lead outside."""
    total, size = 0.0, 0.0
    for i in free:
        total += d[i]
    direction = np.zeros(len(w))
    for i in free:
        direction[i] = d[i] - total / len(free)
        size += direction[i] * direction[i]
    direction /= np.sqrt(size) + TINY
    far = _reach(w, direction, 1.0, low, high, rows, least)
    near = _reach(w, direction, -1.0, low, high, rows, least)
    if turnover < np.inf:
        far = _traded(w, direction, 1.0, far, current, turnover)
        near = _traded(w, direction, -1.0, near, current, turnover)
    new = w + direction * (share * (far + near) - near)
    rest, at = budget, 0
    for i in range(len(w)):
        new[i] = min(max(new[i], low[i]), high[i])
        rest -= new[i]
    for i in range(1, len(w)):  # what rounding has taken goes where there is most room
        room = high[i] - new[i] > high[at] - new[at] if rest > 0.0 else new[i] - low[i] > new[at] - low[at]
        at = i if room else at
    new[at] += rest
    if _keeps(new, low, high, rows, least, budget, current, turnover, slack):
        w[:] = new


@jit
def _reach(
    w: FloatArray, d: FloatArray, sign: float, low: FloatArray, high: FloatArray, rows: FloatArray, least: FloatArray
) -> float:  # fmt: skip
    """How far bounds and groups let a row go."""
    far = np.inf
    for i in range(len(w)):
        speed = sign * d[i]
        if speed != 0.0:
            room = high[i] - w[i] if speed > 0.0 else w[i] - low[i]
            far = min(far, max(room, 0.0) / abs(speed))
    for r in range(len(rows)):
        speed, left = 0.0, -least[r]
        for i in range(len(w)):
            speed += sign * rows[r, i] * d[i]
            left += rows[r, i] * w[i]
        if speed < 0.0:
            far = min(far, max(left, 0.0) / -speed)
    return far


@jit
def _traded(w: FloatArray, d: FloatArray, sign: float, far: float, current: FloatArray, turnover: float) -> float:
    """How far until ``turnover`` is traded: what is traded is convex and piecewise linear, so Newton ends on it."""
    for _ in range(2 * len(w)):
        traded, slope = 0.0, 0.0
        for i in range(len(w)):
            trade = w[i] + sign * d[i] * far - current[i]
            traded += abs(trade)
            slope += sign * d[i] if trade > 0.0 else -sign * d[i]
        if traded <= turnover or slope <= 0.0:
            break
        far -= (traded - turnover) / slope
    return max(far, 0.0)


@jit
def _keeps(
    w: FloatArray, low: FloatArray, high: FloatArray, rows: FloatArray, least: FloatArray, budget: float,
    current: FloatArray, turnover: float, slack: float,
) -> bool:  # fmt: skip
    total, traded = 0.0, 0.0
    for i in range(len(w)):
        if not (low[i] - slack <= w[i] <= high[i] + slack):
            return False
        total, traded = total + w[i], traded + abs(w[i] - current[i])
    for r in range(len(rows)):
        left = -least[r]
        for i in range(len(w)):
            left += rows[r, i] * w[i]
        if left < -slack:
            return False
    return abs(total - budget) <= slack and traded <= turnover + slack


def begin_with_corners(mixture: FloatArray, start: int = 0) -> None:
    """Put the simplex's corners and its middle in the place of the first rows; ``mixture`` begins at row ``start``."""
    n = mixture.shape[1]
    fixed = np.vstack([np.eye(n), np.full(n, 1.0 / n)])[start : start + len(mixture)] if start <= n else mixture[:0]
    mixture[: len(fixed)] = fixed


def dirichlet(
    laws: FloatArray, width: int, rng: np.random.Generator, points: FloatArray | None = None
) -> FloatArray:  # fmt: skip
    """Return rows >= 0 with sum 1, ``(len(laws), width)``: gamma variates of each row's law over their sum.

    ``points`` ``(len(laws), width)`` between 0 and 1 take the place of chance.
    """
    if points is None:
        gammas = rng.standard_gamma(laws[:, None], (len(laws), width))
    else:
        gammas = gammaincinv(laws[:, None], points)
    gammas += TINY
    return gammas / gammas.sum(axis=1, keepdims=True)
