"""What several venues' numbers are read with: the same number whoever writes it, and a reason where there is none."""

from collections.abc import Callable

import msgspec
import pytest

from producers.exchanges.reading import decimal_of, integer_of, price_of, size_of, text_of
from quicksilver.errors import FrameError
from quicksilver.orders import ONE


def test_numbers_are_read_from_texts_and_bytes() -> None:
    assert [integer_of(text) for text in ("12", b"12", "-3")] == [12, 12, -3]
    assert [decimal_of(text) for text in ("0", b"1.5", 2.5)] == [0.0, 1.5, 2.5]
    assert [price_of(text) for text in ("1e-7", b"64726.5")] == [1e-7, 64726.5]
    assert [size_of(text) for text in ("0", b"0.5")] == [0, ONE // 2]
    assert [text_of(msgspec.Raw(raw)) for raw in (b'"1.50"', b"1.50")] == ["1.50", "1.50"]


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (lambda text: integer_of(text, "trade id"), "1.5", "not a trade id: '1.5'"),
        (decimal_of, "x", "not a number: 'x'"),
        (decimal_of, "nan", "not a number: 'nan'"),
        (decimal_of, "1_0", "not a number: '1_0'"),
        (decimal_of, "\N{ARABIC-INDIC DIGIT ONE}", "not a number: "),
        (decimal_of, 10**320, "not a number: 1000"),
        (decimal_of, None, "not a number: None"),
        (decimal_of, True, "not a number: True"),
        (integer_of, b"1_0", "not a number: b'1_0'"),
        (decimal_of, -1.0, "not a price: -1.0"),
        (price_of, b"0.0", "not a price: b'0.0'"),
        (price_of, "1e400", "not a number: '1e400'"),
        (size_of, "-1", "not a size: '-1'"),
        (size_of, b"\xb7", "'utf-8' codec can't decode"),
        (text_of, b'"6\xb74"', "not a text: b'\"6\\xb74\"'"),
    ],
)
def test_what_is_no_number_is_refused_with_a_reason(
    read: Callable[[object], object], text: object, reason: str
) -> None:
    with pytest.raises(FrameError) as caught:
        read(text)
    assert str(caught.value).startswith(reason)
