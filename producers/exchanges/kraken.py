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

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from producers.exchanges import kraken_rest
from producers.exchanges.base import Instrument, Parser, Reject, check_time, ignore
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_checksum import ChecksumBook
from producers.exchanges.kraken_level3 import Level3
from producers.exchanges.kraken_listings import ASSET_PAIRS
from producers.exchanges.kraken_v1 import DEPTHS, V1
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import iso_to_ns
from producers.usual import LevelBlock
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, InputError, RefusalError
from quicksilver.events import AnyEvent, Levels, Side

TOKEN = "KRAKEN_TOKEN"  # the environment variable
MOST_STRANGERS = 100  # names without a book that are kept in mind
_MISSING = msgspec.Raw(b"")  # no list of levels: a side left out is a damaged message, for Kraken sends both
_UPDATE = b'{"channel":"book","type":"update","data":[{"symbol":"'  # so begins the usual message
_HEARTBEAT = b'{"channel":"heartbeat"}'
_DATA_FREE = {"heartbeat", "status", "ticker", "ohlc", "instrument"}


class _Entry(msgspec.Struct):
    """One element of ``data``, of the book or the trade channel."""

    symbol: str = ""
    bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    checksum: int = -1
    timestamp: str = ""
    side: Side | None = None
    price: float = 0.0
    qty: float = 0.0
    trade_id: int = 0


class _Subscription(msgspec.Struct):
    channel: str = ""
    symbol: str = ""
    depth: int = 0


class _Envelope(msgspec.Struct, rename={"error_message": "errorMessage"}):
    event: str = ""  # of v1
    error_message: str = ""
    channel: str = ""
    method: str = ""
    error: str = ""
    success: bool = True
    result: _Subscription | None = None


class _Message(msgspec.Struct):
    channel: str = ""
    type: str = ""
    data: list[_Entry] = []


class KrakenParser(Parser):
    """Kraken v2 frames to events; every book message's checksum is verified before its event leaves."""

    listings = ASSET_PAIRS

    def __init__(self, venue: str = "kraken", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(_Message).decode
        self._decode_envelope = msgspec.json.Decoder(_Envelope).decode
        self._scanner = LevelScanner("price", "qty")
        self._block = LevelBlock()
        self._books: dict[str, ChecksumBook] = {}
        self._known: dict[bytes, tuple[Instrument, ChecksumBook, str]] = {}  # by the symbol as usual messages have it
        self._depths: dict[str, int] = {}
        self._trade_ids: dict[str, int] = {}
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
            self._other(frame, error)
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
            self._other(frame, None)

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

    def _other(self, frame: Frame, error: Exception | None) -> None:
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
            raise RefusalError(f"Kraken refuses: {envelope.error}")
        ack = envelope.result
        if ack is not None and ack.channel in {"book", "level3"}:
            self._acknowledged(envelope.method, ack)
        if envelope.channel == "status":  # the first message of a connection
            self.unfollow_all_but(frame)
        self.counts.skipped += 1

    def _acknowledged(self, method: str, ack: _Subscription) -> None:
        if method == "unsubscribe":
            if ack.symbol in self._symbols:
                self._symbols[ack.symbol].followed = False
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
            symbol = self.listed.get(native) or f"{base}-{quote}".upper()
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

    def _changes(self, one: Instrument, book: ChecksumBook, entry: _Entry) -> tuple[Levels, Levels, str]:
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

    def _beside(self, frame: Frame, entry: _Entry, events: list[AnyEvent]) -> None:  # noqa: ARG002
        """Take nothing of a book whose orders come as well."""
        one = self._instrument(entry.symbol)
        one.counts.frames += 1
        one.counts.skipped += 1

    def _snapshot(self, frame: Frame, entry: _Entry, events: list[AnyEvent]) -> None:
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

    def _update(self, frame: Frame, entry: _Entry, events: list[AnyEvent]) -> None:
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

    def _trade(self, frame: Frame, entry: _Entry, history: bool, events: list[AnyEvent]) -> None:
        one = self._instrument(entry.symbol)
        one.counts.frames += 1
        last = self._trade_ids.get(one.symbol, 0)
        if entry.trade_id <= last:
            one.counts.duplicates += 1
            return
        if history:
            one.counts.skipped += 1
        else:
            ts_ns = check_time(frame, iso_to_ns(entry.timestamp))
            events.append(one.trade(frame, ts_ns, entry.price, entry.qty, entry.side, str(entry.trade_id)))
        self._trade_ids[one.symbol] = entry.trade_id


class KrakenFeed(Feed):
    """Kraken's public socket: https://docs.kraken.com/api/docs/guides/spot-ws-intro."""

    url = "wss://ws.kraken.com/v2"
    rest_url = "https://api.kraken.com"
    depth = 100
    listings = ASSET_PAIRS
    limits = Limits(
        "https://docs.kraken.com/api/docs/guides/spot-ratelimits (2026-11): about 150 connections in ten minutes,"
        " messages as the load allows; https://support.kraken.com/articles/206548367: REST once a second",
        connections=Rate(150, 600), messages=Rate(20, 1), rest=Rate(1, 1),
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        names = [self.native(symbol) for symbol in symbols]
        trades = {"channel": "trade", "symbol": names, "snapshot": True}
        return [self._request("subscribe", self._book(names)), self._request("subscribe", trades)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        trades = {"channel": "trade", "symbol": [self.native(symbol)]}
        return [*self.unsubscribe_book(symbol), self._request("unsubscribe", trades)]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return [self._request("unsubscribe", self._book([self.native(symbol)]))]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; its snapshot follows."""
        return [self._request("subscribe", self._book([self.native(symbol)]))]

    def guess(self, symbol: str) -> str:
        """Return Kraken's name: ``BTC/USD``."""
        return symbol.replace("-", "/")

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of as many levels as are subscribed to."""
        return f"{self.rest_url}{kraken_rest.PATH}?pair={kraken_rest.rest_name(symbol)}&count={self.depth}"

    def _book(self, names: list[str]) -> dict[str, Any]:
        return {"channel": "book", "symbol": names, "depth": self.depth}

    @staticmethod
    def _request(method: str, params: dict[str, Any]) -> str:
        return msgspec.json.encode({"method": method, "params": params}).decode()


class KrakenOrdersFeed(KrakenFeed):
    """The same, order by order, on the socket for holders of a key.

    The token is short-lived, and asked for at each connection: https://docs.kraken.com/api/docs/guides/spot-ws-auth.

    Raises:
        InputError: neither a token is given nor ``KRAKEN_TOKEN`` set.
    """

    url = "wss://ws-auth.kraken.com/v2"
    depth = 1000

    def __init__(self, *args: Any, token: Callable[[], str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token = token or (lambda: os.environ.get(TOKEN, ""))
        if not self._token():
            raise InputError(f"Kraken gives its books order by order to holders of a key alone: set {TOKEN} to a token")

    def _book(self, names: list[str]) -> dict[str, Any]:
        return {"channel": "level3", "symbol": names, "depth": self.depth, "snapshot": True, "token": self._token()}

    def redacted(self, message: str) -> str:
        """Return the message without the token."""
        return re.sub(r'"token":"[^"]*"', '"token":""', message)


VENUE = Venue("kraken", KrakenParser, KrakenFeed, {"orders": KrakenOrdersFeed})
