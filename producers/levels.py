"""Price levels out of JSON text: one compiled scanner for every venue's way to write them.

It reads ``[["64726.5","1.2"], ...]`` and ``[{"price":64726.5,"qty":1.2}, ...]`` alike, and Coinbase's rows that name
their side. A decimal of at most 2^53 and 22 places is its integer mantissa over a power of ten, both exact doubles,
so one division rounds correctly and gives ``float(text)`` to the bit (Clinger, How to read floating point numbers
accurately, 1990); anything longer is left to Python. The mantissa itself is what Kraken's checksum is made of.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.errors import FrameError
from quicksilver.events import NO_LEVELS, FloatArray, Levels

Bytes = NDArray[np.uint8]
Mantissas = NDArray[np.uint64]
Flags = NDArray[np.bool_]

BAD, MISSING, NEGATIVE = -1, -2, -3
REASONS = {
    BAD: "not a list of price levels",
    MISSING: "a level without price or size",
    NEGATIVE: "a negative price or size, or a price of zero",
}
_EXACT = 1 << 53
NO_MANTISSA = np.uint64(2**64 - 1)
_MAX_PLACES = 22
_POWERS = 10.0 ** np.arange(_MAX_PLACES + 1)
_WS = (32, 9, 10, 13, 44)  # white space and the comma
_QUOTE, _BACKSLASH, _OPEN, _CLOSE, _OPEN_OBJECT, _CLOSE_OBJECT, _COLON = 34, 92, 91, 93, 123, 125, 58


@jit
def _skip(text: Bytes, i: int) -> int:
    while i < len(text) and text[i] in _WS:
        i += 1
    return i


@jit
def _number(text: Bytes, i: int, value: FloatArray, mantissa: Mantissas) -> int:
    """Read a number, quoted or not, at ``i``; returns the index behind it or a reason.

    The value is NaN where it is left to Python, the mantissa ``NO_MANTISSA`` past 19 digits or with an exponent.
    """
    quoted = i < len(text) and text[i] == _QUOTE
    i += quoted
    if i < len(text) and text[i] == 45:
        return NEGATIVE
    start, digits, places, seen_point, plain = i, 0, 0, False, True
    total = np.uint64(0)
    while i < len(text):
        c = text[i]
        if 48 <= c <= 57:
            total = total * np.uint64(10) + np.uint64(c - 48)
            digits += total > 0
            places += seen_point
        elif c == 46 and not seen_point:
            seen_point = True
        elif c in {69, 101, 43, 45} and i > start:
            plain = False
        else:
            break
        i += 1
    if i - start - seen_point < 1:
        return BAD
    if quoted:
        if i >= len(text) or text[i] != _QUOTE:
            return BAD
        i += 1
    exact = plain and digits <= 19 and total <= _EXACT and places <= _MAX_PLACES
    mantissa[0] = total if plain and digits <= 19 else NO_MANTISSA
    value[0] = total / _POWERS[places] if exact else math.nan
    return i


@jit
def _skip_string(text: Bytes, i: int) -> int:
    """Index behind the string that starts at ``i``."""
    i += 1
    while i < len(text) and text[i] != _QUOTE:
        i += 2 if text[i] == _BACKSLASH else 1
    return i + 1


@jit
def _skip_scalar(text: Bytes, i: int) -> int:
    """Index behind a string, number or word; a nested value is not part of any level."""
    if i >= len(text) or text[i] in {_OPEN, _OPEN_OBJECT}:
        return BAD
    if text[i] == _QUOTE:
        return _skip_string(text, i)
    while i < len(text) and text[i] not in {44, _CLOSE, _CLOSE_OBJECT}:
        i += 1
    return i


@jit
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


@jit
def _pair(text: Bytes, i: int, row: FloatArray, mantissas: Mantissas) -> int:
    """Read ``[price, size, ...]``, ``i`` behind the bracket."""
    for column in range(2):
        i = _number(text, _skip(text, i), row[column : column + 1], mantissas[column : column + 1])
        if i < 0:
            return i
    i = _skip(text, i)
    while i < len(text) and text[i] != _CLOSE:
        i = _skip_scalar(text, i)
        if i < 0:
            return i
        i = _skip(text, i)
    return i + 1


@jit
def _object(text: Bytes, i: int, keys: Bytes, row: FloatArray, mantissas: Mantissas) -> int:
    """Read ``{price_key: p, size_key: s, ...}``; ``row[2]`` is the first letter of ``keys[2]``'s value."""
    found = 0
    row[2] = 0.0
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
            i = _number(text, i, row[column : column + 1], mantissas[column : column + 1])
            found |= column + 1
        else:
            if _is(text, start, end, keys, 2) and i + 1 < len(text):
                row[2] = text[i + 1]
            i = _skip_scalar(text, i)
        if i < 0:
            return i


@jit
def scan(  # noqa: PLR0911 (each return is a reason)
    text: Bytes, keys: Bytes, rows: FloatArray, mantissas: Mantissas, inexact: Flags
) -> int:
    """Scan a JSON list of levels into ``rows`` ``(n, 3)``: price, size, side letter; returns n or a reason.

    ``keys`` (``pack_keys``) names price, size and side where levels are objects. ``mantissas`` is ``(n, 2)``.
    ``inexact[0]`` is set where some number is left to Python.
    """
    i = _skip(text, 0)
    if i >= len(text) or text[i] != _OPEN:
        return BAD
    i, n = i + 1, 0
    while True:
        i = _skip(text, i)
        if i >= len(text):
            return BAD
        if text[i] == _CLOSE:
            return n
        if n >= len(rows):
            return BAD
        if text[i] == _OPEN:
            i = _pair(text, i + 1, rows[n], mantissas[n])
        elif text[i] == _OPEN_OBJECT:
            i = _object(text, i + 1, keys, rows[n], mantissas[n])
        else:
            return BAD
        if i < 0:
            return i
        if rows[n, 0] <= 0.0:
            return NEGATIVE
        if math.isnan(rows[n, 0]) or math.isnan(rows[n, 1]):
            inexact[0] = True
        n += 1


@jit
def split(rows: FloatArray, n: int, bid: int, bids: FloatArray, asks: FloatArray) -> int:
    """Deal rows out to ``bids`` and ``asks`` ``(n, 2)`` by their side's first letter; returns the number of bids."""
    n_bids, n_asks = 0, 0
    for i in range(n):
        side = rows[i, 2]
        if side == bid:
            bids[n_bids, 0], bids[n_bids, 1] = rows[i, 0], rows[i, 1]
            n_bids += 1
        elif side in {97.0, 111.0}:  # ask, offer
            asks[n_asks, 0], asks[n_asks, 1] = rows[i, 0], rows[i, 1]
            n_asks += 1
        else:
            return MISSING
    return n_bids


def pack_keys(price: str = "", size: str = "", side: str = "") -> Bytes:
    """Pack three JSON keys for ``scan``: their lengths, then their letters."""
    names = [price.encode(), size.encode(), side.encode()]
    return np.frombuffer(bytes(map(len, names)) + b"".join(names), np.uint8)


class LevelScanner:
    """Turns the JSON text of a level list into ``Levels``; holds the scratch space, so one per parser.

    After a call ``rows[:n]`` and ``mantissas[:n]`` hold what was read, until the next.
    """

    def __init__(self, price: str = "", size: str = "", side: str = "") -> None:
        self._names = (price, size, side)
        self._keys = pack_keys(price, size, side)
        self._inexact = np.zeros(1, np.bool_)
        self._grow(1024)

    def _grow(self, n: int) -> None:
        self.rows = np.zeros((n, 3))
        self.mantissas = np.zeros((n, 2), np.uint64)

    def scan(self, text: bytes | msgspec.Raw) -> int:
        """Read a level list into ``rows`` and ``mantissas`` and return its length.

        Raises:
            FrameError: the text is not a list of price levels.
        """
        buffer = np.frombuffer(text, np.uint8)
        if len(buffer) > 5 * len(self.rows):  # a level takes at least the five bytes of [1,2]
            self._grow(len(buffer) // 4)
        n = scan(buffer, self._keys, self.rows, self.mantissas, self._inexact)
        if n < 0:
            raise FrameError(REASONS[n])
        if self._inexact[0]:
            self._read_slowly(bytes(text))
        return int(n)

    def _read_slowly(self, text: bytes) -> None:
        self._inexact[0] = False
        price, size, _ = self._names
        for i, row in enumerate(msgspec.json.decode(text)):
            pair = (row[price], row[size]) if isinstance(row, dict) else row[:2]
            try:
                self.rows[i, :2] = [float(value) for value in pair]
            except ValueError as error:
                raise FrameError(f"{REASONS[BAD]}: {error}") from error
            if not np.all(np.isfinite(self.rows[i, :2])):
                raise FrameError(f"{REASONS[BAD]}: a number that is not finite")

    def levels(self, text: bytes | msgspec.Raw) -> Levels:
        """Read a level list of one side.

        Raises:
            FrameError: the text is not a list of price levels.
        """
        n = self.scan(text)
        return Levels(self.rows[:n, :2].copy()) if n else NO_LEVELS

    def sides(self, text: bytes | msgspec.Raw, bid: str = "b") -> tuple[Levels, Levels]:
        """Read a level list whose rows name their side; returns bids (side begins with ``bid``) and asks.

        Raises:
            FrameError: the text is not a list of price levels.
        """
        n = self.scan(text)
        bids, asks = np.empty((n, 2)), np.empty((n, 2))
        n_bids = split(self.rows, n, ord(bid), bids, asks)
        if n_bids < 0:
            raise FrameError("a level that is neither bid nor ask")
        return Levels(bids[:n_bids]), Levels(asks[: n - n_bids])
