"""Bitfinex websocket v2: aggregated books (P0 to P4) and trades; raw books (R0) are in ``bitfinex_raw.py``.

Rules (https://docs.bitfinex.com/docs/ws-general and https://docs.bitfinex.com/reference/ws-public-books, 2026-11):

1. ``subscribed`` says which ``chanId`` is whose; all later messages of a channel are lists that begin with it.
2. The first is the whole book, ``[[price, count, amount], ...]``, and replaces what was there. A positive amount is a
   bid, a negative one an ask.
3. Then ``[price, count, amount]`` sets one level; a count of 0 removes it, and the amount's sign tells the side.
4. With flag 65536 each message, whatever its channel, ends with a number that rises by one for each of the connection.
   Above the next: messages were lost, so every book of the connection is in doubt. One at or below the last: seen
   before. With flag 32768 the venue's time in milliseconds is there too.
5. With flag 131072 ``cs`` is the CRC32 of the best 25 levels a side, as their JSON text writes them
   (https://docs.bitfinex.com/docs/ws-websocket-checksum): it differs from ours if the book is wrong.
6. ``te`` is a trade when it is done, ``tu`` the same again; a positive amount was bought by the taker.
7. ``info`` with code 20051 or 20061 (restart, end of maintenance) asks to subscribe anew.
"""

import heapq
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from zlib import crc32

import msgspec

from producers.exchanges.base import MOST_SYMBOLS, Instrument, Parser, Reject, check_time, ignore
from producers.exchanges.bitfinex_listings import COINS, PAIRS, symbol_of
from producers.exchanges.bitfinex_raw import Raw
from producers.exchanges.feed import Feed
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.times import MS_NS
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import NO_LEVELS, AnyEvent, Levels

SEQUENCE, CHECKSUM, TIMESTAMP = 65_536, 131_072, 32_768  # flags of ``conf``
CHECKED = 25  # levels a side
MOST_LEVELS = 10_000  # a side, forty times the deepest book that there is
ANEW = {20_051, 20_061}
LEAST_MS = 10**12  # a number at a message's end that is larger is its time
_NATIVE = {ours: theirs for theirs, ours in COINS.items()}
Text = tuple[bytes, bytes]
"""A level's price and amount, as the venue writes them."""


class _Event(msgspec.Struct, rename={"channel_id": "chanId"}):
    event: str = ""
    channel: str = ""
    channel_id: int = -1
    symbol: str = ""
    prec: str = ""
    code: int = 0
    msg: str = ""


class _Channel(NamedTuple):
    kind: Literal["book", "raw", "trades"]
    instrument: Instrument


class _Checked:
    """The text of a book's levels, from which the checksum is made: bids, asks."""

    def __init__(self) -> None:
        self.sides: tuple[dict[float, Text], dict[float, Text]] = ({}, {})

    def set(self, level: "_Level") -> None:
        if level.size:
            self.sides[level.side][level.price] = level.text
        else:
            self.sides[level.side].pop(level.price, None)

    def checksum(self) -> int:
        """Return the signed CRC32 of the best levels, a bid and an ask in turn."""
        bids, asks = self.sides
        best = (heapq.nlargest(CHECKED, bids), heapq.nsmallest(CHECKED, asks))
        texts = [self.sides[side][best[side][i]] for i in range(CHECKED) for side in (0, 1) if i < len(best[side])]
        number = crc32(b":".join(part for text in texts for part in text))
        return number - (1 << 32) if number >> 31 else number


class _Level(NamedTuple):
    price: float
    size: float
    side: int
    text: Text


class BitfinexParser(Parser):
    """Bitfinex v2 frames to events."""

    listings = PAIRS
    keeps_best = True

    def __init__(self, venue: str = "bitfinex", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._decode_event = msgspec.json.Decoder(_Event).decode
        self._channels: dict[tuple[str, int], _Channel | None] = {}
        self._texts: dict[str, _Checked] = {}
        self._trade_ids: dict[str, int] = {}
        self._raw = Raw(self)

    def native(self, symbol: str) -> str:
        """Return Bitfinex's name: ``tBTCUSD``, ``tDUSK:USD``."""
        return self.natives.get(symbol) or native_of(symbol)

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:  # noqa: ARG002 (the base's signature)
        """Show a book to who compares (``/v2/book/tBTCUSD/P0``): the websocket gives all that the books need.

        https://docs.bitfinex.com/reference/rest-public-book (2026-11): the levels are as in rule 2, without a time.

        Raises:
            FrameError: the body is not an order book.
        """
        name = (frame.url or "").partition("?")[0].removesuffix("/P0").rpartition("/book/")[2]
        one = next((one for one in self.instruments.values() if native_of(one.symbol) == name), None)
        if one is not None:
            self.observed(one, frame, frame.ts_recv_ns, *_two_sides(_levels(frame.payload)))
        self.aside(one)

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Bitfinex's.
        """
        try:
            if frame.payload[:1] == b"{":
                self._said(frame, self._decode_event(frame.payload), events)
                return
            parts = self._decode(frame.payload)
        except UNREADABLE as error:
            raise FrameError(str(error)) from error
        if len(parts) < 2:
            raise ForeignFrameError("not a Bitfinex message: a list without a channel and a body")
        texts = [bytes(part) for part in parts]
        number, body = _integer(texts[0]), texts[1]
        tail = [_integer(text) for text in texts[3 if body[:1] == b'"' and body != b'"hb"' else 2 :]]
        place = next((one for one in tail if one < LEAST_MS), None)
        if place is not None and not self.in_sequence(frame, "message", place, events):  # rule 4
            return
        channel = self._channels.get((frame.conn, number))
        if channel is None:
            self.counts.skipped += 1
            return
        channel.instrument.counts.frames += 1
        if body == b'"hb"':
            channel.instrument.counts.skipped += 1
            return
        stamp_ms = next((one for one in tail if one >= LEAST_MS), 0)
        ts_ns = check_time(frame, stamp_ms * MS_NS) if stamp_ms else frame.ts_recv_ns
        if channel.kind == "trades":
            self._trade(frame, channel.instrument, texts, events)
        else:
            self._book(frame, channel, ts_ns, texts, events)

    def _book(self, frame: Frame, channel: _Channel, ts_ns: int, texts: list[bytes], events: list[AnyEvent]) -> None:
        """Take in a message of a book, of levels or of orders."""
        one, body, raw = channel.instrument, texts[1], channel.kind == "raw"
        if body == b'"cs"':
            theirs = _integer(texts[2]) if len(texts) > 2 else 0
            (self._raw.check if raw else self._check)(frame, one, ts_ns, theirs, events)
        elif not raw and self._raw.feeds(one):
            one.counts.skipped += 1
        elif body[:2] in {b"[[", b"[]"}:
            (self._raw.whole if raw else self._snapshot)(frame, one, ts_ns, body, events)
        else:
            (self._raw.update if raw else self._update)(frame, one, ts_ns, body, events)

    def _said(self, frame: Frame, event: _Event, events: list[AnyEvent]) -> None:
        """Take in a message that is no list."""
        if event.event == "error":
            raise RefusalError(f"Bitfinex refuses {event.symbol}: {event.msg} ({event.code})")
        if not event.event:
            raise ForeignFrameError("not a Bitfinex message: an object without an event")
        if event.event == "subscribed":
            self._subscribed(frame, event)
        elif event.event == "unsubscribed":
            left = self._channels.pop((frame.conn, event.channel_id), None)
            if left is not None and left.kind in {"book", "raw"}:
                left.instrument.followed = False
        elif event.event == "info" and event.code in ANEW:
            events += self.lost(frame, f"Bitfinex asks to subscribe anew ({event.code})")
        self.counts.skipped += 1

    def _subscribed(self, frame: Frame, event: _Event) -> None:
        if len(self._channels) >= MOST_SYMBOLS:
            raise FrameError(f"more than {MOST_SYMBOLS:,} channels of one parser")
        if event.channel not in {"book", "trades"} or not event.symbol.startswith("t"):
            self._channels[frame.conn, event.channel_id] = None
            return
        kind: Literal["book", "raw", "trades"] = "trades" if event.channel == "trades" else "book"
        if event.prec == "R0":
            kind = "raw"
        self._channels[frame.conn, event.channel_id] = _Channel(kind, self._instrument(event.symbol))

    def _instrument(self, native: str) -> Instrument:
        return self.instrument(self.listed.get(native) or symbol_of(native))

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; a connection that is made anew counts its messages anew."""
        if frame.direction in {"connect", "disconnect"}:
            self.last_of.pop(frame.conn, None)
            self._channels = {place: one for place, one in self._channels.items() if place[0] != frame.conn}
        return super().lost(frame, reason)

    def _snapshot(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        levels = _levels(body)
        if any(not level.size for level in levels):
            raise FrameError("a whole book with a level that is removed")
        self._raw.yields(one)
        texts = self._texts[one.symbol] = _Checked()
        for level in levels:
            texts.set(level)
        bids, asks = _two_sides(levels)
        self.observed(one, frame, ts_ns, bids, asks)
        events.append(one.snapshot(frame, ts_ns, bids, asks, None))

    def _update(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        level = _level(body[1:-1])
        if not one.live:
            one.counts.skipped += 1
            return
        texts = self._texts[one.symbol]
        texts.set(level)
        if len(texts.sides[level.side]) > MOST_LEVELS:
            raise FrameError(f"a book of more than {MOST_LEVELS:,} levels a side, of which 250 were asked for")
        changed = Levels.of([level[:2]])
        events.append(one.delta(frame, ts_ns, *((NO_LEVELS, changed) if level.side else (changed, NO_LEVELS))))

    def _check(self, frame: Frame, one: Instrument, ts_ns: int, theirs: int, events: list[AnyEvent]) -> None:
        """Apply rule 5."""
        if not one.live or self._raw.feeds(one):
            one.counts.skipped += 1
            return
        ours = self._texts[one.symbol].checksum()
        if ours == theirs:
            one.counts.checksums_passed += 1
        else:
            one.counts.checksums_failed += 1
            events += one.gap(frame, ts_ns, f"checksum {ours} is not Bitfinex's {theirs}")

    def _trade(self, frame: Frame, one: Instrument, texts: list[bytes], events: list[AnyEvent]) -> None:
        if texts[1] != b'"te"' or len(texts) < 3:
            one.counts.skipped += 1  # history, or the same trade again
            return
        try:
            number, stamp_ms, amount, price = texts[2].strip(b"[]").split(b",")
            identity, ts_ns, size = int(number), int(stamp_ms) * MS_NS, float(amount)
            worth = float(price)
        except ValueError as error:
            raise FrameError(f"not a trade: {error}") from error
        if identity <= self._trade_ids.get(one.symbol, -1):
            one.counts.duplicates += 1
            return
        self._trade_ids[one.symbol] = identity
        side: Literal["buy", "sell"] = "buy" if size > 0 else "sell"
        events.append(one.trade(frame, check_time(frame, ts_ns), worth, abs(size), side, str(identity)))


def _integer(text: bytes) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise FrameError(f"not a number: {text[:40]!r}") from error


def _level(text: bytes) -> _Level:
    """Read ``price,count,amount``.

    Raises:
        FrameError: it is not that.
    """
    try:
        price_text, count_text, amount_text = text.split(b",")
        price, count, amount = float(price_text), int(count_text), float(amount_text)
    except ValueError as error:
        raise FrameError(f"not a price level: {error}") from error
    if not (0 < price < float("inf") and 0 < abs(amount) < float("inf") and count >= 0):
        raise FrameError(f"not a price level: {text[:60]!r}")
    return _Level(price, abs(amount) if count else 0.0, int(amount < 0), (price_text, amount_text))


def _levels(body: bytes) -> list[_Level]:
    """Read ``[[price,count,amount],...]``.

    Raises:
        FrameError: it is not that.
    """
    return [_level(text) for text in body[2:-2].split(b"],[")] if len(body) > 2 else []


def _two_sides(levels: list[_Level]) -> tuple[Levels, Levels]:
    bids, asks = (Levels.of([level[:2] for level in levels if level.side == side]) for side in (0, 1))
    return bids, asks


def native_of(symbol: str) -> str:
    """Return a pair's name at the venue.

    >>> native_of("BTC-USD"), native_of("GTX-USDT"), native_of("ETH2X-ETH")
    ('tBTCUSD', 'tGTXUST', 'tETH2X:ETH')
    """
    base, _, quote = symbol.partition("-")
    base, quote = _NATIVE.get(base, base), _NATIVE.get(quote, quote)
    return f"t{base}{':' if len(base) > 3 or len(quote) > 3 else ''}{quote}"


class BitfinexFeed(Feed):
    """Bitfinex's public socket."""

    url = "wss://api-pub.bitfinex.com/ws/2"
    ping = '{"event":"ping"}'  # its heartbeats are fifteen seconds apart
    rest_url = "https://api-pub.bitfinex.com"
    listings = PAIRS
    limits = Limits(
        "https://docs.bitfinex.com/docs/ws-public and .../docs/requirements-and-limitations (2026-11)",
        connections=Rate(20, 60), channels=25, rest=Rate(30, 60),
    )  # fmt: skip
    precision = "P0"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channels: dict[tuple[str, str], int] = {}  # by kind and the venue's name

    def greeting(self) -> list[str]:
        """Return the message that asks for numbers, checksums and times."""
        return [_request(event="conf", flags=SEQUENCE | CHECKSUM | TIMESTAMP)]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        trades = [_request(event="subscribe", channel="trades", symbol=self.native(symbol)) for symbol in symbols]
        return [*(message for symbol in symbols for message in self.subscribe_book(symbol)), *trades]

    def heed(self, payload: bytes) -> None:
        """Take note of a channel's number: only by that can it be left."""
        if not payload.startswith(b"{"):
            return
        try:
            event = msgspec.json.decode(payload, type=_Event)
        except UNREADABLE:
            return
        if event.event == "subscribed":
            self._channels[event.channel, event.symbol] = event.channel_id

    def forget(self, symbols: Sequence[str]) -> None:
        """Forget these symbols' channels: their numbers are those of a connection."""
        gone = {self.native(symbol) for symbol in symbols}
        self._channels = {place: number for place, number in self._channels.items() if place[1] not in gone}

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return [*self.unsubscribe_book(symbol), *self._leave("trades", symbol)]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return self._leave("book", symbol)

    def _leave(self, channel: str, symbol: str) -> list[str]:
        number = self._channels.pop((channel, self.native(symbol)), None)
        return [] if number is None else [_request(event="unsubscribe", chanId=number)]

    def guess(self, symbol: str) -> str:
        """Return Bitfinex's name: ``tBTCUSD``, ``tDUSK:USD``."""
        return native_of(symbol)

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; it follows."""
        name = self.native(symbol)
        return [_request(event="subscribe", channel="book", symbol=name, prec=self.precision, freq="F0", len="250")]

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the best levels; there is none of more than 100 a side."""
        return f"{self.rest_url}/v2/book/{self.native(symbol)}/P0?len=100"


def _request(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()


class BitfinexOrdersFeed(BitfinexFeed):
    """The same, order by order."""

    precision = "R0"


VENUE = Venue("bitfinex", BitfinexParser, BitfinexFeed, {"orders": BitfinexOrdersFeed})
