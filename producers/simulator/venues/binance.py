"""Binance spot: depth@100ms, depth, aggTrade and trade streams, and the REST book.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and .../rest-api/market-data-endpoints
(2026-11); the letter of the messages is that of recordings. A level that changes takes a number; a message says the
first and the last of those in it. ``/stream`` puts messages into an envelope, ``/ws`` does not. A stream of a pair that
there is not is accepted, and silent.
"""

import msgspec

from producers.simulator.orderflow import Market, Step
from producers.simulator.venues.base import (
    NO_BOOK,
    Answer,
    Changes,
    Message,
    Notice,
    Post,
    Session,
    VenueEngine,
    asked,
    json,
    listed,
)
from producers.simulator.venues.text import decimal
from quicksilver.events import SECOND_NS

PLACES = 8  # decimal places of every number on the spot market
STREAMS = {"depth": "depth@100ms", "depth@100ms": "depth@100ms", "aggTrade": "aggTrade", "trade": "trade"}


class _Request(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


class BinanceEngine(VenueEngine):
    """Binance's public streams over a simulated market."""

    path = "/stream"
    batch_ns = SECOND_NS // 10
    book_path = "/api/v3/depth"
    listings_path = "/api/v3/exchangeInfo"
    rest_books = True

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._pairs = {symbol.replace("-", ""): symbol for symbol in self.books}
        self._told = dict(self.numbers)

    def greet(self, session: Session) -> None:
        """Greet with nothing."""

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answer to a message of the client's."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_refusal(3, "Invalid JSON: expected value", None)]
        if request.method == "LIST_SUBSCRIPTIONS":
            names = [f"{symbol.replace('-', '').lower()}@{kind}" for kind, symbol in session.streams]
            return [Message(json({"result": names, "id": request.id}).decode())]
        if request.method not in {"SUBSCRIBE", "UNSUBSCRIBE"}:
            return [_refusal(2, f"Invalid request: unknown variant `{request.method}`", request.id)]
        for name in request.params:
            pair_name, _, kind = name.partition("@")
            stream = (STREAMS.get(kind, kind), self._pairs.get(pair_name.upper(), pair_name))
            if request.method == "SUBSCRIBE":
                session.streams[stream] = 0
            else:
                session.streams.pop(stream, None)
        return [Message(json({"result": None, "id": request.id}).decode())]

    def _posts(self, channel: str, symbol: str, body: str, pattern: Message) -> list[Post]:
        name = symbol.replace("-", "").lower()
        message = pattern._replace(text=f'{{"stream":"{name}@{channel}","data":{body}}}')
        return [(session, message) for session in self.readers(channel, symbol)]

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of depth what changed since the last message, and its numbers."""
        first, last = self._told[symbol] + 1, self.numbers[symbol]
        chain, self._told[symbol] = self.chained(first - 1), last
        millis = self.now_ns // 1_000_000
        bid_text, ask_text = (listed([self.pair(symbol, *one) for one in some]) for some in (bids, asks))
        body = (
            f'{{"e":"depthUpdate","E":{millis},{self.when(millis)}"s":"{symbol.replace("-", "")}","U":{first},'
            f'"u":{last},{chain}"b":{bid_text},"a":{ask_text}}}'
        )
        return self._posts("depth@100ms", symbol, body, self.told("", symbol, bids, asks))

    def chained(self, before: int) -> str:  # noqa: ARG002 (the futures say it)
        """Return the field that says the last number of the message before; the spot market has none."""
        return ""

    def when(self, millis: int) -> str:  # noqa: ARG002
        """Return the field that says when the market moved; the spot market has none."""
        return ""

    def pair(self, symbol: str, key: int, lots: int) -> str:
        """Return a level."""
        worth, amount = self._numbers(symbol, key, lots)
        return f'["{worth}","{amount}"]'

    def _numbers(self, symbol: str, key: int, lots: int) -> tuple[str, str]:
        """A price and a size with eight decimal places."""
        listing = self.books[symbol].listing
        worth = decimal(abs(key) * 10 ** (PLACES - listing.price_decimals), PLACES)
        return worth, decimal(lots * 10 ** (PLACES - listing.qty_decimals), PLACES)

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level is written, its size last."""
        return self.pair(symbol, key, lots)

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of trades, a message for each."""
        posts: list[Post] = []
        for fill in step.fills:
            millis, maker = fill.ts_ns // 1_000_000, "false" if fill.side == "buy" else "true"
            worth, amount = self._numbers(symbol, fill.price, fill.lots)
            what = f'"p":"{worth}","q":"{amount}"'
            start = f'"E":{millis},"s":"{symbol.replace("-", "")}"'
            end = f'"T":{millis},"m":{maker},"M":true}}'
            number = fill.trade_id
            single = f'{{"e":"trade",{start},"t":{number},{what},{end}'
            joined = f'{{"e":"aggTrade",{start},"a":{number},{what},"f":{number},"l":{number},{end}'
            pattern = Message("", "trade", symbol)
            posts += self._posts("trade", symbol, single, pattern) + self._posts("aggTrade", symbol, joined, pattern)
        return posts

    def reset(self, symbol: str) -> None:
        """Begin the numbers of the symbol's changes anew."""
        super().reset(symbol)
        self._told[symbol] = self.numbers[symbol]
        self.numbers[symbol] += sum(len(keys) for keys in self._pending.get(symbol, ()))

    def notice(self) -> Notice:
        """Say that the server shuts down, then close."""
        data = f'{{"e":"serverShutdown","E":{self.now_ns // 1_000_000}}}'
        return Notice([f'{{"stream":"!serverShutdown","data":{data}}}'], True, [])

    def listings(self) -> bytes:
        """Return the pairs."""
        zone = {"timezone": "UTC", "serverTime": self.now_ns // 1_000_000, "rateLimits": [], "exchangeFilters": []}
        return json({**zone, "symbols": [self.listing(native, symbol) for native, symbol in self._pairs.items()]})

    def listing(self, native: str, symbol: str) -> dict[str, object]:
        """Return what is said of a pair, its steps among its filters."""
        (base, quote), (tick, lot) = symbol.split("-"), self._numbers(symbol, 1, 1)
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
        ]
        return {"symbol": native, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": filters}

    def book_at(self, target: str) -> Answer:
        """Return the book."""
        query = asked(target, self.book_path)
        if query is None:
            return NO_BOOK
        symbol = self._pairs.get(query.get("symbol", ""))
        if symbol is None:
            return Answer(400, b'{"code":-1121,"msg":"Invalid symbol."}')
        most = int(query.get("limit", "100"))
        truth, saved = self.truth(symbol), self.saved(symbol)
        bids, asks = (listed([self.pair(symbol, *one) for one in side[:most]]) for side in (saved.bids, saved.asks))
        millis = saved.ts_ns // 1_000_000
        body = f'{{"lastUpdateId":{saved.number},{self.body_times(millis)}"bids":{bids},"asks":{asks}}}'
        return Answer(200, body.encode(), symbol, truth)

    def body_times(self, millis: int) -> str:  # noqa: ARG002
        """Return the fields that say the times of a REST book; the spot market's has none."""
        return ""


def _refusal(code: int, message: str, request: int | str | None) -> Message:
    return Message(json({"error": {"code": code, "msg": message}, "id": request}).decode())


ENGINE = BinanceEngine
