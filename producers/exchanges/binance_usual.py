"""Binance's usual messages in one compiled pass: depthUpdate, trade and aggTrade, with or without an envelope.

Their fields are those of ``binance.py``, in any order, as spot and futures have different ones; each at most once, and
nothing with white space, an escape, a sign or an exponent: see ``producers/usual.py``.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from producers.levels import Mantissas
from producers.usual import OTHER, after, decimal, integer, letters, levels
from quicksilver.compiled import jit_lean
from quicksilver.events import FloatArray

Fields: TypeAlias = NDArray[np.int64]
DEPTH, TRADE, AGG_TRADE = 0, 1, 2
MESSAGE_KINDS = ("depthUpdate", "trade", "aggTrade")
_TEXTS = tuple(letters(f'"{kind}"') for kind in MESSAGE_KINDS)
_QUOTE, _BACKSLASH, _OPEN, _COMMA = 34, 92, 91, 44
# A key of one letter is its code, and the place of its value among the fields; others are below the letters.
_LONGER, _BEFORE, _PAIR_END, _BIDS_END, _ASKS_END, N_FIELDS = 0, 1, 2, 3, 4, 128
_KIND, _TIME, _PAIR, _FIRST, _LAST, _BIDS, _ASKS = 101, 69, 115, 85, 117, 98, 97  # e E s U u b a
_PRICE, _SIZE, _TRADE_TIME, _NUMBER, _MAKER = 112, 113, 84, 116, 109  # p q T t m
_SIDES, _DECIMALS, _TRADES = (_BIDS, _ASKS), (_PRICE, _SIZE), (TRADE, AGG_TRADE)  # a set would be made at each look
_INTEGERS = (_TIME, _TRADE_TIME, _FIRST, _LAST, _BEFORE, _NUMBER, _BIDS, _ASKS)
_HEAD, _MIDDLE, _TAIL, _COLON = letters('["'), letters('","'), letters('"]'), letters(":")
_STREAM, _DATA, _BRACE, _CLOSE = letters('{"stream":"'), letters(',"data":'), letters("{"), letters("}")
_MARK, _TRUE, _FALSE = letters('"'), letters("true"), letters("false")
_NONE = -1  # of a field that was not there


@jit_lean
def _plain(text: bytes, i: int) -> int:
    """Index behind the end of a string whose letters are ASCII without escapes, from behind its first quote on."""
    while 0 <= i < len(text) and text[i] != _QUOTE:
        if not 32 <= text[i] < 127 or text[i] == _BACKSLASH:
            return OTHER
        i += 1
    return i + 1 if 0 <= i < len(text) else OTHER


@jit_lean
def _pair(text: bytes, i: int) -> int:
    """Index of the quote that ends a pair's name, which has capitals, digits and the underscore."""
    start = i
    while 0 <= i < len(text) and (65 <= text[i] <= 90 or 48 <= text[i] <= 57 or text[i] == 95):
        i += 1
    return i if i > start and i < len(text) and text[i] == _QUOTE else OTHER


@jit_lean
def _key(text: bytes, i: int) -> tuple[int, int]:
    """Index behind ``"key":``, and the key's code."""
    start = after(text, i, _MARK)
    behind = _plain(text, start)
    code, n = _LONGER, behind - 1 - start
    if n == 1:
        code = int(text[start])
    elif n == 2 and text[start] == _PRICE and text[start + 1] == _LAST:  # pu
        code = _BEFORE
    return after(text, behind, _COLON), code


@jit_lean
def _word(text: bytes, i: int) -> tuple[int, int]:
    """Index behind true or false, and which."""
    no = after(text, i, _FALSE)
    return (no, 0) if no > 0 else (after(text, i, _TRUE), 1)


@jit_lean
def _scalar(text: bytes, i: int) -> int:
    """Index behind a value that nobody asks for."""
    if 0 <= i < len(text) and text[i] == _QUOTE:
        return _plain(text, i + 1)
    behind, _ = integer(text, i)
    if behind < 0:
        behind, _ = _word(text, i)
    return behind


@jit_lean
def _kind(text: bytes, i: int) -> tuple[int, int]:
    for kind in range(len(_TEXTS)):
        behind = after(text, i, _TEXTS[kind])
        if behind > 0:
            return behind, kind
    return OTHER, _NONE


@jit_lean
def _side(text: bytes, i: int, code: int, fields: Fields, at: int, rows: FloatArray, mantissas: Mantissas) -> int:
    """Read a side's levels: bids from row ``at`` on, asks behind them, which must not come first."""
    bids = code == _BIDS
    if not bids and fields[_BIDS_END] < 0:
        return OTHER
    i, end = levels(text, i, at if bids else fields[_BIDS_END], _HEAD, _MIDDLE, _TAIL, rows, mantissas)
    fields[_BIDS_END if bids else _ASKS_END] = end
    fields[code] = 0  # it was there
    return i


@jit_lean
def _value(text: bytes, i: int, code: int, fields: Fields, at: int, rows: FloatArray, mantissas: Mantissas) -> int:
    """Read the value of a key into its field; a price and a size into row ``at``. Returns the index behind it."""
    if code in _SIDES and 0 <= i < len(text) and text[i] == _OPEN:
        return _side(text, i, code, fields, at, rows, mantissas)
    if code in _INTEGERS:
        i, fields[code] = integer(text, i)
    elif code in _DECIMALS:
        i, rows[at, code - _PRICE], _ = decimal(text, after(text, i, _MARK))
        i, fields[code] = after(text, i, _MARK), 1
    elif code == _PAIR:
        fields[code] = i + 1
        fields[_PAIR_END] = _pair(text, after(text, i, _MARK))
        i = after(text, fields[_PAIR_END], _MARK)
    elif code == _KIND:
        i, fields[code] = _kind(text, i)
    elif code == _MAKER:
        i, fields[code] = _word(text, i)
    else:
        i = _scalar(text, i)
    return i


@jit_lean
def _object(text: bytes, i: int, fields: Fields, at: int, rows: FloatArray, mantissas: Mantissas) -> int:
    """Read all fields of an object from its first key on; returns the index behind it."""
    while i >= 0:
        i, code = _key(text, i)
        if i < 0 or code >= N_FIELDS or (code != _LONGER and fields[code] != _NONE):
            return OTHER
        i = _value(text, i, code, fields, at, rows, mantissas)
        if i < 0 or i >= len(text) or text[i] != _COMMA:
            return after(text, i, _CLOSE)
        i += 1
    return OTHER


@jit_lean
def read_usual(
    text: bytes, fields: Fields, at: int, rows: FloatArray, mantissas: Mantissas
) -> tuple[int, int, int, int, int, int, int, int]:
    """Read a message; its levels are in ``rows`` from ``at`` on, as in ``LevelBlock``; ``fields`` is scratch space.

    Returns the kind or ``OTHER``, where the pair's name begins and ends, and the time in milliseconds; then of a
    depthUpdate the number of the change before it, of its last, where the bids end in ``rows``, and where the asks do;
    of a trade its number, whether the buyer was the maker, and ``at`` twice: price and size are in that row.
    """
    fields[:] = _NONE
    start = after(text, 0, _STREAM)
    i = 0 if start < 0 else after(text, _plain(text, start), _DATA)
    i = _object(text, after(text, i, _BRACE), fields, at, rows, mantissas)
    whole = (i if start < 0 else after(text, i, _CLOSE)) == len(text)
    kind, pair, end, sides = fields[_KIND], fields[_PAIR], fields[_PAIR_END], fields[_ASKS_END]
    if not whole or end < 0:
        return OTHER, 0, 0, 0, 0, 0, 0, 0
    if kind == DEPTH and fields[_TIME] >= 0 and sides >= 0 and 0 <= fields[_FIRST] <= fields[_LAST]:
        before = fields[_BEFORE] if fields[_BEFORE] >= 0 else fields[_FIRST] - 1
        return kind, pair, end, fields[_TIME], before, fields[_LAST], fields[_BIDS_END], sides
    number = fields[_NUMBER] if kind == TRADE else fields[_ASKS]
    complete = number >= 0 and fields[_TRADE_TIME] >= 0 and fields[_MAKER] >= 0 and fields[_PRICE] + fields[_SIZE] == 2
    if kind in _TRADES and complete and fields[_BIDS_END] < 0:
        return kind, pair, end, fields[_TRADE_TIME], number, fields[_MAKER], at, at
    return OTHER, 0, 0, 0, 0, 0, 0, 0
