"""Coinbase's REST books, with which those from the sockets are compared.

Advanced Trade (https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-product-book,
2026-11): ``/api/v3/brokerage/market/product_book?product_id=BTC-USD&limit=1000`` answers ``{"pricebook": {"product_id",
"bids": [{"price", "size"}, ...], "asks", "time"}}``. It may come from a cache of a second before; on recordings it is
our book between the two messages around its ``time``, but for a level now and then.

Exchange (https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-book, 2026-11):
``/products/BTC-USD/book?level=2`` answers ``{"bids": [[price, size, orders], ...], "asks", "sequence", "time"}``. Its
number counts the messages of another channel (``full``) than the book's.
"""

from typing import NamedTuple

import msgspec

from producers.exchanges.reading import decoded
from producers.levels import LevelScanner
from producers.times import iso_to_ns
from quicksilver.errors import FrameError
from quicksilver.events import Levels

ADVANCED, EXCHANGE = "/product_book?", "/products/"


class RestBook(NamedTuple):
    """A body's product, time (0: it says none), number if any, bids and asks."""

    product: str
    ts_ns: int
    number: int | None
    bids: Levels
    asks: Levels


class _Book(msgspec.Struct):
    bids: msgspec.Raw
    asks: msgspec.Raw
    product_id: str = ""
    sequence: int | None = None
    time: str = ""


class _Body(msgspec.Struct):
    pricebook: _Book


_decode_advanced = msgspec.json.Decoder(_Body).decode
_decode_exchange = msgspec.json.Decoder(_Book).decode


class RestBooks:
    """Reads the bodies of both interfaces."""

    def __init__(self) -> None:
        self._objects = LevelScanner("price", "size")
        self._pairs = LevelScanner()

    def read(self, url: str, payload: bytes) -> RestBook | None:
        """Return the book of a response, None if it is the answer to something else.

        Raises:
            FrameError: the body is unreadable.
        """
        path = url.partition("?")[0]
        if ADVANCED in url or "://" not in url:  # some tapes do not say where they asked
            book, scanner = decoded(_decode_advanced, payload).pricebook, self._objects
            product = book.product_id
        elif EXCHANGE in path and path.endswith("/book"):
            book, scanner = decoded(_decode_exchange, payload), self._pairs
            product = path.removesuffix("/book").rpartition("/")[2]
        else:
            return None
        if "-" not in product:
            raise FrameError(f"not a Coinbase product: {product[:40]!r}")
        bids, asks = scanner.two(book.bids, book.asks)
        return RestBook(product, iso_to_ns(book.time) if book.time else 0, book.sequence, bids, asks)
