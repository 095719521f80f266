"""Bitfinex websocket v2: aggregated books (P0 to P4) and trades.

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
from producers.exchanges.feed import Feed
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
COINS = {"UST": "USDT"}  # where the venue's name is nobody else's
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
    kind: Literal["book", "trades"]
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

    def __init__(self, venue: str = "bitfinex", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._decode_event = msgspec.json.Decoder(_Event).decode
        self._channels: dict[tuple[str, int], _Channel | None] = {}
        self._texts: dict[str, _Checked] = {}
        self._trade_ids: dict[str, int] = {}

    def native(self, symbol: str) -> str:
        """Return Bitfinex's name: ``tBTCUSD``, ``tDUSK:USD``."""
        return native_of(symbol)

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:  # noqa: ARG002 (the base's signature)
        """Take in nothing: the websocket gives all that the books need."""
        self.counts.skipped += 1

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
        if channel is None or body == b'"hb"':
            self.counts.skipped += 1
            return
        channel.instrument.counts.frames += 1
        stamp_ms = next((one for one in tail if one >= LEAST_MS), 0)
        ts_ns = check_time(frame, stamp_ms * MS_NS) if stamp_ms else frame.ts_recv_ns
        if channel.kind == "trades":
            self._trade(frame, channel.instrument, texts, events)
        elif body == b'"cs"':
            self._check(frame, channel.instrument, ts_ns, texts, events)
        elif body[:2] in {b"[[", b"[]"}:
            self._snapshot(frame, channel.instrument, ts_ns, body, events)
        else:
            self._update(frame, channel.instrument, ts_ns, body, events)

    def _said(self, frame: Frame, event: _Event, events: list[AnyEvent]) -> None:
        """Take in a message that is no list."""
        if event.event == "error":
            raise RefusalError(f"Bitfinex refuses {event.symbol}: {event.msg} ({event.code})")
        if not event.event:
            raise ForeignFrameError("not a Bitfinex message: an object without an event")
        if event.event == "subscribed":
            self._subscribed(frame, event)
        elif event.event == "unsubscribed":
            self._channels.pop((frame.conn, event.channel_id), None)
        elif event.event == "info" and event.code in ANEW:
            events += self.lost(frame, f"Bitfinex asks to subscribe anew ({event.code})")
        self.counts.skipped += 1

    def _subscribed(self, frame: Frame, event: _Event) -> None:
        known = event.channel == "trades" or (event.channel == "book" and event.prec != "R0")
        if len(self._channels) >= MOST_SYMBOLS:
            raise FrameError(f"more than {MOST_SYMBOLS:,} channels of one parser")
        if not known or not event.symbol.startswith("t"):
            self._channels[frame.conn, event.channel_id] = None
            return
        kind: Literal["book", "trades"] = "trades" if event.channel == "trades" else "book"
        self._channels[frame.conn, event.channel_id] = _Channel(kind, self.instrument(symbol_of(event.symbol)))

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; a connection that is made anew counts its messages anew."""
        if frame.direction in {"connect", "disconnect"}:
            self.last_of.pop(frame.conn, None)
            self._channels = {place: one for place, one in self._channels.items() if place[0] != frame.conn}
        return super().lost(frame, reason)

    def _snapshot(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        levels = [_level(text) for text in body[2:-2].split(b"],[")] if len(body) > 2 else []
        if any(not level.size for level in levels):
            raise FrameError("a whole book with a level that is removed")
        texts = self._texts[one.symbol] = _Checked()
        for level in levels:
            texts.set(level)
        bids, asks = (Levels.of([level[:2] for level in levels if level.side == side]) for side in (0, 1))
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

    def _check(self, frame: Frame, one: Instrument, ts_ns: int, texts: list[bytes], events: list[AnyEvent]) -> None:
        """Apply rule 5."""
        theirs = _integer(texts[2]) if len(texts) > 2 else 0
        if not one.live:
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


def symbol_of(native: str) -> str:
    """Return ``BASE-QUOTE`` of a pair's name.

    >>> symbol_of("tBTCUSD"), symbol_of("tGTXUST"), symbol_of("tETH2X:ETH")
    ('BTC-USD', 'GTX-USDT', 'ETH2X-ETH')

    Raises:
        FrameError: it is none.
    """
    pair = native[1:].upper()
    base, colon, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:])
    if not (base and quote) or (not colon and len(pair) != 6):
        raise FrameError(f"not a Bitfinex pair: {native[:40]!r}")
    return f"{COINS.get(base, base)}-{COINS.get(quote, quote)}"


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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._books: dict[str, int] = {}  # the channel of each book, by the venue's name

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that ask for numbers, checksums and times, and subscribe to books and trades."""
        conf = {"event": "conf", "flags": SEQUENCE | CHECKSUM | TIMESTAMP}
        trades = [_request(event="subscribe", channel="trades", symbol=native_of(symbol)) for symbol in symbols]
        books = [message for symbol in symbols for message in self.subscribe_book(symbol)]
        return [_request(**conf), *books, *trades]

    def heed(self, payload: bytes) -> None:
        """Take note of a book's channel: only by that can it be left."""
        if not payload.startswith(b"{"):
            return
        try:
            event = msgspec.json.decode(payload, type=_Event)
        except UNREADABLE:
            return
        if event.event == "subscribed" and event.channel == "book":
            self._books[event.symbol] = event.channel_id

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        channel = self._books.pop(native_of(symbol), None)
        return [] if channel is None else [_request(event="unsubscribe", chanId=channel)]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; it follows."""
        return [_request(event="subscribe", channel="book", symbol=native_of(symbol), prec="P0", freq="F0", len="250")]


def _request(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()


VENUE = Venue("bitfinex", BitfinexParser, BitfinexFeed)
