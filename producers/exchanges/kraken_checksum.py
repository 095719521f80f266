"""Kraken's CRC32 over the best ten levels, compiled.

https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (2026-11): for the ten best asks, lowest first, then the ten
best bids, highest first: the price's digits and the size's digits as written, without the point and leading zeros, are
joined, and CRC32 is taken of the text. Written without point and leading zeros a decimal is its integer mantissa, so
the book here holds mantissas.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from producers.levels import UNCHECKED, Bytes, LevelScanner, Mantissas, scan_two
from quicksilver.compiled import jit
from quicksilver.errors import FrameError
from quicksilver.events import FloatArray, Levels

LEVELS = 10
Sizes: TypeAlias = NDArray[np.int64]


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
def _feed(crc: int, number: int, digits: Bytes) -> int:
    """Continue a CRC32 with a number's decimal digits; zero has none. ``digits`` is scratch space for 20."""
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
def _set(prices: FloatArray, marks: Mantissas, side: int, n: int, price: float, mark_price: int, mark_size: int) -> int:
    """Set one level of a side of ``n`` levels, sorted best last; returns the new number of levels."""
    i, sign = n, 1.0 - 2.0 * side
    while i > 0 and sign * prices[side, i - 1] >= sign * price:
        i -= 1
    known = i < n and prices[side, i] == price
    if mark_size == 0:
        if known:
            for j in range(i, n - 1):
                prices[side, j] = prices[side, j + 1]
                marks[side, j] = marks[side, j + 1]
        return n - known
    if not known:
        for j in range(n, i, -1):
            prices[side, j] = prices[side, j - 1]
            marks[side, j] = marks[side, j - 1]
        prices[side, i] = price
    marks[side, i, 0], marks[side, i, 1] = mark_price, mark_size
    return n + (not known)


@jit
def _truncate(prices: FloatArray, marks: Mantissas, side: int, n: int, depth: int) -> int:
    """Drop what falls out of ``depth``; returns the number of levels left."""
    excess = n - depth
    if excess > 0:
        for j in range(depth):
            prices[side, j] = prices[side, j + excess]
            marks[side, j] = marks[side, j + excess]
    return min(n, depth)


@jit
def checksum(marks: Mantissas, n_bids: int, n_asks: int) -> int:
    """CRC32 of the best ten levels; ``marks`` is ``(2, capacity, 2)``: bids, asks; price, size; best last."""
    digits = np.empty(20, np.uint8)
    crc = np.uint32(0xFFFFFFFF)
    for side in (1, 0):
        n = n_asks if side else n_bids
        for k in range(n - 1, max(n - 1 - LEVELS, -1), -1):
            crc = _feed(crc, marks[side, k, 0], digits)
            crc = _feed(crc, marks[side, k, 1], digits)
    return crc ^ np.uint32(0xFFFFFFFF)


@jit
def apply_rows(
    rows: FloatArray, changes: Mantissas, n_bids: int, n: int, prices: FloatArray, marks: Mantissas, sizes: Sizes
) -> int:
    """Apply ``n`` changes, the first ``n_bids`` of them bids, and return the checksum of the book then.

    ``rows`` has the price first; ``prices`` is ``(2, capacity)``, ``marks`` ``(2, capacity, 2)``; ``sizes`` has the
    number of bids, of asks, and the depth.
    """
    for k in range(n):
        side = 0 if k < n_bids else 1
        sizes[side] = _set(prices, marks, side, sizes[side], rows[k, 0], changes[k, 0], changes[k, 1])
    for side in range(2):  # only now: a message may add a level before it removes another
        sizes[side] = _truncate(prices, marks, side, sizes[side], sizes[2])
    return checksum(marks, sizes[0], sizes[1])


@jit
def scan_and_apply(
    bids: Bytes,
    asks: Bytes,
    keys: Bytes,
    rows: FloatArray,
    changes: Mantissas,
    prices: FloatArray,
    marks: Mantissas,
    sizes: Sizes,
) -> tuple[int, int, int, int]:
    """Scan a message's levels and apply them; returns what ``scan_two`` does, and the checksum.

    Where ``scan_two`` gives a reason, or leaves numbers to Python, nothing is applied.
    """
    n_bids, n, exactness = scan_two(bids, asks, keys, rows, changes)
    if n_bids < 0 or exactness:
        return n_bids, n, exactness, 0
    return n_bids, n, 0, apply_rows(rows, changes, n_bids, n, prices, marks, sizes)


class ChecksumBook:
    """The levels of one symbol as mantissas, within the subscribed depth."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._sizes = np.array([0, 0, depth])
        self._capacity = 0
        self._prices = np.zeros((2, 0))
        self._marks = np.zeros((2, 0, 2), np.uint64)

    def _reserve(self, n_changes: int) -> None:
        """Make room for a message of so many changes, all of which may be new levels of one side."""
        if self.depth + n_changes <= self._capacity:
            return
        prices, marks, self._capacity = self._prices, self._marks, self.depth + n_changes
        self._prices = np.zeros((2, self._capacity))
        self._marks = np.zeros((2, self._capacity, 2), np.uint64)
        self._prices[:, : prices.shape[1]] = prices
        self._marks[:, : prices.shape[1]] = marks

    def apply(self, rows: FloatArray, mantissas: Mantissas, n_bids: int, n: int) -> int:
        """Apply the first ``n`` rows, ``n_bids`` bids and then asks; returns the CRC32 that Kraken would now send.

        ``rows`` and ``mantissas`` are a ``LevelScanner``'s.
        """
        self._reserve(n)
        return int(apply_rows(rows, mantissas, n_bids, n, self._prices, self._marks, self._sizes))

    def read(self, scanner: LevelScanner, bids: msgspec.Raw, asks: msgspec.Raw) -> tuple[Levels, Levels, int]:
        """Read a message's changes, apply them, and return them with the CRC32 that Kraken would now send.

        Raises:
            FrameError: they cannot be read, or are numbers of which no checksum can be made.
        """
        bid_text, ask_text = scanner.buffers(bids, asks)
        rows, mantissas = scanner.rows, scanner.mantissas
        self._reserve(len(rows))
        n_bids, n, exactness, crc = scan_and_apply(
            bid_text, ask_text, scanner.keys, rows, mantissas, self._prices, self._marks, self._sizes
        )
        if n_bids < 0 or exactness:
            scanner.settle(bids, asks, n_bids, exactness)
            if exactness & UNCHECKED:
                raise FrameError("a number of more than 19 digits or with an exponent has no checksum")
            crc = self.apply(rows, mantissas, n_bids, n)
        return *scanner.levels(n_bids, n), crc
