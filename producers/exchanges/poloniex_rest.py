"""Poloniex's REST book, with which the one from the socket is compared.

https://api-docs.poloniex.com/spot/api/public/market-data#order-book (2026-11): ``/markets/BTC_USDT/orderBook`` answers
``{"time", "scale", "asks": [price, size, price, size, ...], "bids", "ts"}``, times in milliseconds: of the book's last
change, and of the answer. ``limit`` is at most 150 levels a side.
"""

import msgspec

from producers.exchanges.reading import decoded
from producers.levels import levels_of
from quicksilver.errors import FrameError
from quicksilver.events import Levels


class _Book(msgspec.Struct):
    asks: list[str]
    bids: list[str]
    time: int = 0


_decode = msgspec.json.Decoder(_Book).decode


def asked_for(url: str) -> str:
    """Return the pair of a book's address, ``BTC_USDT``; nothing if it is another address."""
    path = url.partition("?")[0]
    return path.removesuffix("/orderBook").rpartition("/")[2] if path.endswith("/orderBook") else ""


def book_of(payload: bytes) -> tuple[int, Levels, Levels]:
    """Return the time of a body in milliseconds, 0 if it says none, and its bids and asks.

    Raises:
        FrameError: it is none.
    """
    book = decoded(_decode, payload)
    if len(book.asks) % 2 or len(book.bids) % 2:
        raise FrameError("not a list of price levels: a price without a size")
    bids, asks = (levels_of(zip(side[::2], side[1::2], strict=True)) for side in (book.bids, book.asks))
    return book.time, bids, asks
