"""Bitfinex v2: books of precision P0, trades, and the REST book.

https://docs.bitfinex.com/docs/ws-general, .../reference/ws-public-books and .../docs/ws-websocket-checksum (2026-11).
The letter of the messages is that of recordings. Each channel has a number of its own in each connection. With the
flags of ``conf`` each message of a channel ends with its number in the connection, from 1, and the time, and each
second a book that changed is followed by its checksum. Numbers are written as JavaScript does, for the checksum is made
of their text.
"""

from typing import NamedTuple

import msgspec

from producers.exchanges.bitfinex_feed import CHECKSUM, SEQUENCE, TIMESTAMP
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
    json,
    listed,
    newest_first,
    truth_of,
)
from producers.simulator.venues.bitfinex_book import NAMES, Shown, checksum, level_text, native_of, trade_text
from producers.simulator.venues.text import lot

LENGTHS = (1, 25, 100, 250)
RECENT = 30
FIRST_CHANNEL = 100_000
QUIET_BEATS = 15  # seconds in which a channel said nothing, before its heartbeat


class _Request(msgspec.Struct, rename={"channel_id": "chanId", "precision": "prec"}):
    event: str
    channel: str = ""
    symbol: str = ""
    precision: str = "P0"
    freq: str = "F0"
    len: str | int = 25
    flags: int = 0
    channel_id: int = -1
    cid: int | None = None


class Subscription(NamedTuple):
    """What a channel of a connection is of; ``depth`` is 0 for trades."""

    channel: int
    symbol: str
    depth: int


class BitfinexSession(Session):
    """One connection, its flags and channels."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.flags = 0
        self.next_channel = FIRST_CHANNEL
        self.channels: dict[int, Subscription] = {}


class BitfinexEngine(VenueEngine):
    """Bitfinex's public channels over a simulated market."""

    path = "/ws/2"
    listings_path = "/v2/conf/pub:info:pair,pub:info:pair:futures,pub:map:currency:sym"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._symbols = {native_of(symbol): symbol for symbol in self.books}
        self._shown: dict[tuple[str, int], Shown] = {}
        self._beats = 0

    def new_session(self) -> Session:
        """Return a connection with flags and channels."""
        return BitfinexSession()

    def greet(self, session: Session) -> None:
        """Say the version."""
        server = f"00000000-0000-4000-8000-{self.rng.getrandbits(40):012d}"
        session.greeting.append(
            Message(f'{{"event":"info","version":2,"serverId":"{server}","platform":{{"status":1}}}}')
        )

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        assert isinstance(session, BitfinexSession)
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_said(event="error", msg="invalid json", code=10_000)]
        if request.event == "ping":
            return [_said(event="pong", ts=self.now_ns // 1_000_000, cid=request.cid)]
        if request.event == "conf":
            session.flags = request.flags
            return [_said(event="conf", status="OK", flags=request.flags)]
        if request.event == "unsubscribe":
            return [self._leave(session, request.channel_id)]
        if request.event != "subscribe":
            return [_said(event="error", msg="event: unknown", code=10_000)]
        wrong = self._wrong(session, request)
        return [_refusal(request, *wrong)] if wrong else self._accept(session, request)

    def _leave(self, session: BitfinexSession, channel: int) -> Message:
        gone = session.channels.pop(channel, None)
        if gone is None:
            return _said(event="error", msg="unsubscribe: invalid", code=10_400, chanId=channel)
        session.streams.pop(("book" if gone.depth else "trades", gone.symbol), None)
        return _said(event="unsubscribed", status="OK", chanId=channel)

    def _wrong(self, session: Session, request: _Request) -> tuple[str, int] | None:
        if request.channel not in {"book", "trades"}:
            return "channel: unknown", 10_302
        if request.symbol not in self._symbols:
            return "symbol: invalid", 10_300
        if request.channel == "book" and request.precision != "P0":
            return "prec: invalid", 10_300
        if request.channel == "book" and str(request.len) not in {str(one) for one in LENGTHS}:
            return "length: invalid", 10_300
        taken = (request.channel, self._symbols[request.symbol]) in session.streams
        return ("subscribe: dup", 10_301) if taken else None

    def _accept(self, session: BitfinexSession, request: _Request) -> list[Message]:
        symbol, channel = self._symbols[request.symbol], session.next_channel
        session.next_channel += 1
        depth = int(request.len) if request.channel == "book" else 0
        session.channels[channel] = Subscription(channel, symbol, depth)
        session.streams[request.channel, symbol] = channel
        named = {"event": "subscribed", "channel": request.channel, "chanId": channel, "symbol": request.symbol}
        if depth:
            named |= {"prec": request.precision, "freq": request.freq, "len": str(request.len)}
        first = self._snapshot(session, channel, symbol, depth) if depth else self._history(session, channel, symbol)
        return [_said(**named, pair=request.symbol[1:]), first]

    def _numbered(self, session: BitfinexSession, channel: int, body: str) -> str:
        tail = ""
        session.number += 1
        if session.flags & SEQUENCE:
            tail += f",{session.number}"
        if session.flags & TIMESTAMP:
            tail += f",{self.now_ns // 1_000_000}"
        return f"[{channel},{body}{tail}]"

    def _snapshot(self, session: BitfinexSession, channel: int, symbol: str, depth: int) -> Message:
        book, saved = self.books[symbol], self.saved(symbol)
        self._shown.setdefault((symbol, depth), Shown(book, depth))
        levels = [
            f"[{level_text(book, sign, key, lots)}]"
            for sign, side in ((1, saved.bids), (-1, saved.asks))
            for key, lots in side[:depth]
        ]
        text = self._numbered(session, channel, listed(levels))
        return Message(text, "snapshot", symbol, self.truth(symbol))

    def _history(self, session: BitfinexSession, channel: int, symbol: str) -> Message:
        book = self.books[symbol]
        trades = [f"[{trade_text(book, *fill)}]" for fill in newest_first(book, RECENT)]
        return Message(self._numbered(session, channel, listed(trades)), "trade", symbol)

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of each length of the book, a message for each level."""
        posts: list[Post] = []
        for (name, depth), shown in self._shown.items():
            if name != symbol:
                continue
            readers = self._readers_of(symbol, depth)
            for body, message in self._levels(symbol, shown, *shown.window.told(bids, asks)):
                for session, channel in readers:
                    posts.append((session, message._replace(text=self._numbered(session, channel, body))))
        return posts

    def _readers_of(self, symbol: str, depth: int) -> list[tuple[BitfinexSession, int]]:
        return [
            (session, one.channel)
            for session in self.sessions
            if isinstance(session, BitfinexSession)
            for one in session.channels.values()
            if one.symbol == symbol and one.depth == depth
        ]

    def _levels(self, symbol: str, shown: Shown, bids: Changes, asks: Changes) -> list[tuple[str, Message]]:
        """Return each level's text and message; all removals come first, so that no book on the way is crossed."""
        book, told = self.books[symbol], []
        both = [(0, key, lots) for key, lots in bids] + [(1, key, lots) for key, lots in asks]
        for side, key, lots in sorted(both, key=lambda one: one[2] > 0):
            shown.sides[side].put(key, lots)
            body = f"[{level_text(book, -1 if side else 1, key, lots)}]"
            message = Message("", "update", symbol)
            if symbol in self.watched:
                vital = key <= shown.sides[side].keys[min(10, len(shown.sides[side].keys)) - 1]
                truth = truth_of(book, *shown.sides)
                message = Message("", "update", symbol, truth, vital, body if vital and lots else "")
            told.append((body, message))
            shown.changed = True
        for ladder in shown.sides:
            ladder.commit()
        return told

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of trades, each twice: when it is executed, and again."""
        book = self.books[symbol]
        posts: list[Post] = []
        for session in self.readers("trades", symbol):
            assert isinstance(session, BitfinexSession)
            channel = session.streams["trades", symbol]
            for fill in step.fills:
                text = trade_text(book, fill.trade_id, fill.ts_ns, fill.side, fill.price, fill.lots)
                for kind in ("te", "tu"):
                    numbered = self._numbered(session, channel, f'"{kind}",[{text}]')
                    posts.append((session, Message(numbered, "trade", symbol)))
        return posts

    def beat(self) -> list[Post]:
        """Give the checksums of books that changed, and now and then a heartbeat of each channel of trades."""
        self._beats += 1
        posts: list[Post] = []
        sums = {place: checksum(self.books[place[0]], one) for place, one in self._shown.items() if one.changed}
        for session in self.sessions:
            assert isinstance(session, BitfinexSession)
            for channel, symbol, depth in session.channels.values():
                if (symbol, depth) in sums and session.flags & CHECKSUM:
                    text = self._numbered(session, channel, f'"cs",{sums[symbol, depth]}')
                    posts.append((session, Message(text, "other", symbol)))
                elif not depth and not self._beats % QUIET_BEATS:
                    posts.append((session, Message(self._numbered(session, channel, '"hb"'))))
        for shown in self._shown.values():
            shown.changed = False
        return posts

    def reset(self, symbol: str) -> None:  # noqa: ARG002 (a book has no numbers of its own)
        """Begin the numbers of all connections anew."""
        for session in self.sessions:
            session.number = 0

    def notice(self) -> Notice:
        """Pause, and say when it is over."""
        before = '{"event":"info","code":20060,"msg":"Entering in Maintenance mode. Please pause any activity."}'
        after = '{"event":"info","code":20061,"msg":"Maintenance ended. Please resubscribe to all channels."}'
        return Notice([before], False, [after])

    def listings(self) -> bytes:
        """Return pairs with their least order, no futures, and the coins that have names of the venue's own."""
        none: list[object] = [None] * 7
        pairs = [
            (native[1:], [None, None, None, lot(self.books[symbol]), "2000.0", *none])
            for native, symbol in self._symbols.items()
        ]
        return json([pairs, [], [(theirs, ours) for ours, theirs in NAMES.items()]])

    def book_at(self, target: str) -> Answer:
        """Return the book of ``/v2/book/tBTCUSD/P0`` (https://docs.bitfinex.com/reference/rest-public-book)."""
        path, _, query = target.partition("?")
        parts = path.strip("/").split("/")
        if parts[:2] != ["v2", "book"] or len(parts) != 4 or parts[3] != "P0":
            return NO_BOOK
        symbol = self._symbols.get(parts[2])
        if symbol is None:
            return Answer(500, b'["error",10020,"symbol: invalid"]')
        length = next((int(one[4:]) for one in query.split("&") if one.startswith("len=") and one[4:].isdigit()), 25)
        truth, saved, book = self.truth(symbol), self.saved(symbol), self.books[symbol]
        levels = [
            f"[{level_text(book, sign, *one)}]"
            for sign, side in ((1, saved.bids), (-1, saved.asks))
            for one in side[:length]
        ]
        return Answer(200, listed(levels).encode(), symbol, truth)


def _said(**fields: object) -> Message:
    return Message(json({name: value for name, value in fields.items() if value is not None}).decode())


def _refusal(request: _Request, message: str, code: int) -> Message:
    named: dict[str, object] = {"channel": request.channel, "symbol": request.symbol}
    if request.channel == "book":
        named |= {"prec": request.precision, "freq": request.freq, "len": str(request.len)}
    return _said(**named, event="error", msg=message, code=code, pair=request.symbol[1:])


ENGINE = BitfinexEngine
