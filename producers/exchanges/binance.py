"""Binance, spot: depth, aggTrade and trade streams, with the REST book that the changes stand on.

Rules (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, "How to manage a local order book
correctly", 2026-11):

1. Open the stream and keep its ``depthUpdate`` messages: each holds the changes numbered ``U`` to ``u``.
2. Fetch ``/api/v3/depth``; it is the book after change ``lastUpdateId``. Older than the first message kept: fetch anew.
3. Drop messages whose ``u`` is not above the book's; the first that is left has ``U`` at most one above it.
4. The ``U`` of each further message is at most one above the last ``u``; above that, messages were lost. Numbers that
   fall below those of the stream's last messages began anew: what lay between is not known.
5. A change sets the size of the level named; 0 removes it. Levels beyond those fetched are known once they change.
6. There is no checksum.

The futures' messages also say ``pu``, the ``u`` of the message before, by which they are chained: see
``binanceusdm.py``.

``m`` of a trade says that the buyer was the maker: the taker sold. ``aggTrade`` are the same executions as ``trade``,
those of one taker at one price together: of a connection that has both only the first kind seen counts.

``bookTicker`` is the best bid and ask after change ``u``, at once: it audits the book where a ``depthUpdate`` ends with
that change.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
import numpy as np

from producers.decimals import float_of
from producers.exchanges.base import NEAR, Parser, Reject, ignore
from producers.exchanges.binance_feed import BinanceFeed
from producers.exchanges.binance_listings import ANY_INFO
from producers.exchanges.binance_names import native_of, symbol_of
from producers.exchanges.binance_usual import DEPTH, MESSAGE_KINDS, N_FIELDS, read_usual
from producers.exchanges.binance_wire import Book, Data, Error, Message, Other
from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decoded, split_address, text_of
from producers.exchanges.trade_ids import TradeIds
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner, levels_of
from producers.times import MS_NS, check_time
from producers.usual import LevelBlock
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import NO_LEVELS, AnyEvent, Levels, Side

KEPT_CHANGES = 10_000  # about a quarter of an hour at ten a second
KEPT_TICKERS = 256  # of a symbol, between two of its book's messages
_TRADES = {"trade", "aggTrade"}


class Change(NamedTuple):
    """One depthUpdate: all that happened to a book after change ``after`` and until change ``last``."""

    frame: Frame
    ts_ns: int
    after: int
    last: int
    bids: Levels
    asks: Levels


class BinanceParser(Parser):
    """Binance spot frames to events."""

    listings = ANY_INFO

    def __init__(self, venue: str = "binance", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(Message).decode
        self._decode_other = msgspec.json.Decoder(Other).decode
        self._decode_book = msgspec.json.Decoder(Book).decode
        self._scanner = LevelScanner()
        self._block = LevelBlock()
        self._fields = np.zeros(N_FIELDS, np.int64)
        self._pairs: dict[str, Instrument] = {}
        self._last: dict[str, int] = {}
        self._kept: dict[str, deque[Change]] = {}
        self._heard: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=NEAR))  # the newest numbers
        self._tickers: dict[str, deque[tuple[int, Frame, Levels, Levels]]] = {}
        self._kinds: dict[str, str] = {}  # of trades that count, by symbol
        self._trade_ids = TradeIds()

    def native(self, symbol: str) -> str:
        """Return Binance's name: ``BTCUSDT``."""
        return self.natives.get(symbol) or native_of(symbol)

    def number_of(self, symbol: str) -> int | None:
        """Return ``u`` of the last change."""
        return self._last.get(symbol)

    def _instrument(self, pair: str) -> Instrument:
        found = self._pairs.get(pair)
        if found is None:
            found = self.named(self._pairs, pair, self.our_names.get(pair) or symbol_of(pair))
        return found

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Binance's.
        """
        if self._usual(frame, events):
            return
        try:
            message = self._decode(frame.payload)
        except UNREADABLE as error:
            self._other(frame, error)
            return
        data = message if message.data is None else message.data
        if data.kind == "depthUpdate":
            self._depth(frame, data, events)
        elif data.kind in _TRADES:
            self._trade(frame, data, events)
        elif data.bid_size and data.ask_size and data.kind in {"", "bookTicker"}:
            self._ticker(frame, data)
        else:
            self._other(frame, None)

    def _usual(self, frame: Frame, events: list[AnyEvent]) -> bool:
        """Take in a message that is written as all are; False, and nothing done, if it is not.

        What is done here is what ``_depth`` and ``_trade`` do, in a third of the time.
        """
        block = self._block
        kind, start, end, time_ms, first, second, middle, stop = read_usual(
            frame.payload, self._fields, block.at, block.rows, block.mantissas
        )
        if kind < 0:
            return False
        one = self._instrument(frame.payload[start:end].decode())
        one.counts.frames += 1
        ts_ns = check_time(frame, time_ms * MS_NS)
        if kind == DEPTH:
            bids, asks = block.take(middle, stop)
            self._changed(frame, one, ts_ns, first, second, bids, asks, events)
        else:
            price, size = block.rows[stop].tolist()
            self._traded(frame, one, ts_ns, MESSAGE_KINDS[kind], first, price, size, second == 1, events)
        return True

    def _ticker(self, frame: Frame, data: Data) -> None:
        """Keep the best prices after a change until the book has it too: then they are shown to who compares."""
        one = self._pairs.get(data.pair)
        if one is None:
            self.counts.skipped += 1
            return
        one.counts.frames += 1
        one.counts.skipped += 1
        if one.live and self.observers:
            texts = [text_of(price) for price in (data.bids, data.asks)]
            bid, ask = (levels_of([pair]) for pair in zip(texts, (data.bid_size, data.ask_size), strict=True))
            self._tickers.setdefault(one.symbol, deque(maxlen=KEPT_TICKERS)).append((data.last, frame, bid, ask))

    def _compare(self, one: Instrument, last: int) -> None:
        """Show the best prices after change ``last``, if they were told, to who compares."""
        tickers = self._tickers.get(one.symbol)
        while tickers and tickers[0][0] <= last:
            number, frame, bid, ask = tickers.popleft()
            if number == last:
                self.observed(one, frame, frame.ts_recv_ns, bid, ask, number)

    def _other(self, frame: Frame, error: Exception | None) -> None:
        """Take in what carries no market data: answers to requests, other streams."""
        try:
            other = self._decode_other(frame.payload)
        except UNREADABLE as failure:
            raise FrameError(str(error or failure)) from failure
        inner = other.data if isinstance(other.data, dict) else {}
        named = other.kind or inner.get("e")
        kind = named if isinstance(named, str) else ""
        if error is not None and kind in {"depthUpdate", *_TRADES}:
            raise FrameError(str(error))
        refused = other.error or (Error(other.code, other.msg) if other.code else None)
        if refused is not None:
            raise RefusalError(f"Binance refuses: {refused.msg} ({refused.code})")
        if not (kind or other.stream or other.id is not None):
            raise ForeignFrameError("not a Binance message: it has neither a kind nor a stream")
        self.counts.skipped += 1

    def _depth(self, frame: Frame, data: Data, events: list[AnyEvent]) -> None:
        one = self._instrument(data.pair)
        one.counts.frames += 1
        ts_ns = check_time(frame, data.time_ms * MS_NS)
        if not 0 <= data.first <= data.last:
            raise FrameError(f"not numbers of changes: {data.first} to {data.last}")
        bids, asks = self._scanner.two(data.bids, data.asks)
        after = data.first - 1 if data.before < 0 else data.before
        self._changed(frame, one, ts_ns, after, data.last, bids, asks, events)

    def _changed(
        self, frame: Frame, one: Instrument, ts_ns: int, after: int, last: int, bids: Levels, asks: Levels,
        events: list[AnyEvent],
    ) -> None:  # fmt: skip
        """Take in a book's changes, of which all come but the numbers ``after`` and ``last`` say otherwise."""
        if one.live and after <= self._last[one.symbol] < last:  # as in _apply: nearly all are
            self._last[one.symbol] = last
            self._heard[one.symbol].append(last)
            events.append(one.delta(frame, ts_ns, bids, asks))
            self._compare(one, last)
            return
        own = [Levels(side.array.copy()) if side else NO_LEVELS for side in (bids, asks)]  # the block is everybody's
        change = Change(frame, ts_ns, after, last, *own)
        if one.live:
            self._apply(one, change, frame, events)
        else:
            self._keep(one, change)
        self._heard[one.symbol].append(change.last)

    def _keep(self, one: Instrument, change: Change) -> None:
        one.counts.skipped += 1  # until a book calls for it
        one.conn = change.frame.conn
        self._kept.setdefault(one.symbol, deque(maxlen=KEPT_CHANGES)).append(change)

    def _apply(self, one: Instrument, change: Change, known: Frame, events: list[AnyEvent]) -> None:
        """Apply rules 3 and 4; ``known`` is the frame with which the change became an event."""
        last = self._last[one.symbol]
        if change.last <= last:
            self._repeated(one, change, known, events)
        elif change.after <= last:
            self._last[one.symbol] = change.last
            events.append(one.delta(known, change.ts_ns, change.bids, change.asks))
        else:
            events += one.gap(known, change.ts_ns, f"changes after {change.after}, {last} was the last: some were lost")
            self._keep(one, change)

    def _repeated(self, one: Instrument, change: Change, known: Frame, events: list[AnyEvent]) -> None:
        """Count a change that the book has; but numbers that fall, of a message never heard before, began anew."""
        heard = self._heard.get(one.symbol)
        if heard is None or change.last in heard or change.last > max(heard):
            one.counts.duplicates += 1
            return
        events += one.gap(known, change.ts_ns, f"changes until {change.last} after {max(heard)}: numbers began anew")
        heard.clear()
        self._keep(one, change)

    def _trade(self, frame: Frame, data: Data, events: list[AnyEvent]) -> None:
        one = self._instrument(data.pair)
        one.counts.frames += 1
        try:
            number = data.trade_id if data.kind == "trade" else int(bytes(data.asks))
        except ValueError as error:
            raise FrameError(f"not a trade: {error}") from error
        price, size = float_of(data.price), float_of(data.size)
        ts_ns = check_time(frame, data.trade_ms * MS_NS)
        self._traded(frame, one, ts_ns, data.kind, number, price, size, data.buyer_made, events)

    def _traded(
        self, frame: Frame, one: Instrument, ts_ns: int, kind: str, number: int, price: float, size: float,
        buyer_made: bool | None, events: list[AnyEvent],
    ) -> None:  # fmt: skip
        """Take in a trade, unless its connection has the other kind too, or has had it."""
        if self._kinds.setdefault(one.symbol, kind) != kind:
            one.counts.skipped += 1
        elif self._trade_ids.new(one, number, ts_ns):
            side: Side | None = None if buyer_made is None else "sell" if buyer_made else "buy"
            events.append(one.trade(frame, ts_ns, price, size, side, str(number)))

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the book that a REST response gives, and the changes kept that follow it; while it is live: compare.

        Raises:
            FrameError: the body is not an order book.
        """
        one = self._asked_for(frame.url or "")
        if one is None:
            self.aside(None)
            return
        book = decoded(self._decode_book, frame.payload)
        bids, asks = self._scanner.two(book.bids, book.asks)
        if not (bids or asks):
            raise FrameError("an empty order book")
        if self.awaiting(one, frame) is None:
            ts_ns = check_time(frame, book.time_ms * MS_NS) if book.time_ms else frame.ts_recv_ns
            self.observed(one, frame, ts_ns, bids, asks, book.last)
            return
        self._start(one, frame, book, (bids, asks), events)

    def _start(
        self, one: Instrument, frame: Frame, book: Book, levels: tuple[Levels, Levels], events: list[AnyEvent]
    ) -> None:
        """Apply rules 2 and 3 to a book and what was kept for it."""
        kept = self._kept.get(one.symbol, ())
        earlier = [change for change in kept if change.last <= book.last]
        later = [change for change in kept if change.last > book.last]
        ts_ns = check_time(frame, book.time_ms * MS_NS) if book.time_ms else _time_of(earlier, later, frame)
        if later and not earlier and later[0].after > book.last:
            why = f"the book ends with change {book.last}, the first kept follows {later[0].after}: it is too old"
            events += one.refuse(frame, ts_ns, why)
            one.counts.skipped += 1
            return
        events.append(one.snapshot(frame, ts_ns, *levels, None))
        self._last[one.symbol] = book.last
        self._kept.pop(one.symbol, None)
        one.counts.skipped -= len(kept)
        one.counts.duplicates += len(earlier)
        for change in later:
            self._known(one, change, frame, events)

    def _known(self, one: Instrument, change: Change, snapshot: Frame, events: list[AnyEvent]) -> None:
        """Apply a change that was kept: it is known only now, together with the book that it follows."""
        if one.live:
            self._apply(one, change, msgspec.structs.replace(snapshot, conn=change.frame.conn), events)
        else:
            self._keep(one, change)

    def _asked_for(self, url: str) -> Instrument | None:
        """The instrument of a REST book's address ``.../depth?symbol=BTCUSDT``; the only one if that is not said."""
        if url.startswith("http") and "/depth" not in url:
            return None
        named = parse_qs(split_address(url).query).get("symbol")
        if named:
            return self._instrument(self.native(named[0]).upper())
        known = list(self.instruments.values())
        return known[0] if len(known) == 1 else None

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; what was kept before a connection broke is no bridge."""
        if frame.direction == "rest":
            with suppress(FrameError):  # an address may name what is no pair
                one = self._asked_for(frame.url or "")
                return one.refuse(frame, frame.ts_recv_ns, reason) if one is not None and not one.live else []
            return []
        if frame.direction != "recv":
            for one in self.concerned(frame):
                self._kept.pop(one.symbol, None)
                self._heard.pop(one.symbol, None)
        return super().lost(frame, reason)


def _time_of(earlier: Sequence[Change], later: Sequence[Change], frame: Frame) -> int:
    """The venue's time of a book that has none of its own: that of the last change in it, for our clock is another."""
    return earlier[-1].ts_ns if earlier else later[0].ts_ns if later else frame.ts_recv_ns


VENUE = Venue("binance", BinanceParser, BinanceFeed)
