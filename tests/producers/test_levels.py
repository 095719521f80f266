"""The compiled scanner reads what ``float`` reads, to the bit, and refuses what is not a list of levels."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.levels import NO_MANTISSA, LevelScanner, levels_of
from quicksilver.errors import FrameError
from quicksilver.events import NO_LEVELS, Levels

digits = st.text("0123456789", min_size=1, max_size=24)
decimals = st.one_of(digits, st.tuples(digits, digits).map(".".join), st.floats(0, 1e300).map(repr))
positive = decimals.filter(lambda text: 0 < float(text) < float("inf"))
levels = st.lists(st.tuples(positive, decimals.filter(lambda text: float(text) < float("inf"))), max_size=8)
PAIRS, KRAKEN = LevelScanner(), LevelScanner("price", "qty")
COINBASE = LevelScanner("price_level", "new_quantity", "side")


def expected(rows: list[tuple[str, str]]) -> Levels:
    return Levels.of([(float(price), float(size)) for price, size in rows])


@given(rows=levels)
@settings(max_examples=300, deadline=None)
def test_pairs_of_quoted_decimals_equal_float(rows: list[tuple[str, str]]) -> None:
    text = json.dumps(rows).encode()
    assert PAIRS.two(text, b"[]") == (expected(rows), NO_LEVELS)
    assert PAIRS.two(text, text) == (expected(rows), expected(rows))


@given(rows=st.lists(st.tuples(st.floats(1e-9, 1e12), st.floats(0, 1e12)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_objects_of_bare_numbers_equal_float(rows: list[tuple[float, float]]) -> None:
    text = json.dumps([{"extra": "x", "qty": size, "price": price} for price, size in rows])
    assert KRAKEN.two(b"[]", text.encode()) == (NO_LEVELS, Levels.of(rows))


@given(rows=st.lists(st.tuples(st.sampled_from(["bid", "offer"]), positive, digits), max_size=8))
@settings(max_examples=100, deadline=None)
def test_sided_rows_are_dealt_out_in_order(rows: list[tuple[str, str, str]]) -> None:
    text = json.dumps(
        [{"side": side, "event_time": "t", "price_level": price, "new_quantity": size} for side, price, size in rows]
    )
    bids, asks = COINBASE.sides(text.encode())
    assert bids == expected([(price, size) for side, price, size in rows if side == "bid"])
    assert asks == expected([(price, size) for side, price, size in rows if side == "offer"])


def test_mantissas_are_the_digits_without_point_and_leading_zeros() -> None:
    KRAKEN.two(b'[{"price":64732.0,"qty":0.07725097}]', b'[{"price":0.00005100,"qty":0.00000000}]')
    assert KRAKEN.mantissas[:2].tolist() == [[647320, 7725097], [5100, 0]]
    KRAKEN.two(b'[{"price":1e5,"qty":123456789012345678901.5}]', b"[]")
    assert (KRAKEN.mantissas[0] == NO_MANTISSA).all()
    np.testing.assert_array_equal(KRAKEN.rows[0, :2], [1e5, 123456789012345678901.5])


@given(st.integers(1, 2**70 // 10**18).map(lambda k: str(k << 64)), st.integers(0, 22))
@settings(max_examples=200, deadline=None)
def test_digits_beyond_64_bits_do_not_begin_anew_at_zero(number: str, places: int) -> None:
    """A size whose digits are 2^64 is no removal."""
    number = number.zfill(places + 1)
    text = f"{number[: len(number) - places]}.{number[len(number) - places :]}0"
    assert PAIRS.two(b"[]", f'[["1.00","{text}"]]'.encode()) == (NO_LEVELS, Levels.of([(1.0, float(text))]))
    assert PAIRS.mantissas[0, 1] == NO_MANTISSA
    sided = f'[{{"side":"bid","price_level":"{text}","new_quantity":"{text}"}}]'
    assert COINBASE.sides(sided.encode()) == (Levels.of([(float(text), float(text))]), NO_LEVELS)


@pytest.mark.parametrize(
    "text",
    [
        b"[[1" + b"0" * 320 + b",1]]",
        b'[["1e0",1' + b"0" * 320 + b"]]",
        b'[{"price":1e0,"qty":1,"pri\\u0063e":null}]',
        b'[{"price":1e0,"qty":1,"pri\\u0063e":true}]',
        b'[{"price":1e0,"qty":1,"qt\\u0079":"1_0"}]',
        b'[{"price":1e0,"qty":1,"qt\\u0079":[]}]',
    ],
    ids=lambda text: repr(text[:50]),
)
def test_what_the_kernel_leaves_to_python_is_refused_there(text: bytes) -> None:
    with pytest.raises(FrameError):
        KRAKEN.two(text, b"[]")


@pytest.mark.parametrize(
    "pair",
    [("1_0", "1"), ("1", "\N{ARABIC-INDIC DIGIT ONE}"), (10**320, "1"), (None, "1"), ("0", "1"), ("1", "-1"), "1", 1],
    ids=lambda pair: repr(pair)[:20],
)
def test_pairs_that_are_no_levels_are_refused(pair: Any) -> None:
    with pytest.raises(FrameError):
        levels_of([pair])


BAD = [
    b"", b"[", b"{}", b"null", b"[[]]", b"[[1]]", b'[["a","b"]]', b"[[-1,2]]", b"[[1,-2]]", b"[[0,2]]", b'[["",""]]',
    b"[[1,2]", b'[["1","2]]', b'[["1.2.3","4"]]', b'[["1e","2"]]', b'[["1e999","2"]]', b"[[[1],2]]", b"[1,2]",
    b'[["nan","1"]]', b'[["1","inf"]]',
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_level_list_is_refused(text: bytes) -> None:
    for scanner in (PAIRS, KRAKEN, COINBASE):
        with pytest.raises(FrameError):
            scanner.two(text, b"[]")
        with pytest.raises(FrameError):
            scanner.two(b"[]", text)


@pytest.mark.parametrize(
    "text",
    [
        b'[{"price_level":"1","new_quantity":"2"}]',
        b'[{"side":"x","price_level":"1","new_quantity":"2"}]',
        b'[{"side":"bid","price_level":"1","price_level":"2"}]',
        b'[{"side":"bid","price_level":"1","new_quantity":[2]}]',
    ],
)
def test_a_row_without_a_side_or_a_size_is_refused(text: bytes) -> None:
    COINBASE.sides(b'[{"side":"bid","price_level":"1","new_quantity":"2"}]')  # nothing of it may be left over
    with pytest.raises(FrameError):
        COINBASE.sides(text)


@given(text=st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_junk_is_read_or_refused_never_worse(text: bytes) -> None:
    for scanner in (PAIRS, KRAKEN, COINBASE):
        with suppress(FrameError):
            scanner.sides(b"[" + text + b"]")
        with suppress(FrameError):
            scanner.two(b"[" + text + b"]", text)
