"""Kraken v2: book, trade, and REST's book and pairs.

https://docs.kraken.com/api/docs/websocket-v2/status, .../rest-api/get-order-book and .../get-tradable-asset-pairs
(2026-11); the words are in ``kraken_wire.py``.

Kraken documents no error texts. Those for a symbol, a depth (which names no symbol), a second subscription (at another
depth too) and an unknown subscription are as in frames that others recorded from v2 (GarethCooke/DepthCharge,
locar77i/Wirekrak, mdolmen/market-tick-collector, BYTEX-TRADE/bytex; 2025-12 to 2026-09); an unknown channel's and a
malformed request's are second-hand; "Symbol(s) not found" and "Unsupported method" are ours.
"""

from collections import defaultdict

import msgspec

from producers.exchanges.kraken_v1 import DEPTHS
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
)
from producers.simulator.venues.kraken_wire import HEARTBEAT, DepthView, answer, checksum, level, status, trades
from producers.simulator.venues.text import lot, price, size, tick
from quicksilver.events import SECOND_NS

_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}  # of REST


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    depth: int = DEPTHS[0]
    snapshot: bool = True


class _Request(msgspec.Struct):
    method: str
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


class KrakenEngine(VenueEngine):
    """Kraken's public channels over a simulated market; a session's streams hold the depth of each book."""

    path = "/v2"
    listings_path = "/0/public/AssetPairs"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._views: defaultdict[str, dict[int, DepthView]] = defaultdict(dict)  # by symbol and depth
        self._rest_names = {_old(symbol).replace("/", ""): symbol for symbol in self.books}

    def greet(self, session: Session) -> None:
        """Say the system's status."""
        session.greeting.append(Message(status(self.rng.getrandbits(63))))

    def disconnect(self, session: Session) -> None:
        """Close a connection and forget its subscriptions."""
        super().disconnect(session)
        for stream in list(session.streams):
            self._leave(session, stream)

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, then the snapshots it asked for."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [self._said(error="Malformed request", success=False)]
        if request.method == "ping":
            return [self._said(method="pong", req_id=request.req_id)]
        wrong = _wrong(request)
        if wrong:
            return [self._refusal(request, wrong, None)]
        answers: list[Message] = []
        snapshots: list[Message] = []
        for native in request.params.symbol:
            error = self._refuses(session, request, native)
            if error is None:
                answers.append(self._accept(session, request, native, snapshots))
            else:
                answers.append(self._refusal(request, error, native))
        return answers + snapshots

    def _said(self, **fields: object) -> Message:
        return Message(answer(self.now_ns, **fields))

    def _refusal(self, request: _Request, error: str, native: str | None) -> Message:
        return self._said(error=error, method=request.method, req_id=request.req_id, success=False, symbol=native)

    def _refuses(self, session: Session, request: _Request, native: str) -> str | None:
        """Return why a request for one symbol cannot be met, or None."""
        if native not in self._ours:
            return f"Currency pair not supported {native}"
        stream = (request.params.channel, self._ours[native])
        if request.method == "unsubscribe":
            return None if session.streams.get(stream) == _depth(request.params) else "Subscription Not Found"
        return "Already subscribed" if stream in session.streams else None

    def _accept(self, session: Session, request: _Request, native: str, snapshots: list[Message]) -> Message:
        params, stream = request.params, (request.params.channel, self._ours[native])
        result: dict[str, object] = {"channel": params.channel}
        if params.channel == "book":
            result["depth"] = params.depth
        if request.method == "unsubscribe":
            self._leave(session, stream)
        else:
            result["snapshot"] = params.snapshot
            session.streams[stream] = _depth(params)
            first = self._first(*stream, params.depth)
            snapshots += [first] if params.snapshot else []
        result["symbol"] = native
        return self._said(method=request.method, req_id=request.req_id, result=result, success=True)

    def _first(self, channel: str, symbol: str, depth: int) -> Message:
        book = self.books[symbol]
        if channel == "trade":
            return Message(trades("snapshot", book.listing, book.recent), "trade", symbol)
        view = self._views[symbol].setdefault(depth, DepthView(book, depth))
        return Message(view.snapshot(self.saved(symbol)), "snapshot", symbol, self.truth(symbol))

    def _leave(self, session: Session, stream: tuple[str, str]) -> None:
        """End a subscription; a view of a book that nobody has any more is kept up no longer."""
        depth = session.streams.pop(stream)
        if stream[0] == "book" and all(other.streams.get(stream) != depth for other in self.sessions):
            del self._views[stream[1]][depth]

    def number(self, symbol: str) -> int:
        """Return the checksum of a symbol's book: there are no numbers, and it is said with each book."""
        return checksum(self.books[symbol])

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of the book at each depth what changed within it."""
        views = self._views[symbol]
        if not views:
            return []
        crc, pattern, readers = checksum(self.books[symbol]), None, self.readers("book", symbol)
        posts: list[Post] = []
        for depth, view in views.items():
            text = view.update(bids, asks, crc, self.now_ns)
            if text:
                pattern = pattern or self.told("", symbol, bids, asks)
                message = pattern._replace(text=text, level=pattern.level if pattern.level in text else "")
                posts += [(one, message) for one in readers if one.streams["book", symbol] == depth]
        return posts

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level is written, its size last."""
        return level(self.books[symbol].listing, abs(key), lots)

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of trades."""
        readers = self.readers("trade", symbol)
        if not readers:
            return []
        message = Message(trades("update", self.books[symbol].listing, step.fills), "trade", symbol)
        return [(session, message) for session in readers]

    def beat(self) -> list[Post]:
        """Send a heartbeat to who has subscribed to something."""
        return [(session, Message(HEARTBEAT)) for session in self.sessions if session.streams]

    def notice(self) -> Notice:
        """Say that the system is in maintenance, then close."""
        return Notice([status(self.rng.getrandbits(63)).replace('"online"', '"maintenance"')], True, [])

    def listings(self) -> bytes:
        """Return the pairs, in the names of REST."""
        return json({"error": [], "result": {name: self._pair(name, of) for name, of in self._rest_names.items()}})

    def _pair(self, name: str, symbol: str) -> dict[str, object]:
        book = self.books[symbol]
        wsname, listing = _old(symbol), book.listing
        base, quote = wsname.split("/")
        return {
            "altname": name, "wsname": wsname, "aclass_base": "currency", "base": base, "aclass_quote": "currency",
            "quote": quote, "lot": "unit", "pair_decimals": listing.price_decimals,
            "lot_decimals": listing.qty_decimals, "lot_multiplier": 1, "ordermin": lot(book), "tick_size": tick(book),
            "status": "online",
        }  # fmt: skip

    def book_at(self, target: str) -> Answer:
        """Return the book of ``/0/public/Depth?pair=XBTUSD``."""
        query = asked(target, "/0/public/Depth")
        if query is None:
            return NO_BOOK
        symbol = self._rest_names.get(query.get("pair", "").replace("/", ""))
        if symbol is None:
            return Answer(200, b'{"error":["EQuery:Unknown asset pair"]}')
        truth, saved, book = self.truth(symbol), self._now(symbol), self.books[symbol]
        most, seconds = int(query.get("count", "100")), saved.ts_ns // SECOND_NS
        asks, bids = (
            [[price(book, key), size(book, lots), seconds] for key, lots in side[:most]]
            for side in (saved.asks, saved.bids)
        )
        return Answer(200, json({"error": [], "result": {query["pair"]: {"asks": asks, "bids": bids}}}), symbol, truth)


def _old(symbol: str) -> str:
    """What REST calls a symbol: ``XBT/USD``."""
    return "/".join(_OLD_NAMES.get(coin, coin) for coin in symbol.split("-"))


def _depth(params: _Params) -> int:
    """The depth of a subscription, 0 where a channel has none."""
    return params.depth if params.channel == "book" else 0


def _wrong(request: _Request) -> str:
    """Return what is wrong with a request whatever its symbols, or nothing."""
    if request.method not in {"subscribe", "unsubscribe"}:
        return "Unsupported method"
    if request.params.channel not in {"book", "trade"}:
        return "Subscription name invalid"
    if request.params.channel == "book" and request.params.depth not in DEPTHS:
        return "Subscription depth not supported"
    return "" if request.params.symbol else "Symbol(s) not found"


ENGINE = KrakenEngine
