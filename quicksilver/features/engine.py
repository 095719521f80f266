"""The features of one instrument: its book, the state behind the windows, and the records they give."""

from collections.abc import Mapping, Sequence

import numpy as np

from quicksilver.book import Book
from quicksilver.counts import LevelCounts
from quicksilver.events import BookDelta, BookSnapshot, FloatArray, Price, Trade
from quicksilver.features import clock, kernel
from quicksilver.features.state import TICKS, new_state, reset
from quicksilver.records import BookTop, Features, FullBook, TopLevel

FULL_TICKS = tuple(f"full_{name}" for name in TICKS)
SIGN = {"buy": 1, "sell": -1, None: 0}


class FeatureEngine:
    """Takes one instrument's events in, one at a time, and keeps ``vector``, its latest feature vector.

    ``vector`` has shape ``(28,)``, float64, NaN where not known, in the field order of ``records.Features``.
    """

    __slots__ = ("book", "state", "vector")

    def __init__(self) -> None:
        self.book = Book()
        self.state = new_state()
        self.vector = np.full(kernel.N_FEATURES, np.nan)

    def snapshot(self, event: BookSnapshot) -> bool:
        """Replace the book and compute; False if the book is crossed (it is then not ready).

        Raises:
            StateError: more levels than supported.
        """
        self.book.snapshot(event.bids, event.asks, event.depth)
        code = kernel.on_delta(
            self.book.block, self.state, event.bids.array[:0], event.asks.array[:0], event.ts_event_ns, self.vector
        )
        return self._settle(code, event.ts_event_ns)

    def delta(self, event: BookDelta) -> bool:
        """Apply one message to a ready book and compute; False if the book is crossed (it is then not ready).

        Raises:
            StateError: more levels than supported.
        """
        bids, asks = event.bids.array, event.asks.array
        code = kernel.on_delta(self.book.block, self.state, bids, asks, event.ts_event_ns, self.vector)
        if code == kernel.FULL:
            self.book.reserve(len(bids), len(asks))
            code = kernel.on_delta(self.book.block, self.state, bids, asks, event.ts_event_ns, self.vector)
        return code == kernel.OK or self._settle(code, event.ts_event_ns)

    def _settle(self, code: int, ts_event_ns: int) -> bool:
        if code == kernel.BROKEN:
            self.gap()
            return False
        if code == kernel.BREAK:
            reset(self.state)
            kernel.on_book(self.book.block, self.state, ts_event_ns, self.vector)
        return True

    def trade(self, event: Trade) -> None:
        """Take in one trade; it moves no vector until the next book message."""
        if clock.add_trade(self.state, event.ts_event_ns, event.size, SIGN[event.side]):
            reset(self.state)
            clock.add_trade(self.state, event.ts_event_ns, event.size, SIGN[event.side])

    def price(self, event: Price) -> None:
        """Compute the vector of a price series' row."""
        volume = np.nan if event.volume is None else event.volume
        kernel.on_price(self.state, event.ts_event_ns, event.price, volume, self.vector)

    def gap(self) -> None:
        """Forget the book and every window: what was lost cannot be known."""
        self.book.gap()
        reset(self.state)
        self.vector.fill(np.nan)

    def features(self, event: BookSnapshot | BookDelta | Price) -> Features:
        """Return the latest vector as the record of the event that caused it."""
        row = [None if value != value else value for value in self.vector.tolist()]  # noqa: PLR0124 (is NaN)
        return Features(event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns, *row)

    def top(self, event: BookSnapshot | BookDelta, n_levels: int, counts: LevelCounts | None = None) -> BookTop:
        """Return the best levels and the ticks since the last top, which start again from zero."""
        bids, asks = self.book.top(n_levels)
        counts = counts or LevelCounts()
        our_bids, our_asks = _top_levels(bids, counts.bids), _top_levels(asks, counts.asks)
        return BookTop(*_head(event), our_bids, our_asks, *self._ticks(TICKS))

    def full_book(self, event: BookSnapshot | BookDelta, n_levels: int, counts: LevelCounts | None = None) -> FullBook:
        """Return the whole book, to ``n_levels`` a side, and the ticks since the last one, which start again too."""
        n_bids, n_asks = self.book.levels
        bids, asks = self.book.top(min(n_levels, max(n_bids, n_asks)))
        counts = counts or LevelCounts()
        our_bids, our_asks = _top_levels(bids, counts.bids), _top_levels(asks, counts.asks)
        return FullBook(*_head(event), our_bids, our_asks, n_bids, n_asks, *self._ticks(FULL_TICKS))

    def _ticks(self, names: Sequence[str]) -> tuple[int, int, float, float]:
        """Counts and notionals of the moves up and down, which start again from zero."""
        s = self.state[0]
        up, down, up_notional, down_notional = (float(s[name]) for name in names)
        for name in names:
            s[name] = 0.0
        return int(up), int(down), up_notional, down_notional


def _head(event: BookSnapshot | BookDelta) -> tuple[str, str, int, int, int]:
    return event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns


def _top_levels(levels: FloatArray, counts: Mapping[float, int]) -> list[TopLevel]:
    return [TopLevel(price, size, cum_size, counts.get(price)) for price, size, cum_size in levels.tolist()]
