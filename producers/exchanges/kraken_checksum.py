"""Kraken's CRC32 over the best ten levels, compiled.

https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (2026-11): for the ten best asks, lowest first, then the ten
best bids, highest first: the price's digits and the size's digits as written, without the point and leading zeros, are
joined, and CRC32 is taken of the text. Written without point and leading zeros a decimal is its integer mantissa, so
the book here holds mantissas.
"""

import numpy as np
from numpy.typing import NDArray

from producers.levels import Mantissas
from quicksilver.compiled import jit
from quicksilver.events import FloatArray

LEVELS = 10


def _crc_table() -> NDArray[np.uint32]:
    table = np.empty(256, np.uint32)
    for i in range(256):
        value = i
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        table[i] = value
    return table


_TABLE = _crc_table()


@jit
def _feed(crc: int, number: int, digits: NDArray[np.uint8]) -> int:
    """Continue a CRC32 with a number's decimal digits; zero has none."""
    n = 0
    while number > 0:
        rest = number // np.uint64(10)
        digits[n] = number - rest * np.uint64(10) + np.uint64(48)
        number = rest
        n += 1
    for k in range(n - 1, -1, -1):
        crc = (crc >> np.uint32(8)) ^ _TABLE[(crc ^ np.uint32(digits[k])) & np.uint32(255)]
    return crc


@jit
def _set(prices: FloatArray, marks: Mantissas, n: int, sign: float, price: float, mark: Mantissas) -> int:
    """Set one level of a side sorted best last; returns the new number of levels."""
    i = n
    while i > 0 and sign * prices[i - 1] >= sign * price:
        i -= 1
    known = i < n and prices[i] == price
    if mark[1] == 0:
        if known:
            for j in range(i, n - 1):
                prices[j] = prices[j + 1]
                marks[j] = marks[j + 1]
        return n - known
    if not known:
        for j in range(n, i, -1):
            prices[j] = prices[j - 1]
            marks[j] = marks[j - 1]
        prices[i] = price
    marks[i] = mark
    return n + (not known)


@jit
def apply_side(
    prices: FloatArray, marks: Mantissas, n: int, sign: float, depth: int, rows: FloatArray, changes: Mantissas
) -> int:
    """Apply a message's changes to one side and drop what falls out of ``depth``; returns the number of levels."""
    for k in range(len(rows)):
        n = _set(prices, marks, n, sign, rows[k, 0], changes[k])
    excess = n - depth  # only now: a message may add a level before it removes another
    if excess > 0:
        for j in range(depth):
            prices[j] = prices[j + excess]
            marks[j] = marks[j + excess]
    return min(n, depth)


@jit
def checksum(marks: Mantissas, n_bids: int, n_asks: int, digits: NDArray[np.uint8]) -> int:
    """CRC32 of the best ten levels; ``marks`` is ``(2, depth + 1, 2)``: bids, asks; price, size; best last."""
    crc = np.uint32(0xFFFFFFFF)
    for side in (1, 0):
        n = n_asks if side else n_bids
        for k in range(n - 1, max(n - 1 - LEVELS, -1), -1):
            crc = _feed(crc, marks[side, k, 0], digits)
            crc = _feed(crc, marks[side, k, 1], digits)
    return crc ^ np.uint32(0xFFFFFFFF)


class ChecksumBook:
    """The levels of one symbol as mantissas, within the subscribed depth."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._n = [0, 0]
        self._digits = np.zeros(20, np.uint8)
        self._allocate(depth + 64)

    def _allocate(self, capacity: int) -> None:
        self._prices = np.zeros((2, capacity))
        self._marks = np.zeros((2, capacity, 2), np.uint64)

    def _grow(self, capacity: int) -> None:
        prices, marks = self._prices, self._marks
        self._allocate(capacity)
        self._prices[:, : prices.shape[1]] = prices
        self._marks[:, : prices.shape[1]] = marks

    def apply(self, side: int, rows: FloatArray, mantissas: Mantissas) -> None:
        """Apply changes of one side (0 bids, 1 asks): ``rows`` ``(n, 3)`` price first, ``mantissas`` ``(n, 2)``."""
        n = self._n[side]
        if n + len(rows) > self._prices.shape[1]:
            self._grow(2 * (n + len(rows)))
        self._n[side] = apply_side(
            self._prices[side], self._marks[side], n, 1.0 - 2.0 * side, self.depth, rows, mantissas
        )

    def checksum(self) -> int:
        """Return the CRC32 that Kraken would send for these levels."""
        return int(checksum(self._marks, self._n[0], self._n[1], self._digits))
