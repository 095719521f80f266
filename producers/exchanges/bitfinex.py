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

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from producers.exchanges.base import MOST_SYMBOLS, Parser, Reject, ignore
from producers.exchanges.bitfinex_feed import BitfinexFeed, BitfinexOrdersFeed, Event
from producers.exchanges.bitfinex_levels import Checked, level_in, levels_in, two_sides
from producers.exchanges.bitfinex_listings import PAIRS, native_of, symbol_of
from producers.exchanges.bitfinex_raw import Raw
from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import integer_of
from producers.exchanges.trade_ids import TradeIds
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.times import MS_NS, check_time
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import NO_LEVELS, AnyEvent, Levels

MOST_LEVELS = 10_000  # a side, forty times the deepest book that there is
ANEW = {20_051, 20_061}
LEAST_MS = 10**12  # a number at a message's end that is larger is its time


class _Channel(NamedTuple):
    kind: Literal["book", "raw", "trades"]
    instrument: Instrument


class BitfinexParser(Parser):
    """Bitfinex v2 frames to events."""

    listings = PAIRS
    keeps_best = proves = True

    def __init__(self, venue: str = "bitfinex", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._decode_event = msgspec.json.Decoder(Event).decode
        self._channels: dict[tuple[str, int], _Channel | None] = {}
        self._texts: dict[str, Checked] = {}
        self._trade_ids = TradeIds()
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
            self.observed(one, frame, frame.ts_recv_ns, *two_sides(levels_in(frame.payload)))
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
        number, body = integer_of(texts[0]), texts[1]
        tail = [integer_of(text) for text in texts[3 if body[:1] == b'"' and body != b'"hb"' else 2 :]]
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
            theirs = integer_of(texts[2]) if len(texts) > 2 else 0
            (self._raw.check if raw else self._check)(frame, one, ts_ns, theirs, events)
        elif not raw and self._raw.feeds(one):
            one.counts.skipped += 1
        elif body[:2] in {b"[[", b"[]"}:
            (self._raw.whole if raw else self._snapshot)(frame, one, ts_ns, body, events)
        else:
            (self._raw.update if raw else self._update)(frame, one, ts_ns, body, events)

    def _said(self, frame: Frame, event: Event, events: list[AnyEvent]) -> None:
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
                self.end(left.instrument, frame, events)
        elif event.event == "info" and event.code in ANEW:
            events += self.lost(frame, f"Bitfinex asks to subscribe anew ({event.code})")
        self.counts.skipped += 1

    def leaving(self, frame: Frame) -> Iterable[str]:
        """Return the symbol whose book a message of ours asks Bitfinex to end, by its channel's number."""
        asked = self._decode_event(frame.payload)
        left = self._channels.get((frame.conn, asked.channel_id)) if asked.event == "unsubscribe" else None
        return () if left is None or left.kind == "trades" else (left.instrument.symbol,)

    def _subscribed(self, frame: Frame, event: Event) -> None:
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
        return self.instrument(self.our_names.get(native) or symbol_of(native))

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; a connection that is made anew counts its messages anew."""
        if frame.direction in {"connect", "disconnect"}:
            self.last_of.pop(frame.conn, None)
            self._channels = {place: one for place, one in self._channels.items() if place[0] != frame.conn}
        return super().lost(frame, reason)

    def _snapshot(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        levels = levels_in(body)
        if any(not level.size for level in levels):
            raise FrameError("a whole book with a level that is removed")
        self._raw.yields(one)
        texts = self._texts[one.symbol] = Checked()
        for level in levels:
            texts.set(level)
        bids, asks = two_sides(levels)
        self.observed(one, frame, ts_ns, bids, asks)
        events.append(one.snapshot(frame, ts_ns, bids, asks, None))

    def _update(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        level = level_in(body[1:-1])
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
        if self._trade_ids.new(one, identity, check_time(frame, ts_ns)):
            side: Literal["buy", "sell"] = "buy" if size > 0 else "sell"
            events.append(one.trade(frame, ts_ns, worth, abs(size), side, str(identity)))


VENUE = Venue("bitfinex", BitfinexParser, BitfinexFeed, {"orders": BitfinexOrdersFeed})
