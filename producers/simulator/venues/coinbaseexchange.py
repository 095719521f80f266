"""Coinbase Exchange: level2, level2_batch, matches, heartbeat, and the REST book.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels and .../rest-api (2026-11). ``level2_batch`` collects
changes for 50 ms. The snapshot lists asks before bids and no time, as in recordings.
"""

import msgspec

from producers.simulator.orderflow import Book, Market, Step
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
    newest_first,
)
from producers.simulator.venues.text import iso, lot, pair, price, size, tick
from quicksilver.events import SECOND_NS

CHANNELS = ("level2", "level2_batch", "matches", "heartbeat")
_MAKERS = {"buy": "sell", "sell": "buy"}
Fill = tuple[int, int, str, int, int]


class _Request(msgspec.Struct):
    type: str
    channels: list[str] = []
    product_ids: list[str] = []


class CoinbaseExchangeEngine(VenueEngine):
    """Coinbase Exchange's public channels over a simulated market."""

    batch_ns = SECOND_NS // 20
    listings_path = "/products"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._last: dict[str, Fill] = {}

    def greet(self, session: Session) -> None:
        """Greet with nothing."""

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_error("Malformed JSON")]
        if request.type not in {"subscribe", "unsubscribe"}:
            return [_error(f"{request.type} is not a valid type")]
        wrong = [f"{name} is not a valid channel" for name in request.channels if name not in CHANNELS]
        wrong += [f"{name} is not a valid product" for name in request.product_ids if name not in self.books]
        if wrong:
            return [_error(wrong[0])]
        streams = [("level2" if name == "level2_batch" else name, one) for name in request.channels for one in
                   request.product_ids]  # fmt: skip
        if request.type == "unsubscribe":
            for stream in streams:
                session.streams.pop(stream, None)
            return [_subscriptions(session)]
        fresh = [stream for stream in streams if stream not in session.streams]
        session.streams.update(dict.fromkeys(fresh, 0))
        answers = [self._first(channel, symbol) for channel, symbol in fresh]
        return [_subscriptions(session), *(answer for answer in answers if answer)]

    def _first(self, channel: str, symbol: str) -> Message | None:
        if channel == "level2":
            saved, book = self.saved(symbol), self.books[symbol]
            asks, bids = (listed([pair(book, *one) for one in side]) for side in (saved.asks, saved.bids))
            text = f'{{"type":"snapshot","product_id":"{symbol}","asks":{asks},"bids":{bids}}}'
            return Message(text, "snapshot", symbol, self.truth(symbol))
        history = newest_first(self.books[symbol], 1)
        return self._match("last_match", symbol, history[0]) if channel == "matches" and history else None

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of level2."""
        readers = self.readers("level2", symbol)
        if not readers:
            return []
        changes = [
            f'["{side}",{self.level(symbol, *one)}' for side, some in (("buy", bids), ("sell", asks)) for one in some
        ]
        when = f'"time":"{iso(self.now_ns)}"'
        text = f'{{"type":"l2update","product_id":"{symbol}","changes":{listed(changes)},{when}}}'
        message = self.told(text, symbol, bids, asks)
        return [(session, message) for session in readers]

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of matches, a message for each."""
        fills: list[Fill] = [(fill.trade_id, fill.ts_ns, fill.side, fill.price, fill.lots) for fill in step.fills]
        messages = [self._match("match", symbol, fill) for fill in fills]
        self._last[symbol] = fills[-1]
        return [(session, message) for session in self.readers("matches", symbol) for message in messages]

    def _match(self, kind: str, symbol: str, fill: Fill) -> Message:
        number, ts_ns, side, ticks, lots = fill
        book = self.books[symbol]
        text = (
            f'{{"type":"{kind}","trade_id":{number},"maker_order_id":"{_order(2 * number)}",'
            f'"taker_order_id":"{_order(2 * number + 1)}","side":"{_MAKERS[side]}","size":"{size(book, lots)}",'
            f'"price":"{price(book, ticks)}","product_id":"{symbol}","sequence":{self.numbers[symbol]},'
            f'"time":"{iso(ts_ns)}"}}'
        )
        return Message(text, "trade", symbol)

    def beat(self) -> list[Post]:
        """Tell each product's number to who has asked for heartbeats."""
        posts: list[Post] = []
        for symbol in self.books:
            last = self._last.get(symbol, (0,))[0]
            text = (
                f'{{"type":"heartbeat","last_trade_id":{last},"product_id":"{symbol}",'
                f'"sequence":{self.numbers[symbol]},"time":"{iso(self.now_ns)}"}}'
            )
            posts += [(session, Message(text)) for session in self.readers("heartbeat", symbol)]
        return posts

    def listings(self) -> bytes:
        """Return the products."""
        return json([_product(symbol, book) for symbol, book in self.books.items()])

    def book_at(self, target: str) -> Answer:
        """Return the whole book (https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products)."""
        parts = target.partition("?")[0].strip("/").split("/")
        if len(parts) != 3 or parts[0] != "products" or parts[2] != "book":
            return NO_BOOK
        symbol = parts[1]
        if symbol not in self.books:
            return Answer(404, b'{"message":"NotFound"}')
        truth, saved, book = self.truth(symbol), self.saved(symbol), self.books[symbol]
        bids, asks = (
            [[price(book, key), size(book, lots), 1] for key, lots in side] for side in (saved.bids, saved.asks)
        )
        body = {
            "bids": bids, "asks": asks, "sequence": saved.number, "auction_mode": False, "auction": None,
            "time": iso(saved.ts_ns),
        }  # fmt: skip
        return Answer(200, json(body), symbol, truth)


def _product(symbol: str, book: Book) -> dict[str, object]:
    base, quote = symbol.split("-")
    return {
        "id": symbol, "base_currency": base, "quote_currency": quote, "quote_increment": tick(book),
        "base_increment": lot(book), "display_name": f"{base}/{quote}", "min_market_funds": "1",
        "margin_enabled": False, "post_only": False, "limit_only": False, "cancel_only": False, "status": "online",
        "status_message": "",
    }  # fmt: skip


def _order(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _subscriptions(session: Session) -> Message:
    channels: dict[str, list[str]] = {}
    for channel, symbol in session.streams:
        channels.setdefault("level2_batch" if channel == "level2" else channel, []).append(symbol)
    body = {"type": "subscriptions", "channels": [{"name": one, "product_ids": of} for one, of in channels.items()]}
    return Message(json(body).decode())


def _error(reason: str) -> Message:
    return Message(json({"type": "error", "message": "Failed to subscribe", "reason": reason}).decode())


ENGINE = CoinbaseExchangeEngine
