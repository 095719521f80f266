"""Poloniex spot v2: book_lv2, trades, and the REST book.

https://api-docs.poloniex.com/spot/websocket/market-data and .../api/public/market-data (2026-11); the letter of the
messages is that of recordings of 2022. Each message of a symbol's book says its ``id`` and that of the one before.
The text of an error is ours.
"""

import msgspec

from producers.simulator.orderflow import Market, Step
from producers.simulator.venues.base import (
    NO_BOOK,
    Answer,
    Changes,
    Message,
    Post,
    Session,
    VenueEngine,
    json,
    listed,
)
from producers.simulator.venues.text import lot, short_pair, trimmed
from producers.simulator.venues.window import Window

CHANNELS = ("book_lv2", "trades")
DEPTH = 20


class _Request(msgspec.Struct):
    event: str
    channel: list[str] = []
    symbols: list[str] = []


class PoloniexEngine(VenueEngine):
    """Poloniex's public channels over a simulated market."""

    path = "/ws/public"
    listings_path = "/markets"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._pairs = {symbol.replace("-", "_"): symbol for symbol in self.books}
        self._windows = {symbol: Window(book, DEPTH) for symbol, book in self.books.items()}
        self._ids = dict.fromkeys(self.books, 10_000)

    def greet(self, session: Session) -> None:
        """Greet with nothing."""

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_said(event="error", message="Bad request")]
        if request.event == "ping":
            return [_said(event="pong")]
        if request.event not in {"subscribe", "unsubscribe"}:
            return [_said(event="error", message=f"Unknown event {request.event}")]
        unknown = [name for name in request.channel if name not in CHANNELS]
        unknown += [name for name in request.symbols if name not in self._pairs]
        if unknown or not (request.channel and request.symbols):
            return [_said(event="error", message=f"Subscription failed: {', '.join(unknown) or 'nothing named'}")]
        return [message for channel in request.channel for message in self._take(session, request, channel)]

    def _take(self, session: Session, request: _Request, channel: str) -> list[Message]:
        answers = [_said(event=request.event, channel=channel, symbols=request.symbols)]
        for name in request.symbols:
            symbol = self._pairs[name]
            if request.event == "unsubscribe":
                session.streams.pop((channel, symbol), None)
                continue
            fresh = (channel, symbol) not in session.streams
            session.streams[channel, symbol] = 0
            if fresh and channel == "book_lv2":
                answers.append(self._snapshot(symbol))
        return answers

    def _snapshot(self, symbol: str) -> Message:
        saved = self.saved(symbol)
        text = self._message(symbol, "snapshot", saved.ts_ns, saved.number, saved.bids[:DEPTH], saved.asks[:DEPTH])
        return Message(text, "snapshot", symbol, self.truth(symbol))

    def number(self, symbol: str) -> int:
        """Return the id of the symbol's last message."""
        return self._ids[symbol]

    def _message(self, symbol: str, action: str, ts_ns: int, number: int, bids: Changes, asks: Changes) -> str:
        book = self.books[symbol]
        ask_text, bid_text = (listed([short_pair(book, *one) for one in some]) for some in (asks, bids))
        return (
            f'{{"channel":"book_lv2","data":[{{"symbol":"{symbol.replace("-", "_")}","createTime":{ts_ns // 1_000_000},'
            f'"asks":{ask_text},"bids":{bid_text},"lastId":{number - 1},"id":{number},'
            f'"ts":{self.now_ns // 1_000_000 + 3}}}],"action":"{action}"}}'
        )

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of the book what changed in its best levels."""
        bids, asks = self._windows[symbol].told(bids, asks)
        if not (bids or asks):
            return []
        self._ids[symbol] += 1
        readers = self.readers("book_lv2", symbol)
        if not readers:
            return []
        text = self._message(symbol, "update", self.now_ns, self._ids[symbol], bids, asks)
        message = self.told(text, symbol, bids, asks)
        return [(session, message) for session in readers]

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level is written, its size last."""
        return short_pair(self.books[symbol], key, lots)

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of trades, a message for each."""
        book, posts = self.books[symbol], []
        ticks, lots = book.listing.price_decimals, book.listing.qty_decimals
        readers = self.readers("trades", symbol)
        for fill in step.fills if readers else ():
            millis = fill.ts_ns // 1_000_000
            text = (
                f'{{"channel":"trades","data":[{{"symbol":"{symbol.replace("-", "_")}",'
                f'"amount":"{trimmed(fill.price * fill.lots, ticks + lots)}","quantity":"{trimmed(fill.lots, lots)}",'
                f'"takerSide":"{fill.side}","createTime":{millis},"price":"{trimmed(fill.price, ticks)}",'
                f'"id":"{fill.trade_id}","ts":{millis + 3}}}]}}'
            )
            posts += [(session, Message(text, "trade", symbol)) for session in readers]
        return posts

    def reset(self, symbol: str) -> None:
        """Begin the ids of the symbol's messages anew."""
        self._ids[symbol] = 1

    def listings(self) -> bytes:
        """Return the markets."""
        return json([self._market(native, symbol) for native, symbol in self._pairs.items()])

    def _market(self, native: str, symbol: str) -> dict[str, object]:
        book = self.books[symbol]
        base, quote = symbol.split("-")
        limit = {
            "symbol": native, "priceScale": book.listing.price_decimals, "quantityScale": book.listing.qty_decimals,
            "amountScale": 2, "minQuantity": lot(book), "minAmount": "1", "highestBid": "0", "lowestAsk": "0",
        }  # fmt: skip
        return {
            "symbol": native, "baseCurrencyName": base, "quoteCurrencyName": quote, "displayName": f"{base}/{quote}",
            "state": "NORMAL", "symbolTradeLimit": limit,
        }  # fmt: skip

    def book_at(self, target: str) -> Answer:
        """Return the book of ``/markets/BTC_USDT/orderBook``: prices and sizes in turn."""
        parts = target.partition("?")[0].strip("/").split("/")
        if len(parts) != 3 or parts[0] != "markets" or parts[2] != "orderBook":
            return NO_BOOK
        symbol = self._pairs.get(parts[1])
        if symbol is None:
            return Answer(400, b'{"code":400,"message":"Invalid symbol"}')
        truth, saved, listing = self.truth(symbol), self.saved(symbol), self.books[symbol].listing
        asks, bids = (
            [
                text
                for key, lots in side[:150]
                for text in (trimmed(abs(key), listing.price_decimals), trimmed(lots, listing.qty_decimals))
            ]
            for side in (saved.asks, saved.bids)
        )
        millis = saved.ts_ns // 1_000_000
        scale = trimmed(1, listing.price_decimals)
        body = {"time": millis, "scale": scale, "asks": asks, "bids": bids, "ts": self.now_ns // 1_000_000}
        return Answer(200, json(body), symbol, truth)


def _said(**fields: object) -> Message:
    return Message(json(fields).decode())


ENGINE = PoloniexEngine
