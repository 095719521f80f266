"""Kraken, websocket v2: book and trade; level3 (``kraken_level3.py``); and tapes of v1 (``kraken_v1.py``).

Rules of the book (https://docs.kraken.com/api/docs/websocket-v2/book, 2026-11):

1. A ``snapshot`` message holds the subscribed depth of levels; it replaces what was there.
2. An ``update`` sets the size of each level named; size 0 removes it; changes apply in the order given.
3. After each message levels beyond the subscribed depth are dropped: Kraken sends no removal for them.
4. ``checksum`` is the CRC32 of the best ten levels after the message (``kraken_checksum.py``); if it differs from
   ours the book is wrong: subscribe again.

Trades (https://docs.kraken.com/api/docs/websocket-v2/trade): ``side`` is the taker's; ``trade_id`` rises by one per
symbol; the ``snapshot`` is history from before the subscription.
"""

from collections.abc import Iterable

import msgspec

from producers.exchanges import kraken_rest
from producers.exchanges.base import Parser, Reject, ignore
from producers.exchanges.instrument import Instrument
from producers.exchanges.kraken_checksum import ChecksumBook
from producers.exchanges.kraken_feed import KrakenFeed, KrakenOrdersFeed
from producers.exchanges.kraken_level3 import Level3
from producers.exchanges.kraken_listings import ASSET_PAIRS
from producers.exchanges.kraken_v1 import DEPTHS, V1
from producers.exchanges.kraken_wire import Entry, Envelope, Message, Request, Subscription
from producers.exchanges.trade_ids import TradeIds
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import check_time, iso_to_ns
from producers.usual import LevelBlock
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, Levels

MOST_STRANGERS = 100  # names without a book that are kept in mind
_UPDATE = b'{"channel":"book","type":"update","data":[{"symbol":"'  # so begins the usual message
_HEARTBEAT = b'{"channel":"heartbeat"}'
_DATA_FREE = {"heartbeat", "status", "ticker", "ohlc", "instrument"}


class KrakenParser(Parser):
    """Kraken v2 frames to events; every book message's checksum is verified before its event leaves."""

    listings = ASSET_PAIRS
    proves = True

    def __init__(self, venue: str = "kraken", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(Message).decode
        self._decode_envelope = msgspec.json.Decoder(Envelope).decode
        self._scanner = LevelScanner("price", "qty")
        self._block = LevelBlock()
        self._books: dict[str, ChecksumBook] = {}
        self._known: dict[bytes, tuple[Instrument, ChecksumBook, str]] = {}  # by the symbol as usual messages have it
        self._depths: dict[str, int] = {}
        self._trade_ids = TradeIds()
        self._symbols: dict[str, Instrument] = {}
        self._strangers: dict[str, None] = {}  # the oldest first
        self._v1 = V1(self)
        self._level3 = Level3(self, self._instrument)

    def native(self, symbol: str) -> str:
        """Return Kraken's name: ``BTC/USD``."""
        return self.natives.get(symbol) or symbol.replace("-", "/")

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:  # noqa: ARG002 (the base's signature)
        """Show a book to who compares: the websocket gives all that Kraken's books need.

        Raises:
            FrameError: the body is not an order book.
        """
        pair = kraken_rest.asked_for(frame.url or "")
        one = next((one for one in self.instruments.values() if kraken_rest.rest_name(one.symbol) == pair), None)
        if one is not None:
            bids, asks = kraken_rest.book_of(frame.payload, self._scanner)
            self.observed(one, frame, frame.ts_recv_ns, bids, asks, step=kraken_rest.STEP)
        self.aside(one)

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Kraken's.
        """
        if frame.payload.startswith(_UPDATE) and self._usual(frame, events):
            return
        if frame.payload[:1] == b"[":
            self._v1.message(frame, events)
            return
        if frame.payload == _HEARTBEAT:
            self.counts.skipped += 1
            return
        try:
            message = self._decode(frame.payload)
        except UNREADABLE as error:
            self._other(frame, error, events)
            return
        if message.channel in {"book", "trade"} and not message.data:
            raise FrameError(f"a {message.channel} message without data")
        if message.channel == "book":
            take = self._snapshot if message.type == "snapshot" else self._update
            for entry in message.data:
                (self._beside if self._level3.feeds(entry.symbol) else take)(frame, entry, events)
        elif message.channel == "level3":
            self._level3.message(frame, events)
        elif message.channel == "trade":
            for entry in message.data:
                self._trade(frame, entry, message.type == "snapshot", events)
        else:
            self._other(frame, None, events)

    def _usual(self, frame: Frame, events: list[AnyEvent]) -> bool:
        """Take in an update that is written as all are; False, and nothing done, if it is not or its book is not live.

        What is done here is what ``_update`` does, in a third of the time.
        """
        payload = frame.payload
        end = payload.find(b'"', len(_UPDATE))
        known = self._known.get(payload[len(_UPDATE) : end])
        if known is None or not known[0].live or self._level3.feeds(known[2]):
            return False
        one, book, _ = known
        middle, end, ts_ns, ours, theirs = book.read_usual(payload, end, self._block)
        if middle < 0:
            return False
        one.counts.frames += 1
        if ours == theirs:
            one.counts.checksums_passed += 1
            bids, asks = self._block.take(middle, end)
            events.append(one.delta(frame, check_time(frame, ts_ns), bids, asks))
        else:
            wrong = self._differs(one, ours, theirs)
            events += one.gap(frame, check_time(frame, ts_ns), wrong)
        return True

    def _other(self, frame: Frame, error: Exception | None, events: list[AnyEvent]) -> None:
        """Take in what carries no market data: acknowledgements, heartbeats, other channels."""
        try:
            envelope = self._decode_envelope(frame.payload)
        except UNREADABLE as failure:
            raise FrameError(str(failure)) from failure
        if envelope.channel in {"book", "trade", "level3"}:
            raise FrameError(str(error))
        if envelope.error_message:
            raise RefusalError(f"Kraken refuses: {envelope.error_message}")
        if not (envelope.method or envelope.event) and envelope.channel not in _DATA_FREE:
            raise ForeignFrameError("not a Kraken message: it has neither a known channel nor a method")
        if not envelope.success:
            self._refused(frame, envelope)
        ack = envelope.result
        if ack is not None and ack.channel in {"book", "level3"}:
            self._acknowledged(frame, envelope.method, ack, events)
        if envelope.channel == "status" and not self.endings.heard(frame.conn):  # the first message of a connection
            self.end_all_but(frame, events)
        self.counts.skipped += 1

    def _refused(self, frame: Frame, envelope: Envelope) -> None:
        if envelope.method != "unsubscribe":
            raise RefusalError(f"Kraken refuses: {envelope.error}")
        if envelope.symbol in self._symbols:  # there was nothing to end any more
            self.endings.answered(frame.conn, self._symbols[envelope.symbol].symbol)

    def leaving(self, frame: Frame) -> Iterable[str]:
        """Return the symbols whose books a message of ours asks Kraken to end."""
        asked = msgspec.json.decode(frame.payload, type=Request)
        if asked.method != "unsubscribe" or asked.params.channel not in {"book", "level3"}:
            return ()
        return [self._symbols[native].symbol for native in asked.params.symbol if native in self._symbols]

    def _acknowledged(self, frame: Frame, method: str, ack: Subscription, events: list[AnyEvent]) -> None:
        if method == "unsubscribe":
            if ack.symbol in self._symbols:
                self.end(self._symbols[ack.symbol], frame, events)
        elif ack.channel == "level3":
            self._level3.acknowledged(ack.symbol, ack.depth)
        elif ack.depth in DEPTHS:
            self._instrument(ack.symbol)  # which is one
            self._depths[ack.symbol] = ack.depth

    def _instrument(self, native: str) -> Instrument:
        found = self._symbols.get(native)
        if found is None:
            base, slash, quote = native.partition("/")
            if not (base and slash and quote):
                raise FrameError(f"not a Kraken symbol: {native[:40]!r}")
            symbol = self.our_names.get(native) or f"{base}-{quote}".upper()
            other = self.instruments.get(symbol)
            if other is not None and other.live:
                raise FrameError(f"{native[:40]!r} is not how {symbol} was written before")
            if other is not None:  # what it was called before may have been damaged
                self._unname(other)
            found = self._symbols[native] = self.instrument(symbol)
        return found

    def _unname(self, one: Instrument) -> None:
        for native in [native for native, other in self._symbols.items() if other is one]:
            del self._symbols[native]
            self._books.pop(native, None)
            self._known.pop(native.encode(), None)
            self._depths.pop(native, None)

    def _stranger(self, native: str) -> Instrument:
        """The instrument of an update without a snapshot before it, as at the start of a recording cut in mid-stream.

        Where other books are live it is more likely one of theirs, its name damaged.
        """
        if native not in self._strangers and any(one.live for one in self.instruments.values()):
            self._strangers[native] = None
            if len(self._strangers) > MOST_STRANGERS:
                del self._strangers[next(iter(self._strangers))]
            raise FrameError(f"an update of {native[:40]!r}, of which there was no snapshot")
        return self._instrument(native)

    def _changes(self, one: Instrument, book: ChecksumBook, entry: Entry) -> tuple[Levels, Levels, str]:
        """Return the bids and asks of a message, and why the book is wrong with them, or nothing."""
        bids, asks, ours = book.read(self._scanner, entry.bids, entry.asks)
        return bids, asks, self._differs(one, ours, entry.checksum)

    @staticmethod
    def _differs(one: Instrument, ours: int, theirs: int) -> str:
        """Count a checksum; returns why the book is wrong, or nothing."""
        if ours == theirs:
            one.counts.checksums_passed += 1
            return ""
        one.counts.checksums_failed += 1
        return f"checksum {ours:.0f} is not Kraken's {theirs}"

    def _beside(self, frame: Frame, entry: Entry, events: list[AnyEvent]) -> None:  # noqa: ARG002
        """Take nothing of a book whose orders come as well."""
        one = self._instrument(entry.symbol)
        one.counts.frames += 1
        one.counts.skipped += 1

    def _snapshot(self, frame: Frame, entry: Entry, events: list[AnyEvent]) -> None:
        one = self._instrument(entry.symbol)
        one.counts.frames += 1
        n = max(len(side) for side in self._scanner.two(entry.bids, entry.asks))
        depth = self._depths.get(entry.symbol) or next((d for d in DEPTHS if d >= n), DEPTHS[-1])
        book = self._books[entry.symbol] = ChecksumBook(depth)
        self._known[entry.symbol.encode()] = one, book, entry.symbol
        bids, asks, wrong = self._changes(one, book, entry)
        ts_ns = check_time(frame, iso_to_ns(entry.timestamp)) if entry.timestamp else frame.ts_recv_ns
        if wrong:
            events += one.refuse(frame, ts_ns, wrong)
        else:
            self.observed(one, frame, ts_ns, bids, asks)
            self._level3.yields(one, entry.symbol)
            events.append(one.snapshot(frame, ts_ns, bids, asks, depth))

    def _update(self, frame: Frame, entry: Entry, events: list[AnyEvent]) -> None:
        one = self._symbols.get(entry.symbol) or self._stranger(entry.symbol)
        one.counts.frames += 1
        if not one.live:
            one.counts.skipped += 1
            return
        book = self._books[entry.symbol]
        bids, asks, wrong = self._changes(one, book, entry)
        ts_ns = check_time(frame, iso_to_ns(entry.timestamp))
        if wrong:
            events += one.gap(frame, ts_ns, wrong)
        else:
            events.append(one.delta(frame, ts_ns, bids, asks))

    def _trade(self, frame: Frame, entry: Entry, history: bool, events: list[AnyEvent]) -> None:
        one = self._instrument(entry.symbol)
        one.counts.frames += 1
        ts_ns = iso_to_ns(entry.timestamp)
        if not history:
            check_time(frame, ts_ns)
        if not self._trade_ids.new(one, entry.trade_id, ts_ns):
            return
        if history:
            one.counts.skipped += 1
        else:
            events.append(one.trade(frame, ts_ns, entry.price, entry.qty, entry.side, str(entry.trade_id)))


VENUE = Venue("kraken", KrakenParser, KrakenFeed, {"orders": KrakenOrdersFeed})
