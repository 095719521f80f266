"""Price levels out of JSON text: one compiled scanner for every venue's way to write them.

It reads ``[["64726.5","1.2"], ...]`` and ``[{"price":64726.5,"qty":1.2}, ...]`` alike, and Coinbase's rows that name
their side. A decimal of at most 2^53 and 22 places is its integer mantissa over a power of ten, both exact doubles,
so one division rounds correctly and gives ``float(text)`` to the bit (Clinger, How to read floating point numbers
accurately, 1990); anything longer is left to Python. The mantissa itself is what Kraken's checksum is made of.
"""

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from producers.decimals import float_of, plain
from quicksilver.codec import UNREADABLE
from quicksilver.compiled import jit_lean
from quicksilver.errors import FrameError
from quicksilver.events import NO_LEVELS, FloatArray, Levels

Bytes = NDArray[np.uint8]
Mantissas = NDArray[np.uint64]

BAD, MISSING, NEGATIVE, NO_SIDE = -1, -2, -3, -4
REASONS = {
    BAD: "not a list of price levels",
    MISSING: "a level without price or size",
    NEGATIVE: "a negative price or size, or a price of zero",
    NO_SIDE: "a level that is neither bid nor ask",
}
_EXACT = 1 << 53
_MOST_DIGITS = 19  # fit into 64 bits
NO_MANTISSA = np.uint64(2**64 - 1)
_MAX_PLACES = 22
_POWERS = 10.0 ** np.arange(_MAX_PLACES + 1)
NO_VALUE, UNCHECKED = 1, 2
_BID, _ASK_LETTERS = 98.0, (97.0, 111.0)  # bid; ask, offer
_WS = (32, 9, 10, 13, 44)  # white space and the comma
_QUOTE, _BACKSLASH, _OPEN, _CLOSE, _OPEN_OBJECT, _CLOSE_OBJECT, _COLON = 34, 92, 91, 93, 123, 125, 58
_EXPONENT = (69, 101, 43, 45)  # tuples: kernels would make a set anew at each look
_OPENING, _CLOSING = (_OPEN, _OPEN_OBJECT), (44, _CLOSE, _CLOSE_OBJECT)


@jit_lean
def _skip(text: Bytes, i: int) -> int:
    while i < len(text) and text[i] in _WS:
        i += 1
    return i


@jit_lean
def _significant(text: Bytes, start: int, end: int) -> int:
    """Digits of a number without sign and exponent, from the first that is not 0 on."""
    while start < end and (text[start] == 48 or text[start] == 46):
        start += 1
    digits = 0
    for i in range(start, end):
        digits += text[i] != 46
    return digits


@jit_lean
def _number(text: Bytes, i: int, rows: FloatArray, mantissas: Mantissas, n: int, column: int) -> int:
    """Read a number, quoted or not, at ``i`` into row ``n``; returns the index behind it or a reason.

    The value is NaN where it is left to Python, the mantissa ``NO_MANTISSA`` past 19 digits or with an exponent.
    """
    quoted = i < len(text) and text[i] == _QUOTE
    i += quoted
    if i < len(text) and text[i] == 45:
        return NEGATIVE
    start, places, seen_point, plain = i, 0, False, True
    total = np.uint64(0)
    while i < len(text):
        c = text[i]
        if 48 <= c <= 57:
            total = total * np.uint64(10) + np.uint64(c - 48)
            places += seen_point
        elif c == 46 and not seen_point:
            seen_point = True
        elif c in _EXPONENT and i > start:
            plain = False
        else:
            break
        i += 1
    digits = i - start - seen_point
    if digits < 1:
        return BAD
    if digits > _MOST_DIGITS:  # else the total has not begun anew at 2^64; leading zeros are not in it
        digits = _significant(text, start, i)
    if quoted:
        if i >= len(text) or text[i] != _QUOTE:
            return BAD
        i += 1
    exact = plain and digits <= _MOST_DIGITS and total <= _EXACT and places <= _MAX_PLACES
    mantissas[n, column] = total if plain and digits <= _MOST_DIGITS else NO_MANTISSA
    rows[n, column] = total / _POWERS[places] if exact else math.nan
    return i


@jit_lean
def _skip_string(text: Bytes, i: int) -> int:
    """Index behind the string that starts at ``i``."""
    i += 1
    while i < len(text) and text[i] != _QUOTE:
        i += 2 if text[i] == _BACKSLASH else 1
    return i + 1


@jit_lean
def _skip_scalar(text: Bytes, i: int) -> int:
    """Index behind a string, number or word; a nested value is not part of any level."""
    if i >= len(text) or text[i] in _OPENING:
        return BAD
    if text[i] == _QUOTE:
        return _skip_string(text, i)
    while i < len(text) and text[i] not in _CLOSING:
        i += 1
    return i


@jit_lean
def _is(text: Bytes, start: int, end: int, keys: Bytes, which: int) -> bool:
    """Whether ``text[start:end]`` is the which-th of ``keys`` (see ``pack_keys``)."""
    if end - start != keys[which]:
        return False
    at = 3
    for k in range(which):
        at += keys[k]
    for j in range(end - start):  # noqa: SIM110 (compiled: a generator would not be)
        if text[start + j] != keys[at + j]:
            return False
    return True


@jit_lean
def _pair(text: Bytes, i: int, rows: FloatArray, mantissas: Mantissas, n: int) -> int:
    """Read ``[price, size, ...]``, ``i`` behind the bracket, into row ``n``; it names no side."""
    rows[n, 2] = 0.0
    for column in range(2):
        i = _number(text, _skip(text, i), rows, mantissas, n, column)
        if i < 0:
            return i
    i = _skip(text, i)
    while i < len(text) and text[i] != _CLOSE:
        i = _skip_scalar(text, i)
        if i < 0:
            return i
        i = _skip(text, i)
    return i + 1


@jit_lean
def _object(text: Bytes, i: int, keys: Bytes, rows: FloatArray, mantissas: Mantissas, n: int) -> int:
    """Read ``{price_key: p, size_key: s, ...}`` into row ``n``; its third cell: first letter of ``keys[2]``'s value."""
    found = 0
    rows[n, 2] = 0.0
    while True:
        i = _skip(text, i)
        if i >= len(text):
            return BAD
        if text[i] == _CLOSE_OBJECT:
            return i + 1 if found == 3 else MISSING
        start, i = i + 1, _skip_string(text, i)
        end, i = i - 1, _skip(text, i)
        if i >= len(text) or text[i] != _COLON:
            return BAD
        i = _skip(text, i + 1)
        column = 0 if _is(text, start, end, keys, 0) else 1 if _is(text, start, end, keys, 1) else 2
        if column < 2:
            i = _number(text, i, rows, mantissas, n, column)
            found |= column + 1
        else:
            if _is(text, start, end, keys, 2) and i + 1 < len(text):
                rows[n, 2] = text[i + 1]
            i = _skip_scalar(text, i)
        if i < 0:
            return i


@jit_lean
def _scan(text: Bytes, keys: Bytes, rows: FloatArray, mantissas: Mantissas, n: int) -> int:
    """Scan a JSON list of levels into ``rows`` from row ``n`` on; returns the row behind the last, or a reason."""
    i = _skip(text, 0)
    if i >= len(text) or text[i] != _OPEN:
        return BAD
    i += 1
    while True:
        i = _skip(text, i)
        if i < len(text) and text[i] == _CLOSE:
            return n
        if i >= len(text) or n >= len(rows):
            return BAD
        if text[i] == _OPEN:
            i = _pair(text, i + 1, rows, mantissas, n)
        elif text[i] == _OPEN_OBJECT:
            i = _object(text, i + 1, keys, rows, mantissas, n)
        else:
            return BAD
        if i < 0:
            return i
        if rows[n, 0] <= 0.0:
            return NEGATIVE
        n += 1


@jit_lean
def _exactness(rows: FloatArray, mantissas: Mantissas, n: int) -> int:
    """Return 0, or ``NO_VALUE`` and ``UNCHECKED`` where rows have values or mantissas that are left to Python."""
    found = 0
    for i in range(n):
        for column in range(2):
            if mantissas[i, column] == NO_MANTISSA:
                found |= UNCHECKED
            if math.isnan(rows[i, column]):
                found |= NO_VALUE
    return found


@jit_lean
def scan_two(bids: Bytes, asks: Bytes, keys: Bytes, rows: FloatArray, mantissas: Mantissas) -> tuple[int, int, int]:
    """Scan two lists into ``rows`` ``(n, 3)``, price and size, and ``mantissas`` ``(n, 2)``: bids, then asks.

    Returns the number of bids or a reason, the number of all, and what ``_exactness`` says.
    ``keys`` (``pack_keys``) names price, size and side where levels are objects.
    """
    n_bids = _scan(bids, keys, rows, mantissas, 0)
    if n_bids < 0:
        return n_bids, 0, 0
    n = _scan(asks, keys, rows, mantissas, n_bids)
    if n < 0:
        return n, 0, 0
    return n_bids, n, _exactness(rows, mantissas, n)


@jit_lean
def deal(rows: FloatArray, n: int, pairs: FloatArray) -> int:
    """Write rows to ``pairs`` ``(n, 2)``, bids before asks by their side's first letter; returns the number of bids."""
    n_bids = 0
    for i in range(n):
        n_bids += rows[i, 2] == _BID
    bid, ask = 0, n_bids
    for i in range(n):
        if rows[i, 2] == _BID:
            pairs[bid, 0], pairs[bid, 1] = rows[i, 0], rows[i, 1]
            bid += 1
        elif rows[i, 2] in _ASK_LETTERS:
            pairs[ask, 0], pairs[ask, 1] = rows[i, 0], rows[i, 1]
            ask += 1
        else:
            return NO_SIDE
    return n_bids


@jit_lean
def scan_sides(
    text: Bytes, keys: Bytes, rows: FloatArray, mantissas: Mantissas, pairs: FloatArray
) -> tuple[int, int, int]:
    """Scan one list whose levels name their side; returns as ``scan_two`` does, the levels dealt out to ``pairs``."""
    n = _scan(text, keys, rows, mantissas, 0)
    if n < 0:
        return n, 0, 0
    return deal(rows, n, pairs), n, _exactness(rows, mantissas, n)


def levels_of(pairs: Iterable[tuple[str, str]]) -> Levels:
    """Return the levels of (price, size) texts that are no JSON list of their own.

    Raises:
        FrameError: one is not a number, negative or not finite, or a price of zero.
    """
    try:
        texts = [(price, size) for price, size in pairs]
        if not texts:  # most changes are of one side
            return NO_LEVELS
        foreign = not plain("".join(chain.from_iterable(texts)))
        levels = [(float(price), float(size)) for price, size in texts]
    except (TypeError, ValueError) as error:
        raise FrameError(f"not a price level: {error}") from error
    if foreign or not all(0 < price < math.inf and 0 <= size < math.inf for price, size in levels):
        raise FrameError("a price or size that is no number, negative or not finite")
    return Levels.of(levels)


def _level(price_value: Any, size_value: Any) -> tuple[float, float]:
    price, size = float_of(price_value), float_of(size_value)
    if price <= 0 or size < 0:
        raise FrameError(REASONS[NEGATIVE])
    return price, size


def as_levels(rows: FloatArray, n_bids: int, n: int) -> tuple[Levels, Levels]:
    """Return a copy of the first ``n`` rows ``(price, size)`` as bids, ``n_bids`` of them, and asks."""
    levels = rows[:n].copy()
    if n_bids == n:  # most changes are of one side
        return Levels(levels), NO_LEVELS
    if not n_bids:
        return NO_LEVELS, Levels(levels)
    return Levels(levels[:n_bids]), Levels(levels[n_bids:])


def pack_keys(price: str = "", size: str = "", side: str = "") -> Bytes:
    """Pack three JSON keys for ``scan``: their lengths, then their letters."""
    names = [price.encode(), size.encode(), side.encode()]
    return np.frombuffer(bytes(map(len, names)) + b"".join(names), np.uint8)


class LevelScanner:
    """Turns the JSON text of level lists into ``Levels``; holds the scratch space, so one per parser.

    After ``two`` the first rows of ``rows`` and ``mantissas`` hold what was read, until the next call.
    """

    def __init__(self, price: str = "", size: str = "", side: str = "") -> None:
        self._names = (price, size, side)
        self.keys = pack_keys(price, size, side)
        self._grow(1024)

    def _grow(self, n: int) -> None:
        self.rows = np.zeros((n, 3))
        self.mantissas = np.zeros((n, 2), np.uint64)
        self._pairs = np.zeros((n, 2))

    def _reserve(self, n_bytes: int) -> None:
        if n_bytes > 5 * len(self.rows):  # a level takes at least the five bytes of [1,2]
            self._grow(n_bytes // 4)

    def two(self, bids: bytes | msgspec.Raw, asks: bytes | msgspec.Raw) -> tuple[Levels, Levels]:
        """Read a level list of each side.

        Raises:
            FrameError: a text is not a list of price levels.
        """
        bid_text, ask_text = self.buffers(bids, asks)
        n_bids, n, exactness = scan_two(bid_text, ask_text, self.keys, self.rows, self.mantissas)
        if n_bids < 0 or exactness:
            self.settle(bids, asks, n_bids, exactness)
        return self.levels(n_bids, n)

    def buffers(self, bids: bytes | msgspec.Raw, asks: bytes | msgspec.Raw) -> tuple[Bytes, Bytes]:
        """Return both texts as arrays, with room made for all their levels."""
        bid_text, ask_text = np.frombuffer(bids, np.uint8), np.frombuffer(asks, np.uint8)
        self._reserve(len(bid_text) + len(ask_text))
        return bid_text, ask_text

    def settle(self, bids: bytes | msgspec.Raw, asks: bytes | msgspec.Raw, n_bids: int, exactness: int) -> None:
        """Read what the kernel left to Python.

        Raises:
            FrameError: there is nothing to read: ``n_bids`` is a reason.
        """
        if n_bids < 0:
            raise FrameError(REASONS[n_bids])
        if exactness & NO_VALUE:
            self._read_slowly(bytes(bids), 0)
            self._read_slowly(bytes(asks), n_bids)

    def levels(self, n_bids: int, n: int) -> tuple[Levels, Levels]:
        """Return the first ``n`` rows as bids and asks."""
        return as_levels(self.rows[:, :2], n_bids, n)

    def sides(self, text: bytes | msgspec.Raw) -> tuple[Levels, Levels]:
        """Read one level list whose levels name their side; returns bids and asks.

        Raises:
            FrameError: the text is not a list of price levels.
        """
        buffer = np.frombuffer(text, np.uint8)
        self._reserve(len(buffer))
        n_bids, n, exactness = scan_sides(buffer, self.keys, self.rows, self.mantissas, self._pairs)
        if n_bids < 0:
            raise FrameError(REASONS[n_bids])
        if exactness & NO_VALUE:
            self._read_slowly(bytes(text), 0)
            deal(self.rows, n, self._pairs)
        return as_levels(self._pairs, n_bids, n)

    def _read_slowly(self, text: bytes, at: int) -> None:
        """Read what the kernel left to Python: numbers of too many digits, or with an exponent."""
        price, size, _ = self._names
        try:
            decoded = msgspec.json.decode(text)
        except UNREADABLE as error:
            raise FrameError(f"{REASONS[BAD]}: {error}") from error
        for i, row in enumerate(decoded, at):
            pair = (row[price], row[size]) if isinstance(row, dict) else row[:2]
            self.rows[i, 0], self.rows[i, 1] = _level(*pair)
