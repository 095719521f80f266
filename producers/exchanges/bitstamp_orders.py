"""Bitstamp, order by order: live_orders with its REST snapshot, order_book, and recordings from before 2018.

Rules (https://www.bitstamp.net/websocket/v2/ and https://www.bitstamp.net/api/#tag/Order-book, 2026-11):

1. ``live_orders_PAIR`` has ``order_created``, ``order_changed`` and ``order_deleted``; ``amount`` is what remains, 0 of
   an order that was filled; ``order_type`` 0 buys, 1 sells; ``microtimestamp`` is its time; nothing is numbered.
2. ``/api/v2/order_book/PAIR/?group=2`` is the book of all orders, ``[price, amount, id]``, at its ``microtimestamp``:
   events up to then are in it, kept later ones are applied.
3. ``order_book_PAIR`` pushes the best 100 levels, whole. It is a book of its own where a connection has nothing better;
   else it is there to compare with, and where no book of orders came it starts one (``bitstamp_live.py``).
4. Until 2018 (Pusher) channels without a pair were BTC-USD's, and a message had no time but that of its receipt: its
   ``datetime`` is when the order was created. Tapes hold ``event json`` of it.

One channel feeds a symbol's book: that whose whole book came first, until the book is lost. An order's place in the
queue is that of its arrival; a larger amount, which only a replaced order could have, would be the last.
"""

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from producers.exchanges import base
from producers.exchanges.bitstamp_live import Action, Change, LiveBook, Pushed
from producers.exchanges.bitstamp_rows import Listed, Rows
from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decimal_of, decoded, size_of
from producers.frames import Frame
from producers.levels import levels_of
from producers.times import check_time
from quicksilver.errors import ForeignFrameError, FrameError
from quicksilver.events import AnyEvent, Levels

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

LIVE_ORDERS, BEST, CHANGES = "live_orders_", "order_book_", "diff_order_book_"
KEPT_ORDERS = 100_000  # some minutes of the busiest pair
PLACES = 8  # of an amount; before 2018 trades were written as binary fractions print
PUSHER_SYMBOL = "BTC-USD"
ACTIONS: dict[str, Action] = {action: action for action in ("order_created", "order_changed", "order_deleted")}


class Told(NamedTuple):
    """What a message says of an order, as it is written."""

    action: Action
    id: int
    order_type: int
    price: str
    amount: str
    ts_ns: int


class _Pusher(msgspec.Struct):
    """A message from before 2018."""

    id: int = 0
    order_type: int = -1
    price: str | float = ""
    amount: str | float = ""
    bids: Rows = []
    asks: Rows = []


class _Feed:
    """One symbol: what feeds its book, and what is kept until there is one."""

    def __init__(self) -> None:
        self.source: Literal["", "orders", "pushes"] = ""  # nothing: changes of levels
        self.live = LiveBook()
        self.kept: deque[Change] = deque(maxlen=KEPT_ORDERS)
        self.snapshot_ns = 0
        self.last_ns = 0
        self.pushed: tuple[dict[float, float], dict[float, float]] = ({}, {})


class Orders:
    """Reads order events and pushed books for a parser, whose instruments they are of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._decode_pusher = msgspec.json.Decoder(_Pusher).decode
        self._feeds: dict[str, _Feed] = {}
        self.channels: set[str] = set()  # subscribed to, or heard of

    def _feed(self, one: Instrument) -> _Feed:
        found = self._feeds.get(one.symbol)
        if found is None:
            found = self._feeds[one.symbol] = _Feed()
        return found

    def hear(self, channel: str) -> None:
        """Take note of a channel that is subscribed to; not of names without end, which only damage can bring."""
        if len(self.channels) < 4 * base.MOST_SYMBOLS:
            self.channels.add(channel)

    def feeds(self, one: Instrument) -> bool:
        """Whether a live book comes from here, and changes of levels are of no use to it."""
        found = self._feeds.get(one.symbol)
        return found is not None and one.live and found.source != ""

    def yields(self, one: Instrument) -> None:
        """Leave the book to the changes of levels: a whole book came that they continue."""
        self._feed(one).source = ""
        self._parser.order_books.pop(one.symbol, None)

    def expects(self, one: Instrument, channel: str) -> bool:
        """Whether messages of that channel have come or will, as far as was said."""
        return channel + self._parser.native(one.symbol) in self.channels

    def lost(self, one: Instrument) -> list[int]:
        """Forget what was kept before a loss; returns the times of it."""
        found = self._feeds.get(one.symbol)
        if found is None:
            return []
        times = [change.ts_ns for change in found.kept]
        found.kept.clear()
        return times

    def first(self, one: Instrument) -> list[int]:
        """Return the time of the first change that is kept for a book to come, if any is."""
        found = self._feeds.get(one.symbol)
        return [found.kept[0].ts_ns] if found is not None and found.kept else []

    def pusher(self, frame: Frame, one: Instrument, events: list[AnyEvent]) -> None:
        """Append the events of a message from before 2018, ``event json``.

        Raises:
            FrameError: it is none.
        """
        name, _, text = frame.payload.partition(b" ")
        event, body = name.decode(errors="replace"), decoded(self._decode_pusher, text)
        if event in ACTIONS:
            told = Told(ACTIONS[event], body.id, body.order_type, str(body.price), str(body.amount), frame.ts_recv_ns)
            self.order(frame, one, told, events)
        elif event == "order_book":
            self.hear(LIVE_ORDERS + self._parser.native(one.symbol))
            self.push(frame, one, frame.ts_recv_ns, body.bids, body.asks, events)
        elif event == "trade":
            one.counts.frames += 1
            price, size = decimal_of(body.price), decimal_of(body.amount)
            events.append(one.trade(frame, frame.ts_recv_ns, price, size, None, str(body.id)))
            self.traded(frame, one, price, size, events)
        else:
            raise ForeignFrameError(f"not a Bitstamp event: {event[:40]!r}")

    def order(self, frame: Frame, one: Instrument, told: Told, events: list[AnyEvent]) -> None:
        """Append what an order event changes.

        Raises:
            FrameError: it cannot be read.
        """
        one.counts.frames += 1
        feed, change = self._feed(one), _change(frame, told)
        if not one.live:
            one.counts.skipped += 1  # until a book calls for it
            feed.kept.append(change)
            one.conn = frame.conn
            self.hear(LIVE_ORDERS + self._parser.native(one.symbol))
        elif feed.source != "orders":
            one.counts.skipped += 1
        elif change.ts_ns <= feed.snapshot_ns or not feed.live.take(change):
            one.counts.duplicates += 1
        elif feed.live.stuck(change.ts_ns):
            events += one.gap(frame, change.ts_ns, "an order crosses the book and is not matched: the book is wrong")
        else:
            self._changed(frame, one, change.ts_ns, events)

    def _changed(self, frame: Frame, one: Instrument, ts_ns: int, events: list[AnyEvent]) -> None:
        """Append the levels that have changed; events are not always in the order of their times."""
        feed = self._feed(one)
        feed.last_ns = max(feed.last_ns, ts_ns)
        fold = feed.live.book.changes()
        if fold:
            events.append(one.refolded(frame, feed.last_ns, fold))
        else:
            one.counts.skipped += 1  # an order that has yet to be matched

    def traded(self, frame: Frame, one: Instrument, price: float, size: float, events: list[AnyEvent]) -> None:
        """Append what a trade tells of an order that nobody knows."""
        feed = self._feeds.get(one.symbol)
        if feed is None or not one.live or feed.source != "orders":
            return
        feed.live.traded(price, size_of(f"{size:.{PLACES}f}"))
        fold = feed.live.book.changes()
        if fold:
            events.append(one.refolded(frame, max(feed.last_ns, frame.ts_recv_ns), fold))

    def whole(self, frame: Frame, one: Instrument, ts_ns: int, listed: list[Listed], events: list[AnyEvent]) -> None:
        """Append the book of a REST response that lists all orders, with what was kept applied to it."""
        feed = self._feed(one)
        feed.source, feed.live, feed.snapshot_ns = "orders", LiveBook(), ts_ns
        feed.live.book.load(listed)
        self._start(frame, one, ts_ns, events)

    def _start(
        self, frame: Frame, one: Instrument, ts_ns: int, events: list[AnyEvent], pushed: Pushed | None = None
    ) -> None:
        """Apply what was kept, and append the whole book that there is then."""
        feed = self._feed(one)
        for change in feed.kept:
            one.counts.skipped -= 1
            one.counts.duplicates += 1  # its event is the snapshot
            if change.ts_ns > feed.snapshot_ns and feed.live.take(change):
                ts_ns = max(ts_ns, change.ts_ns)
        feed.kept.clear()
        feed.last_ns = ts_ns
        if pushed is not None:
            feed.live.start(pushed, ts_ns)
        self._parser.order_books[one.symbol] = feed.live.book
        events.append(one.folded(frame, ts_ns, feed.live.book.whole()))

    def push(self, frame: Frame, one: Instrument, ts_ns: int, bids: Rows, asks: Rows, events: list[AnyEvent]) -> None:
        """Append what a pushed book of the best levels says.

        Raises:
            FrameError: it is no book.
        """
        one.counts.frames += 1
        feed, levels = self._feed(one), (levels_of(bids), levels_of(asks))
        if not (bids or asks):
            raise FrameError("an empty order book")
        if one.live and feed.source != "pushes":
            self._parser.observed(one, frame, ts_ns, *levels)
            self._correct(frame, one, ts_ns, _pushed(bids, asks), events)
        elif one.live or not (self.expects(one, LIVE_ORDERS) or self.expects(one, CHANGES)):
            self._follow(frame, one, ts_ns, levels, events)
        elif self.expects(one, LIVE_ORDERS):
            feed.source, feed.live, feed.snapshot_ns = "orders", LiveBook(), 0
            self._start(frame, one, ts_ns, events, _pushed(bids, asks))
        else:
            one.counts.skipped += 1  # changes come, and wait for a book of more levels

    def _correct(self, frame: Frame, one: Instrument, ts_ns: int, pushed: Pushed, events: list[AnyEvent]) -> None:
        """Complete a book of orders that came without those from before."""
        feed = self._feed(one)
        if feed.source != "orders" or not feed.live.partial:
            one.counts.skipped += 1
            return
        feed.live.correct(pushed, ts_ns)
        fold = feed.live.book.changes()
        feed.last_ns = max(feed.last_ns, ts_ns)
        if fold:
            events.append(one.refolded(frame, feed.last_ns, fold))
        else:
            one.counts.duplicates += 1

    def _follow(
        self, frame: Frame, one: Instrument, ts_ns: int, levels: tuple[Levels, Levels], events: list[AnyEvent]
    ) -> None:
        """Take pushed books for the book itself: the first as it is, later ones as what has changed."""
        feed = self._feed(one)
        bids, asks = ({level[0]: level[1] for level in side} for side in levels)
        old, feed.pushed = feed.pushed, (bids, asks)
        if not one.live:
            self.yields(one)
            feed.source, feed.last_ns = "pushes", ts_ns
            events.append(one.snapshot(frame, ts_ns, *levels, None))
        elif ts_ns <= feed.last_ns:
            one.counts.duplicates += 1
            feed.pushed = old
        else:
            feed.last_ns = ts_ns
            events.append(one.delta(frame, ts_ns, _difference(old[0], bids), _difference(old[1], asks)))


def _difference(old: dict[float, float], new: dict[float, float]) -> Levels:
    gone = [(price, 0.0) for price in old if price not in new]
    return Levels.of(gone + [(price, size) for price, size in new.items() if old.get(price) != size])


def _change(frame: Frame, told: Told) -> Change:
    """Return what an order event says.

    Raises:
        FrameError: it is not an order.
    """
    if told.order_type not in {0, 1} or told.id <= 0:
        raise FrameError(f"not an order: id {told.id}, type {told.order_type}")
    price, units = decimal_of(told.price), size_of(told.amount)
    return Change(told.action, told.id, told.order_type, price, units, check_time(frame, told.ts_ns))


def _pushed(bids: Rows, asks: Rows) -> Pushed:
    return {float(price): size_of(size) for price, size in bids}, {float(price): size_of(size) for price, size in asks}
