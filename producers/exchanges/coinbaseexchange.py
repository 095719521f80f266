"""Coinbase Exchange's live feed; its rules are in ``coinbase_pro.py``.

https://docs.cdp.coinbase.com/exchange/websocket-feed/overview (2026-11): ``level2`` wants a key, ``level2_batch`` none.
"""

from collections.abc import Sequence

import msgspec

from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.coinbase_listings import PRODUCTS
from producers.exchanges.feed import Feed, FetchedBookFeed
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.venue import Venue


class CoinbaseExchangeFeed(Feed):
    """Coinbase Exchange's public socket."""

    url = "wss://ws-feed.exchange.coinbase.com"
    rest_url = "https://api.exchange.coinbase.com"
    listings = PRODUCTS
    limits = Limits(
        "https://docs.cdp.coinbase.com/exchange/websocket-feed/rate-limits and .../rest-api/rate-limits (2026-11)",
        connections=Rate(8, 1), messages=Rate(100, 1), rest=Rate(10, 1),
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the message that subscribes to books, trades and heartbeats."""
        return [_request("subscribe", ["level2_batch", "matches", "heartbeat"], symbols)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the message that ends one symbol's book, trades and heartbeat."""
        return [_request("unsubscribe", ["level2_batch", "matches", "heartbeat"], [symbol])]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return [_request("unsubscribe", ["level2_batch"], [symbol])]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; its snapshot follows."""
        return [_request("subscribe", ["level2_batch"], [symbol])]

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the best levels."""
        return f"{self.rest_url}/products/{self.native(symbol)}/book?level=2"


def _request(kind: str, channels: Sequence[str], symbols: Sequence[str]) -> str:
    return msgspec.json.encode({"type": kind, "product_ids": list(symbols), "channels": list(channels)}).decode()


class CoinbaseExchangeOrdersFeed(FetchedBookFeed, CoinbaseExchangeFeed):
    """The same, order by order: ``full``, which has the trades too, and its REST book (``coinbase_full.py``)."""

    rest_url = "https://api.exchange.coinbase.com"
    settle_s = 2.0  # a book fetched at once could be older than the first message

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the message that subscribes to all orders and heartbeats."""
        return [_request("subscribe", ["full", "heartbeat"], symbols)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the message that ends one symbol's orders and heartbeat."""
        return [_request("unsubscribe", ["full", "heartbeat"], [symbol])]

    def snapshot_url(self, symbol: str) -> str | None:
        """Return the address of the book of all orders."""
        return f"{self.rest_url}/products/{symbol}/book?level=3"


VENUE = Venue("coinbaseexchange", CoinbaseParser, CoinbaseExchangeFeed, {"orders": CoinbaseExchangeOrdersFeed})
