"""The rows of Bitstamp's books: levels, or orders."""

from typing import TypeAlias

import msgspec

from producers.exchanges.reading import decimal_of, decoded, size_of
from quicksilver.errors import FrameError
from quicksilver.events import Levels
from quicksilver.orders import OrderBook, OrderId

Rows: TypeAlias = list[tuple[str, str]]
Listed: TypeAlias = tuple[OrderId, int, float, int]
"""An order of a whole book: id, side, price, units."""
_rows = msgspec.json.Decoder(Rows).decode
_listed = msgspec.json.Decoder(list[tuple[str, str, str]]).decode


def rows_of(text: bytes | msgspec.Raw) -> Rows:
    """Return the rows of a pushed book's side, price and size.

    Raises:
        FrameError: it is none.
    """
    return decoded(_rows, bytes(text))


def listed_orders(bids: bytes | msgspec.Raw, asks: bytes | msgspec.Raw) -> list[Listed]:
    """Return the orders of a REST book whose rows name them; nothing where rows are levels.

    >>> listed_orders(b'[["1.5", "2", "77"]]', b"[]"), listed_orders(b'[["1.5", "2"]]', b"[]")
    ([(77, 0, 1.5, 2000000000000000000)], [])

    Raises:
        FrameError: it is no book of orders.
    """
    texts = bytes(bids), bytes(asks)
    if not any(text[: text.find(b"]")].count(b",") > 1 for text in texts):
        return []
    rows = [(side, row) for side, text in enumerate(texts) for row in decoded(_listed, text)]
    try:
        return [(int(number), side, decimal_of(price), size_of(amount)) for side, (price, amount, number) in rows]
    except ValueError as error:
        raise FrameError(f"a book of orders whose orders have no number: {error}") from error


def folded(listed: list[Listed]) -> tuple[Levels, Levels]:
    """Return the levels of a list of orders."""
    book = OrderBook()
    book.load(listed)
    fold = book.whole()
    return fold.bids, fold.asks
