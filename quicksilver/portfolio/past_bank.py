"""A bank of portfolios whose risk the last returns tell: semi-variance, CVaR or maximum drawdown, kept as they come.

Each portfolio's last ``window`` returns are kept in a ring. What a risk needs of them is kept beside: sums over blocks
of the ring, or the returns in order of size. All of it follows from the ring alone, to the bit, however it came about.
"""

import math
from itertools import pairwise

import numpy as np

from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import Float32
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.risks import TAIL, RiskName, of_one_period

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
        self._sorted = np.empty((n, window if risk == "cvar" else 0), np.float32)
        for slot in range(ring.filled):
            _portfolio_returns(self._columns, self._row(slot), self._returns[slot])
        if risk == "cvar":
            self._sorted[:, : ring.filled] = np.sort(self._returns[: ring.filled], axis=0).T
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
        new = np.empty_like(row)
        _portfolio_returns(self._columns, self._row(slot), new)
        if self._risk == "cvar":
            _exchange(self._sorted, self._ring.filled, row, new, removed)
        row[:] = new
        if self._risk != "cvar" and (slot + 1) % self._block == 0:
            self._sum_up(slot // self._block)

    def _row(self, slot: int) -> Float32:
        """The assets' returns in a slot, as the risk counts them."""
        return of_one_period(self._risk, self._ring.rows[slot], self._ring.periods[slot]).astype(np.float32)

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
            return _tail(self._sorted[:, : ring.filled])
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
def _exchange(ordered: Float32, filled: int, old: Float32, new: Float32, removed: bool) -> None:
    """Put each portfolio's new return among its others ``(n, window)``, in the place of the old one if there is one."""
    for i in range(len(ordered)):
        row, value = ordered[i], new[i]
        at = np.searchsorted(row[:filled], old[i]) if removed else filled - 1
        while at > 0 and row[at - 1] > value:
            row[at] = row[at - 1]
            at -= 1
        while at + 1 < filled and row[at + 1] < value and removed:
            row[at] = row[at + 1]
            at += 1
        row[at] = value


def _tail(ordered: Float32) -> FloatArray:
    """The mean loss of the worst ``TAIL`` of rising returns ``(n, n_observations)``."""
    n = TAIL * ordered.shape[1]
    whole = int(n)
    total = -ordered[:, :whole].sum(axis=1, dtype=np.float64)
    if whole < ordered.shape[1]:
        total -= (n - whole) * ordered[:, whole]
    loss: FloatArray = total / n
    return loss
