"""Usual messages, read to the letter: compiled, in one pass, nothing decoded twice.

One program at the venue writes a kind of message, and always in the same way. These kernels read what is written in
that way and say ``OTHER`` at the first letter that is not: the message then goes the general way, which alone decides
what is an error. So they are strict: what they accept the general way reads too, and to the same event, bit for bit
(``tests/producers/test_usual.py`` holds them to it). Of numbers they accept those that one exact division gives (see
``levels.py``).
"""

import numpy as np

from producers.levels import Bytes, Mantissas
from quicksilver.compiled import jit_lean
from quicksilver.events import NO_LEVELS, FloatArray, Levels

OTHER = -1
MOST_LEVELS = 512  # there is room for at least as many of one message; more are a whole book's, or rare
BLOCK_LEVELS = 4 * MOST_LEVELS  # 32 kB: a few hundred messages
_MOST_DIGITS = 18  # fit into 64 bits with a sign
_EXACT = 1 << 53  # integers up to it are exact doubles
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)
_SCALE = 10 ** np.arange(10, dtype=np.int64)
_ZERO, _NINE, _POINT, _COMMA, _OPEN, _CLOSE, _Z = 48, 57, 46, 44, 91, 93, 90
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FIRST_YEAR, _LAST_YEAR = 1971, 2115


def letters(text: str) -> Bytes:
    """Return a text that kernels look for; a constant of bytes they would make anew at each look."""
    return np.frombuffer(text.encode(), np.uint8)


@jit_lean
def after(text: bytes, i: int, literal: Bytes) -> int:
    """Index behind ``literal``, where the text goes on with it at ``i``; ``OTHER`` where not, and where ``i`` is."""
    if i < 0 or i + len(literal) > len(text):
        return OTHER
    for k in range(len(literal)):
        if text[i + k] != literal[k]:
            return OTHER
    return i + len(literal)


@jit_lean
def integer(text: bytes, i: int) -> tuple[int, int]:
    """Index behind a whole number of JSON, without a sign, and its value."""
    start, total = i, 0
    while 0 <= i < len(text) and _ZERO <= text[i] <= _NINE:
        total = total * 10 + (text[i] - _ZERO)
        i += 1
    n = i - start
    if n < 1 or n > _MOST_DIGITS or (n > 1 and text[start] == _ZERO):
        return OTHER, 0
    return i, total


@jit_lean
def decimal(text: bytes, i: int) -> tuple[int, float, int]:
    """Index behind a decimal of JSON without sign and exponent, its value, and its digits without the point."""
    start, total = i, 0
    while 0 <= i < len(text) and _ZERO <= text[i] <= _NINE:
        total = total * 10 + (text[i] - _ZERO)
        i += 1
    digits, places = i - start, 0
    if digits < 1 or (digits > 1 and text[start] == _ZERO):
        return OTHER, 0.0, 0
    if i < len(text) and text[i] == _POINT:
        i += 1
        point = i
        while i < len(text) and _ZERO <= text[i] <= _NINE:
            total = total * 10 + (text[i] - _ZERO)
            i += 1
        places = i - point
        if places < 1:
            return OTHER, 0.0, 0
    if digits + places > _MOST_DIGITS or total > _EXACT:
        return OTHER, 0.0, 0
    return i, total / _POWERS[places], total


@jit_lean
def levels(
    text: bytes, i: int, n: int, head: Bytes, middle: Bytes, tail: Bytes, pairs: FloatArray, mantissas: Mantissas
) -> tuple[int, int]:
    """Read a list of levels ``head price middle size tail`` into rows ``n`` and on; index behind it, and rows then."""
    if i < 0 or i + 1 >= len(text) or text[i] != _OPEN:
        return OTHER, n
    if text[i + 1] == _CLOSE:
        return i + 2, n
    while n < len(pairs):
        i, price, mantissas[n, 0] = decimal(text, after(text, i + 1, head))
        i, size, mantissas[n, 1] = decimal(text, after(text, i, middle))
        i = after(text, i, tail)
        if i < 0 or i >= len(text) or price <= 0.0:
            return OTHER, n
        pairs[n, 0], pairs[n, 1] = price, size
        n += 1
        if text[i] == _CLOSE:
            return i + 1, n
        if text[i] != _COMMA:
            return OTHER, n
    return OTHER, n


@jit_lean
def _two(text: bytes, i: int) -> int:
    """Two digits as a number; hundreds where there are none."""
    high, low = text[i] - _ZERO, text[i + 1] - _ZERO
    return high * 10 + low if 0 <= high <= 9 and 0 <= low <= 9 else 1000


@jit_lean
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970 to a day of the Gregorian calendar, ``OTHER`` if there is none such."""
    if not (_FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12):
        return OTHER
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN_MONTH[month] + (leap and month == 2):
        return OTHER
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719_162
    for m in range(1, month):
        days += _DAYS_IN_MONTH[m]
    return days + (leap and month > 2) + day - 1


@jit_lean
def iso_time(text: bytes, i: int) -> tuple[int, int]:
    """Index behind ``2026-08-09T05:23:43.523084Z`` (nine decimals at most), and nanoseconds since 1970."""
    if i < 0 or i + 20 > len(text):
        return OTHER, 0
    if not (text[i + 4] == text[i + 7] == 45 and text[i + 10] == 84 and text[i + 13] == text[i + 16] == 58):
        return OTHER, 0
    days = _days(_two(text, i) * 100 + _two(text, i + 2), _two(text, i + 5), _two(text, i + 8))
    hour, minute, second = _two(text, i + 11), _two(text, i + 14), _two(text, i + 17)
    if days < 0 or hour > 23 or minute > 59 or second > 59:
        return OTHER, 0
    i += 19
    total, places = 0, 0
    if text[i] == _POINT:
        start = i + 1
        i = start
        while i < len(text) and _ZERO <= text[i] <= _NINE:
            total = total * 10 + (text[i] - _ZERO)
            i += 1
        places = i - start
        if not 1 <= places <= 9:
            return OTHER, 0
    if i >= len(text) or text[i] != _Z:
        return OTHER, 0
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return i + 1, seconds * _SCALE[9] + total * _SCALE[9 - places]


class LevelBlock:
    """Where ``levels`` puts what it reads: ``rows`` ``(n, 2)`` and ``mantissas`` ``(n, 2)``, from row ``at`` on.

    What is taken is not copied: each row is given away once. A block lives as long as any of its levels does.
    """

    def __init__(self) -> None:
        self.mantissas = np.zeros((BLOCK_LEVELS, 2), np.uint64)
        self._renew()

    def _renew(self) -> None:
        self.rows: FloatArray = np.zeros((BLOCK_LEVELS, 2))
        self.at = 0

    def take(self, middle: int, end: int) -> tuple[Levels, Levels]:
        """Return the rows from ``at`` to ``middle`` as bids and from there to ``end`` as asks, for good."""
        rows, at = self.rows, self.at
        bids = Levels(rows[at:middle]) if middle > at else NO_LEVELS
        asks = Levels(rows[middle:end]) if end > middle else NO_LEVELS
        self.at = end
        if end + MOST_LEVELS > BLOCK_LEVELS:
            self._renew()
        return bids, asks
