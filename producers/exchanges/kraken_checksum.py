"""Kraken's CRC32 over the best ten levels, compiled.

https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (2026-11): for the ten best asks, lowest first, then the ten
best bids, highest first: the price's digits and the size's digits as written, without the point and leading zeros, are
joined, and CRC32 is taken of the text. Written without point and leading zeros a decimal is its integer mantissa, so
levels come here as mantissas.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from producers import usual
from producers.levels import UNCHECKED, Bytes, LevelScanner, Mantissas, scan_two
from producers.usual import LevelBlock, letters
from quicksilver.compiled import jit_lean
from quicksilver.errors import FrameError
from quicksilver.events import FloatArray, Levels

LEVELS = 10
_PRICE, _SIZE, _LEVEL_END = letters('{"price":'), letters(',"qty":'), letters("}")
_BIDS, _ASKS, _CHECKSUM = letters('","bids":'), letters(',"asks":'), letters(',"checksum":')
_TIME, _END = letters(',"timestamp":"'), letters('"}]}')
_MOST_TEXT = 40  # digits of a price and a size, 20 at most each
Words: TypeAlias = NDArray[np.uint32]
Marks: TypeAlias = NDArray[np.uint64]
Sizes: TypeAlias = NDArray[np.int64]


def _crc_table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & 1, np.uint32(0xEDB88320), np.uint32(0))
    return table


_TABLE = _crc_table()


def _fed_zeros(crc: Words) -> Words:
    """What checksums become when none to ``_MOST_TEXT`` zero bytes are fed to them, the number of bytes first."""
    states = [crc]
    for _ in range(_MOST_TEXT):
        states.append((states[-1] >> np.uint32(8)) ^ _TABLE[states[-1] & np.uint32(255)])
    return np.array(states)


# A CRC is linear: that of a text that follows another is its own XOR the other's after as many zeros. So what a level
# adds is found once, when the level changes, and not at each message.
_SHIFT = _fed_zeros(np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None])  # of each byte
_DIGIT = _fed_zeros(_TABLE[48:58])  # what a digit adds that so many others follow


@jit_lean
def _mark(price: int, size: int) -> int:
    """A level's part of the checksum: CRC32 of its text from 0 on, without complements, and above it the length."""
    crc, n = np.uint32(0), 0
    for number in (size, price):
        left = number
        while left > 0:  # a zero has no digits; the last digit comes first
            rest = left // np.uint64(10)
            crc ^= _DIGIT[n, left - rest * np.uint64(10)]
            left = rest
            n += 1
    return (np.uint64(n) << np.uint64(32)) | np.uint64(crc)


@jit_lean
def _set(prices: FloatArray, marks: Marks, side: int, n: int, price: float, removed: bool, mark: int) -> int:
    """Set one level of a side of ``n`` levels, sorted best last; returns the new number of levels."""
    i, sign = n, 1.0 - 2.0 * side
    while i > 0 and sign * prices[side, i - 1] >= sign * price:
        i -= 1
    known = i < n and prices[side, i] == price
    if removed:
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
    marks[side, i] = mark
    return n + (not known)


@jit_lean
def _truncate(prices: FloatArray, marks: Marks, side: int, n: int, depth: int) -> int:
    """Drop what falls out of ``depth``; returns the number of levels left."""
    excess = n - depth
    if excess > 0:
        for j in range(depth):
            prices[side, j] = prices[side, j + excess]
            marks[side, j] = marks[side, j + excess]
    return min(n, depth)


@jit_lean
def checksum(marks: Marks, n_bids: int, n_asks: int) -> int:
    """CRC32 of the best ten levels, of whose marks ``(2, capacity)`` the best is last: bids, asks."""
    crc = np.uint32(0xFFFFFFFF)
    for side in (1, 0):
        n = n_asks if side else n_bids
        for k in range(n - 1, max(n - 1 - LEVELS, -1), -1):
            shift, low = _SHIFT[marks[side, k] >> np.uint64(32)], np.uint32(255)
            crc = (
                shift[0, crc & low]
                ^ shift[1, (crc >> np.uint32(8)) & low]
                ^ shift[2, (crc >> np.uint32(16)) & low]
                ^ shift[3, crc >> np.uint32(24)]
                ^ np.uint32(marks[side, k])
            )
    return crc ^ np.uint32(0xFFFFFFFF)


@jit_lean
def apply_rows(
    rows: FloatArray, changes: Mantissas, n_bids: int, n: int, prices: FloatArray, marks: Marks, sizes: Sizes
) -> int:
    """Apply ``n`` changes, the first ``n_bids`` of them bids, and return the checksum of the book then.

    ``rows`` has the price first; ``prices`` and ``marks`` are ``(2, capacity)``; ``sizes`` has the number of bids, of
    asks, and the depth.
    """
    for k in range(n):
        side = 0 if k < n_bids else 1
        mark = _mark(changes[k, 0], changes[k, 1])
        sizes[side] = _set(prices, marks, side, sizes[side], rows[k, 0], changes[k, 1] == 0, mark)
    for side in range(2):  # only now: a message may add a level before it removes another
        sizes[side] = _truncate(prices, marks, side, sizes[side], sizes[2])
    return checksum(marks, sizes[0], sizes[1])


@jit_lean
def scan_and_apply(
    bids: Bytes,
    asks: Bytes,
    keys: Bytes,
    rows: FloatArray,
    changes: Mantissas,
    prices: FloatArray,
    marks: Marks,
    sizes: Sizes,
) -> tuple[int, int, int, int]:
    """Scan a message's levels and apply them; returns what ``scan_two`` does, and the checksum.

    Where ``scan_two`` gives a reason, or leaves numbers to Python, nothing is applied.
    """
    n_bids, n, exactness = scan_two(bids, asks, keys, rows, changes)
    if n_bids < 0 or exactness:
        return n_bids, n, exactness, 0
    return n_bids, n, 0, apply_rows(rows, changes, n_bids, n, prices, marks, sizes)


@jit_lean
def read_usual(
    text: bytes, i: int, at: int, rows: FloatArray, changes: Mantissas, prices: FloatArray, marks: Marks, sizes: Sizes
) -> tuple[int, int, int, int, int]:
    """Read a v2 update from behind its symbol on, and apply it; ``OTHER`` and nothing applied if it is not as usual.

    The levels are in ``rows`` from ``at`` on, as in ``LevelBlock``. Returns where the bids end, where the asks do, the
    time in nanoseconds, the checksum that is ours, and Kraken's.
    """
    i, middle = usual.levels(text, usual.after(text, i, _BIDS), at, _PRICE, _SIZE, _LEVEL_END, rows, changes)
    i, end = usual.levels(text, usual.after(text, i, _ASKS), middle, _PRICE, _SIZE, _LEVEL_END, rows, changes)
    i, theirs = usual.integer(text, usual.after(text, i, _CHECKSUM))
    i, ts_ns = usual.iso_time(text, usual.after(text, i, _TIME))
    if end - at > usual.MOST_LEVELS or usual.after(text, i, _END) != len(text):
        return usual.OTHER, 0, 0, 0, 0
    ours = apply_rows(rows[at:], changes[at:], middle - at, end - at, prices, marks, sizes)
    return middle, end, ts_ns, ours, theirs


class ChecksumBook:
    """The levels of one symbol and what each adds to the checksum, within the subscribed depth."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._sizes = np.array([0, 0, depth])
        self._capacity = 0
        self._prices = np.zeros((2, 0))
        self._marks = np.zeros((2, 0), np.uint64)
        self._reserve(usual.MOST_LEVELS)

    def _reserve(self, n_changes: int) -> None:
        """Make room for a message of so many changes, all of which may be new levels of one side."""
        if self.depth + n_changes <= self._capacity:
            return
        prices, marks, self._capacity = self._prices, self._marks, self.depth + n_changes
        self._prices = np.zeros((2, self._capacity))
        self._marks = np.zeros((2, self._capacity), np.uint64)
        self._prices[:, : prices.shape[1]] = prices
        self._marks[:, : prices.shape[1]] = marks

    def apply(self, rows: FloatArray, mantissas: Mantissas, n_bids: int, n: int) -> int:
        """Apply the first ``n`` rows, ``n_bids`` bids and then asks; returns the CRC32 that Kraken would now send.

        ``rows`` and ``mantissas`` are a ``LevelScanner``'s.
        """
        self._reserve(n)
        return int(apply_rows(rows, mantissas, n_bids, n, self._prices, self._marks, self._sizes))

    def read_usual(self, payload: bytes, i: int, block: LevelBlock) -> tuple[int, int, int, int, int]:
        """Read and apply an update from behind its symbol on; returns what the kernel does."""
        return read_usual(payload, i, block.at, block.rows, block.mantissas, self._prices, self._marks, self._sizes)

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
