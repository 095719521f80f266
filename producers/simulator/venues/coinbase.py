"""Coinbase Advanced Trade: level2, market_trades, heartbeats, and the REST book.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels and .../rest-api (2026-11);
the letter of the messages is that of recordings of 2026-08. ``sequence_num`` counts the messages of a connection from
0. The text of an error is ours: the venue documents none.
"""

from functools import partial

import msgspec

from producers.simulator.orderflow import Book, Market, Step
from producers.simulator.venues.base import (
    NO_BOOK,
    Answer,
    Changes,
    Message,
    Post,
    Saved,
    Session,
    VenueEngine,
    asked,
    json,
    listed,
    newest_first,
)
from producers.simulator.venues.text import iso, iso_nanos, lot, tick, trimmed

CHANNELS = ("heartbeats", "level2", "market_trades")
BOOK_PATH = "/api/v3/brokerage/market/product_book"
RECENT = 50
_MAKERS = {"buy": "SELL", "sell": "BUY"}


class _Request(msgspec.Struct):
    type: str
    channel: str = ""
    product_ids: list[str] = []


class CoinbaseEngine(VenueEngine):
    """Coinbase Advanced Trade's public channels over a simulated market."""

    listings_path = "/api/v3/brokerage/market/products"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._beats = 0

    def greet(self, session: Session) -> None:
        """Greet with nothing."""

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_error("malformed request")]
        if request.type not in {"subscribe", "unsubscribe"}:
            return [_error(f"unknown type {request.type}")]
        if request.channel not in CHANNELS:
            return [_error(f"unknown channel {request.channel}")]
        unknown = [name for name in request.product_ids if name not in self.books]
        if unknown and request.channel != "heartbeats":
            return [_error(f"unknown product {unknown[0]}")]
        names = ["heartbeats"] if request.channel == "heartbeats" else request.product_ids
        if request.type == "unsubscribe":
            for name in names:
                session.streams.pop((request.channel, name), None)
            return [self._subscriptions(session)]
        fresh = [name for name in names if (request.channel, name) not in session.streams]
        session.streams.update(dict.fromkeys(((request.channel, name) for name in fresh), 0))
        first = {"level2": self._snapshot, "market_trades": self._history}.get(request.channel)
        return [*([first(session, name) for name in fresh] if first else []), self._subscriptions(session)]

    def _message(self, session: Session, channel: str, events: str) -> str:
        session.number += 1
        return (
            f'{{"channel":"{channel}","timestamp":"{iso_nanos(self.now_ns)}","sequence_num":{session.number},'
            f'"events":[{events}]}}'
        )

    def _subscriptions(self, session: Session) -> Message:
        channels: dict[str, list[str]] = {}
        for channel, name in sorted(session.streams):
            channels.setdefault(channel, []).append(name)
        return Message(self._message(session, "subscriptions", json({"subscriptions": channels}).decode()))

    def _snapshot(self, session: Session, symbol: str) -> Message:
        saved = self.saved(symbol)
        events = self._levels("snapshot", symbol, saved.bids, saved.asks, saved.ts_ns)
        return Message(self._message(session, "l2_data", events), "snapshot", symbol, self.truth(symbol))

    def _levels(self, kind: str, symbol: str, bids: Changes, asks: Changes, ts_ns: int) -> str:
        when, end = iso(ts_ns), partial(self.level, symbol)
        levels = [
            f'{{"side":"{side}","event_time":"{when}",{end(key, lots)}'
            for side, changes in (("bid", bids), ("offer", asks))
            for key, lots in changes
        ]
        return f'{{"type":"{kind}","product_id":"{symbol}","updates":{listed(levels)}}}'

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level ends, its size last."""
        listing = self.books[symbol].listing
        price = trimmed(abs(key), listing.price_decimals)
        return f'"price_level":"{price}","new_quantity":"{trimmed(lots, listing.qty_decimals)}"}}'

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of level2, each with a number of its own."""
        readers = self.readers("level2", symbol)
        if not readers:
            return []
        events = self._levels("update", symbol, bids, asks, self.now_ns)
        pattern = self.told("", symbol, bids, asks)
        return [(session, pattern._replace(text=self._message(session, "l2_data", events))) for session in readers]

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of market_trades, the newest first."""
        fills = [(fill.trade_id, fill.ts_ns, str(fill.side), fill.price, fill.lots) for fill in reversed(step.fills)]
        return self._trades("update", symbol, fills, self.readers("market_trades", symbol))

    def _history(self, session: Session, symbol: str) -> Message:
        fills = newest_first(self.books[symbol], RECENT)
        return self._trades("snapshot", symbol, fills, [session])[0][1]

    def _trades(
        self, kind: str, symbol: str, fills: list[tuple[int, int, str, int, int]], readers: list[Session]
    ) -> list[Post]:
        listing = self.books[symbol].listing
        trades = [
            f'{{"product_id":"{symbol}","trade_id":"{number}","price":"{trimmed(ticks, listing.price_decimals)}",'
            f'"size":"{trimmed(lots, listing.qty_decimals)}","time":"{iso(ts_ns)}","side":"{_MAKERS[side]}"}}'
            for number, ts_ns, side, ticks, lots in fills
        ]
        events = f'{{"type":"{kind}","trades":{listed(trades)}}}'
        return [
            (session, Message(self._message(session, "market_trades", events), "trade", symbol)) for session in readers
        ]

    def beat(self) -> list[Post]:
        """Tell the time to who has asked for heartbeats."""
        self._beats += 1
        when = f"{iso_nanos(self.now_ns)[:-1].replace('T', ' ')} +0000 UTC m=+{self._beats}.000000001"
        events = f'{{"current_time":"{when}","heartbeat_counter":{self._beats}}}'
        readers = self.readers("heartbeats", "heartbeats")
        return [(session, Message(self._message(session, "heartbeats", events))) for session in readers]

    def listings(self) -> bytes:
        """Return the products."""
        products = [_product(symbol, book) for symbol, book in self.books.items()]
        return json({"products": products, "num_products": len(products)})

    def book_at(self, target: str) -> Answer:
        """Return the product book (https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api)."""
        query = asked(target, BOOK_PATH)
        if query is None:
            return NO_BOOK
        symbol = query.get("product_id", "")
        if symbol not in self.books:
            return Answer(404, b'{"error":"NOT_FOUND","error_details":"product not found"}')
        truth, saved = self.truth(symbol), self.saved(symbol)
        most = int(query.get("limit", "0")) or None
        return Answer(200, json({"pricebook": self._book(symbol, saved, most)}), symbol, truth)

    def _book(self, symbol: str, saved: Saved, most: int | None) -> dict[str, object]:
        listing = self.books[symbol].listing
        bids, asks = (
            [
                {"price": trimmed(abs(key), listing.price_decimals), "size": trimmed(lots, listing.qty_decimals)}
                for key, lots in side[:most]
            ]
            for side in (saved.bids, saved.asks)
        )
        return {"product_id": symbol, "bids": bids, "asks": asks, "time": iso(saved.ts_ns)}


def _product(symbol: str, book: Book) -> dict[str, object]:
    base, quote = symbol.split("-")
    return {
        "product_id": symbol, "base_increment": lot(book), "quote_increment": tick(book), "base_min_size": lot(book),
        "is_disabled": False, "status": "online", "trading_disabled": False, "product_type": "SPOT",
        "quote_currency_id": quote, "base_currency_id": base, "price_increment": tick(book), "display_name": symbol,
    }  # fmt: skip


def _error(message: str) -> Message:
    return Message(json({"type": "error", "message": message}).decode())


ENGINE = CoinbaseEngine
