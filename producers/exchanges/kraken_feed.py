"""Kraken's public socket, and that for holders of a key: what is sent and fetched. ``kraken.py`` reads what comes."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from producers.exchanges import kraken_rest
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_listings import ASSET_PAIRS
from producers.exchanges.limits import Limits, Rate
from quicksilver.errors import InputError

TOKEN = "KRAKEN_TOKEN"  # the environment variable


class KrakenFeed(Feed):
    """Kraken's public socket: https://docs.kraken.com/api/docs/guides/spot-ws-intro."""

    url = "wss://ws.kraken.com/v2"
    rest_url = "https://api.kraken.com"
    depth = 100
    listings = ASSET_PAIRS
    limits = Limits(
        "https://docs.kraken.com/api/docs/guides/spot-ratelimits (2026-11): about 150 connections in ten minutes,"
        " messages as the load allows; https://support.kraken.com/articles/206548367: REST once a second",
        connections=Rate(150, 600), messages=Rate(20, 1), rest=Rate(1, 1),
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        names = [self.native(symbol) for symbol in symbols]
        trades = {"channel": "trade", "symbol": names, "snapshot": True}
        return [self._request("subscribe", self._book(names)), self._request("subscribe", trades)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        trades = {"channel": "trade", "symbol": [self.native(symbol)]}
        return [*self.unsubscribe_book(symbol), self._request("unsubscribe", trades)]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return [self._request("unsubscribe", self._book([self.native(symbol)]))]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; its snapshot follows."""
        return [self._request("subscribe", self._book([self.native(symbol)]))]

    def guess(self, symbol: str) -> str:
        """Return Kraken's name: ``BTC/USD``."""
        return symbol.replace("-", "/")

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of as many levels as are subscribed to."""
        return f"{self.rest_url}{kraken_rest.PATH}?pair={kraken_rest.rest_name(symbol)}&count={self.depth}"

    def _book(self, names: list[str]) -> dict[str, Any]:
        return {"channel": "book", "symbol": names, "depth": self.depth}

    @staticmethod
    def _request(method: str, params: dict[str, Any]) -> str:
        return msgspec.json.encode({"method": method, "params": params}).decode()


class KrakenOrdersFeed(KrakenFeed):
    """The same, order by order, on the socket for holders of a key.

    The token is short-lived, and asked for at each connection: https://docs.kraken.com/api/docs/guides/spot-ws-auth.

    Raises:
        InputError: neither a token is given nor ``KRAKEN_TOKEN`` set.
    """

    url = "wss://ws-auth.kraken.com/v2"
    depth = 1000

    def __init__(self, *args: Any, token: Callable[[], str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token = token or (lambda: os.environ.get(TOKEN, ""))
        if not self._token():
            raise InputError(f"Kraken gives its books order by order to holders of a key alone: set {TOKEN} to a token")

    def _book(self, names: list[str]) -> dict[str, Any]:
        return {"channel": "level3", "symbol": names, "depth": self.depth, "snapshot": True, "token": self._token()}

    def redacted(self, message: str) -> str:
        """Return the message without the token."""
        return re.sub(r'"token":"[^"]*"', '"token":""', message)
