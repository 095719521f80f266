"""One symbol of a venue: its events are numbered, its book is live or not, and what happened is counted.

No book, or one in doubt -> ``snapshot`` -> live -> ``delta`` ... -> ``gap`` -> in doubt. A book in doubt has nothing
more to lose: there is one gap for each loss, and one request for a new book for each gap.
"""

import math

import msgspec

from producers.frames import Frame
from quicksilver.book import MAX_CAPACITY
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Side, Trade
from quicksilver.orders import Fold


class Counts(msgspec.Struct):
    """What happened, for one instrument or a whole run; every frame ends in one of these numbers.

    ``skipped``: history before the subscription, changes to a book that is not ready, messages that carry no market
    data; ``duplicates``: what was there already; ``rejected``: unreadable, dead-lettered. ``renumbered`` is no frame's:
    how often the ids of a symbol's trades began anew.
    """

    frames: int = 0
    events: int = 0
    gaps: int = 0
    resyncs: int = 0
    checksums_passed: int = 0
    checksums_failed: int = 0
    crossed: int = 0
    features: int = 0
    rejected: int = 0
    duplicates: int = 0
    skipped: int = 0
    renumbered: int = 0

    def add(self, other: "Counts") -> None:
        """Add ``other``'s numbers to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Instrument:
    """One symbol of one venue: its event numbers, whether its book can be trusted, and its counts."""

    __slots__ = (
        "_unusable", "bodies", "conn", "counts", "followed", "live", "lost", "seq", "symbol", "trades", "venue",
    )  # fmt: skip

    def __init__(self, venue: str, symbol: str, unusable: set[str]) -> None:
        self._unusable = unusable
        self.venue = venue
        self.symbol = symbol
        self.seq = 0
        self.bodies = 0  # of REST, among the frames that are counted
        self.trades = 0  # among the events
        self.live = False
        self.lost = False
        self.followed = False  # not any more once its subscription has ended: the book becomes old, not wrong
        self.conn = ""
        self.counts = Counts()

    @property
    def heard(self) -> int:
        """How many messages of its connection were about it: what was fetched says nothing of a subscription."""
        return self.counts.frames - self.bodies

    def _next(self) -> int:
        self.seq += 1
        self.counts.events += 1
        return self.seq

    def snapshot(self, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels, depth: int | None) -> BookSnapshot:
        """Number a snapshot; the book can be trusted from here on.

        Raises:
            FrameError: it has more levels than any real book.
        """
        most = max(len(bids), len(asks))
        if most > MAX_CAPACITY:
            raise FrameError(f"a book side of {most:,} levels: more than the {MAX_CAPACITY:,} supported")
        self.counts.resyncs += self.lost
        self.live, self.lost, self.followed, self.conn = True, False, True, frame.conn
        return BookSnapshot(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, bids, asks, depth)

    def delta(self, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels) -> BookDelta:
        """Number one message's level changes."""
        self.seq = seq = self.seq + 1  # as _next, without the call: this is nine events in ten
        self.counts.events += 1
        return BookDelta(self.venue, self.symbol, seq, ts_event_ns, frame.ts_recv_ns, bids, asks)

    def folded(self, frame: Frame, ts_event_ns: int, fold: Fold, depth: int | None = None) -> BookSnapshot:
        """Number a snapshot of an order-by-order book."""
        event = self.snapshot(frame, ts_event_ns, fold.bids, fold.asks, depth)
        return msgspec.structs.replace(event, bid_counts=fold.bid_counts, ask_counts=fold.ask_counts)

    def refolded(self, frame: Frame, ts_event_ns: int, fold: Fold) -> BookDelta:
        """Number the level changes of an order-by-order book."""
        return BookDelta(
            self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns,
            fold.bids, fold.asks, fold.bid_counts, fold.ask_counts,
        )  # fmt: skip

    def trade(
        self, frame: Frame, ts_event_ns: int, price: float, size: float, side: Side | None, trade_id: str | None
    ) -> Trade:
        """Number a trade.

        Raises:
            FrameError: the price or size is not positive.
        """
        if not (0 < price < math.inf and 0 < size < math.inf):
            raise FrameError(f"a trade of {size} at {price}")
        self.trades += 1
        return Trade(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, price, size, side, trade_id)

    def gap(self, frame: Frame, ts_event_ns: int, reason: str) -> list[AnyEvent]:
        """Number a gap, once: a book that is not live has nothing more to lose."""
        return self.refuse(frame, ts_event_ns, reason) if self.live else []

    def refuse(self, frame: Frame, ts_event_ns: int, reason: str) -> list[AnyEvent]:
        """Number a gap for a snapshot that cannot be trusted, even if it was to be the first; once, too.

        Where one is open already no event will make anybody ask for another book: ``Parser.unusable`` says so.
        """
        if self.lost:
            self._unusable.add(self.symbol)
            return []
        self.live, self.lost = False, True
        self.counts.gaps += 1
        return [Gap(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, reason)]
