"""Binance's public streams and REST book, spot: what is sent and fetched. What comes is read in ``binance.py``."""

from collections.abc import Sequence

import msgspec

from producers.exchanges.binance_listings import EXCHANGE_INFO
from producers.exchanges.binance_names import native_of
from producers.exchanges.feed import FetchedBookFeed
from producers.exchanges.limits import Limits, Rate


class BinanceFeed(FetchedBookFeed):
    """Binance's public streams and REST book, from the addresses for market data alone.

    https://developers.binance.com/docs/binance-spot-api-docs/faqs/market_data_only
    """

    url = "wss://data-stream.binance.vision/stream"
    rest_url = "https://data-api.binance.vision"
    book_path = "/api/v3/depth"
    books: tuple[tuple[int, int], ...] = ((5000, 250), (1000, 50), (500, 25))  # levels a side, and their weight
    farewell = b'"serverShutdown"'
    ping = '{"method":"LIST_SUBSCRIPTIONS","id":0}'  # its own pings are no messages
    settle_s = 0.5  # the first change has to come before the book
    listings = EXCHANGE_INFO
    limits = Limits(
        "https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#websocket-limits"
        " and .../rest-api/market-data-endpoints (2026-11)",
        connections=Rate(300, 300), messages=Rate(4, 1), channels=1024, lifetime_s=86_400, rest=Rate(6000, 60),
        audit_weight=25, listings_weight=20,
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the message that subscribes to changes and trades."""
        return [self._request("SUBSCRIBE", symbols)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the message that ends one symbol's changes and trades."""
        return [self._request("UNSUBSCRIBE", [symbol])]

    @property
    def _book(self) -> tuple[int, int]:
        """How deep books are fetched, and what that weighs: all of them are to be there a minute after a break."""
        within = (one for one in self.books if one[1] * len(self.symbols) <= self.limits.rest.n)
        return next(within, self.books[-1])

    @property
    def book_weight(self) -> float:
        """What fetching a book weighs against the venue's rate."""
        return self._book[1]

    def snapshot_url(self, symbol: str) -> str | None:
        """Return the address of the book."""
        return f"{self.rest_url}{self.book_path}?limit={self._book[0]}&symbol={self.native(symbol)}"

    def guess(self, symbol: str) -> str:
        """Return Binance's name: ``BTCUSDT``."""
        return native_of(symbol)

    def _request(self, method: str, symbols: Sequence[str]) -> str:
        names = [self.native(symbol).lower() for symbol in symbols]
        streams = [f"{name}@{kind}" for name in names for kind in ("depth@100ms", "aggTrade")]
        return msgspec.json.encode({"method": method, "params": streams, "id": 1}).decode()

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the book's best levels: the whole one weighs ten times as much against the limits."""
        return f"{self.rest_url}{self.book_path}?limit=500&symbol={self.native(symbol)}"
