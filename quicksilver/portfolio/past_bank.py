"""A bank of portfolios whose risk the last returns tell: semi-variance, CVaR or maximum drawdown, kept as they come.

Each portfolio's last ``window`` returns are kept in a ring. What a risk needs of them is kept beside: sums over blocks
of the ring, or its lowest returns in order. What is told follows from the ring alone, to the bit, however that came to
be.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import Float32
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.risks import TAIL, RiskName, of_one_period

SPARE = 16  # returns that are kept in order beyond twice as many as the tail has: what leaves the ring leaves them too
TURN = 64  # updates within which each portfolio is asked whether so many have left that they are looked for anew
STATES = 4  # numbers that sum up a block: total, highest and lowest running total, deepest fall; or a sum of squares


class PastBank:
    """Risks of ``weights`` ``(n_portfolios, n_assets)`` over the excess returns in ``ring``, which it follows.

    Measured as ``risks.measured`` does, in float32 returns of portfolios.
    """

    def __init__(self, weights: FloatArray, risk: RiskName, ring: Ring) -> None:
        n, window = len(weights), ring.window
        self.weights = weights
        self._risk = risk
        self._ring = ring
        self._columns = np.ascontiguousarray(weights.T).astype(np.float32)
        self._block = max(1, math.isqrt(window))
        self._returns = np.zeros((window, n), np.float32)
        self._sums = np.zeros((-(-window // self._block), STATES, n))
        kept = min(window, 2 * (int(TAIL * window) + 1) + SPARE) if risk == "cvar" else 0
        self._lowest, self._known = np.empty((n, kept), np.float32), np.zeros(n, np.int64)
        for slot in range(ring.filled):
            _portfolio_returns(self._columns, self._row(slot), self._returns[slot])
        if risk == "cvar":
            _look(self._returns, ring.filled, np.arange(n), self._lowest, self._known)
        else:
            for block in range(ring.filled // self._block):
                self._sum_up(block)

    @property
    def n_portfolios(self) -> int:
        """How many portfolios there are."""
        return len(self.weights)

    def added(self, removed: bool) -> None:
        """Follow the ring, which has one more return; ``removed``: it took the place of the oldest."""
        slot = self._ring.newest
        row = self._returns[slot]
        old = row.copy()
        _portfolio_returns(self._columns, self._row(slot), row)
        if self._risk == "cvar":
            _exchange(self._lowest, self._known, self._ring.filled, old, row, removed)
            self._refill()
        elif (slot + 1) % self._block == 0:
            self._sum_up(slot // self._block)

    def _row(self, slot: int) -> Float32:
        """The assets' returns in a slot, as the risk counts them."""
        return of_one_period(self._risk, self._ring.rows[slot], self._ring.periods[slot]).astype(np.float32)

    def _refill(self) -> None:
        """Look anew for the lowest returns of whom too few are left of, and by turns of whom soon may be."""
        filled, kept = self._ring.filled, self._lowest.shape[1]
        few = np.minimum(int(TAIL * filled) + 1, filled)
        due = self._known < few
        by_turns = slice(self._ring.count % TURN, None, TURN)
        due[by_turns] |= self._known[by_turns] < min(filled, kept - SPARE)
        if due.any():
            _look(self._returns, filled, np.flatnonzero(due), self._lowest, self._known)

    def _sum_up(self, block: int) -> None:
        start = block * self._block
        self._sums[block] = 0.0
        self._fold(start, min(start + self._block, len(self._returns)), self._sums[block])

    def _fold(self, start: int, end: int, sums: FloatArray) -> None:
        if self._risk == "semi-variance":
            _add_squares(self._returns[start:end], sums[0])
        else:
            _fall(self._returns[start:end], sums)

    def risks(self) -> FloatArray:
        """Return all risks, ``(n_portfolios,)``; zeros before the first return."""
        ring = self._ring
        if not ring.filled:
            return np.zeros(self.n_portfolios)
        if self._risk == "cvar":
            return _tail(self._lowest, ring.filled)
        total = np.zeros((STATES, self.n_portfolios))
        for start, end in self._in_order():
            whole = start % self._block == 0 and end - start == self._block
            if not whole:
                self._fold(start, end, total)
            elif self._risk == "semi-variance":
                total[0] += self._sums[start // self._block][0]
            else:
                _join(total, self._sums[start // self._block])
        return np.sqrt(total[0] / ring.filled) if self._risk == "semi-variance" else total[3]

    def _in_order(self) -> list[tuple[int, int]]:
        """The ring's slots from the oldest on, as spans of no more than a block."""
        ring, spans = self._ring, list[tuple[int, int]]()
        for first, last in ring.spans():
            borders = range((first // self._block + 1) * self._block, last, self._block)
            spans += pairwise([first, *borders, last])
        return spans


@jit
def _portfolio_returns(columns: Float32, returns: Float32, out: Float32) -> None:
    """``returns @ columns``, the sum in order of the assets: a library's product differs with how many columns."""
    out[:] = np.float32(0.0)
    for i in range(len(columns)):
        for j in range(len(out)):
            out[j] += returns[i] * columns[i, j]


@jit
def _add_squares(rows: Float32, total: FloatArray) -> None:
    for t in range(len(rows)):
        for j in range(len(total)):
            value = np.float64(rows[t, j])
            total[j] += value * value * (value < 0.0)


@jit
def _fall(rows: Float32, state: FloatArray) -> None:
    """Go on with the running total, its highest and lowest, and the deepest fall by these rows."""
    for t in range(len(rows)):
        for j in range(rows.shape[1]):
            total = state[0, j] + rows[t, j]
            state[0, j] = total
            state[1, j] = max(state[1, j], total)
            state[2, j] = min(state[2, j], total)
            state[3, j] = max(state[3, j], state[1, j] - total)


@jit
def _join(state: FloatArray, later: FloatArray) -> None:
    """Go on by a block that has been summed up: a fall may begin before it and end in it."""
    for j in range(state.shape[1]):
        total = state[0, j]
        state[3, j] = max(state[3, j], later[3, j], state[1, j] - (total + later[2, j]))
        state[1, j] = max(state[1, j], total + later[1, j])
        state[2, j] = min(state[2, j], total + later[2, j])
        state[0, j] = total + later[0, j]


@jit
def _exchange(
    lowest: Float32, known: NDArray[np.int64], filled: int, old: Float32, new: Float32, removed: bool
) -> None:
    """Follow one more return of each portfolio: the old one, if any, leaves its lowest, and the new one may enter."""
    kept = lowest.shape[1]
    for i in range(len(lowest)):
        row, count, value = lowest[i], known[i], new[i]
        if removed and count > 0 and old[i] <= row[count - 1]:
            at = count - 1
            while row[at] > old[i]:
                at -= 1
            for k in range(at, count - 1):
                row[k] = row[k + 1]
            count -= 1
        whole = count == filled - 1  # they are all that there are
        if (count > 0 and value < row[count - 1]) or (whole and count < kept):
            count = _insert(row, count, value)
        known[i] = count


@jit
def _insert(row: Float32, count: int, value: np.float32) -> int:
    """Put a value among the ``count`` lowest, in order; of a full row the highest leaves. Returns how many they are."""
    at = min(count, len(row) - 1)
    while at > 0 and row[at - 1] > value:
        row[at] = row[at - 1]
        at -= 1
    row[at] = value
    return min(count + 1, len(row))


@jit
def _look(returns: Float32, filled: int, which: NDArray[np.int64], lowest: Float32, known: NDArray[np.int64]) -> None:
    """Find the lowest returns of some portfolios, in order."""
    for i in which:
        row, count = lowest[i], 0
        for t in range(filled):
            value = returns[t, i]
            if count < len(row) or value < row[count - 1]:
                count = _insert(row, count, value)
        known[i] = count


def _tail(ordered: Float32, n_observations: int) -> FloatArray:
    """The mean loss of the worst ``TAIL`` of so many, of which these are the lowest in order, ``(n, n_lowest)``."""
    n = TAIL * n_observations
    whole = int(n)
    total = -ordered[:, :whole].sum(axis=1, dtype=np.float64)
    if whole < n_observations:
        total -= (n - whole) * ordered[:, whole]
    loss: FloatArray = total / n
    return loss
