"""One instrument's candles, labels, features and tops: events in, records out; what a cluster computes by key."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from quicksilver.book import CROSSED_BOOK, Book
from quicksilver.candles import CandleBuilder
from quicksilver.config import PipelineConfig
from quicksilver.counts import LevelCounts
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Price, Trade
from quicksilver.features import FeatureEngine
from quicksilver.features.state import STATE_DTYPE
from quicksilver.grid import DecisionGrid
from quicksilver.labels import LabelQueue
from quicksilver.records import AnyRecord, DataState, Status

B = TypeVar("B", BookSnapshot, BookDelta)


class InstrumentStage:
    """Everything of one instrument that its own events alone decide.

    Labels come before the features of the event that made them known: who reads both in this order (see
    ``models/stage.py``) has learned all that there is to learn before it predicts.
    """

    def __init__(self, venue: str, symbol: str, config: PipelineConfig) -> None:
        self.config = config
        self.engine = FeatureEngine()
        self.state: DataState = "SYNCING"
        self._counts = LevelCounts()
        self._labels = LabelQueue(venue, symbol, config.labels)
        self._candles = [
            CandleBuilder(venue, symbol, interval_ns, config.candle_every_ns)
            for interval_ns in config.candle_intervals_ns
        ]
        self._grid = DecisionGrid(config.decide_every_ns)
        self._next_top_ns = 0
        self._full_books = DecisionGrid(config.full_books_every_ns) if config.full_books_per_s else None

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes."""
        if isinstance(event, BookDelta):
            if not self.engine.book.ready:
                return []
            self._counts.take(event)
            return self._after_book(event, self.engine.delta)
        if isinstance(event, Trade):
            self.engine.trade(event)
            return [candle for builder in self._candles for candle in builder.on_trade(event)]
        if isinstance(event, BookSnapshot):
            self._counts.clear()
            self._counts.take(event)
            return self._after_book(event, self.engine.snapshot)
        if isinstance(event, Price):
            self.engine.price(event)
            records = self._become("LIVE", "", event)
            records += [candle for builder in self._candles for candle in builder.on_price(event)]
            return records + self._derive(event)
        return self._gap(event, event.reason)

    def _after_book(self, event: B, take: Callable[[B], bool]) -> list[AnyRecord]:
        try:
            sound = take(event)
        except StateError as error:  # of that symbol alone: its book is of no use, all others go on
            return self._gap(event, str(error))
        if not sound:
            return self._gap(event, CROSSED_BOOK)
        records = self._become("LIVE", "", event)
        mid = float(self.engine.vector[0])
        if not math.isnan(mid):
            for builder in self._candles:
                records += builder.on_mid(event.seq, event.ts_event_ns, event.ts_recv_ns, mid)
        return records + self._derive(event)

    def _derive(self, event: BookSnapshot | BookDelta | Price) -> list[AnyRecord]:
        """Labels, features and top of a vector that has just been computed."""
        row = self.engine.features(event)
        records: list[AnyRecord] = []
        if row.mid is not None:
            records += self._labels.on_price(event.ts_event_ns, event.ts_recv_ns, row.mid)
            if self._grid.due(event.ts_event_ns):
                self._labels.on_features(row.seq, event.ts_event_ns, row.mid)
        records.append(row)
        if event.ts_event_ns >= self._next_top_ns and not isinstance(event, Price):
            records.append(self.engine.top(event, self.config.top_levels, self._counts))
            self._next_top_ns = event.ts_event_ns + self.config.top_every_ns
        if self._full_books is not None and not isinstance(event, Price) and self._full_books.due(event.ts_event_ns):
            records.append(self.engine.full_book(event, self.config.full_book_levels, self._counts))
        return records

    def _gap(self, event: AnyEvent, reason: str) -> list[AnyRecord]:
        self.engine.gap()
        self._labels.gap()
        self._grid.reset()
        self._next_top_ns = 0
        if self._full_books is not None:
            self._full_books.reset()
        return self._become("GAP", reason, event)

    def _become(self, state: DataState, reason: str, event: AnyEvent) -> list[AnyRecord]:
        if state == self.state:
            return []
        self.state = state
        return [Status(event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns, state, reason)]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data for msgpack."""
        return {
            "state": self.state,
            "book": self.engine.book.block.tobytes(),
            "features": self.engine.state.tobytes(),
            "vector": self.engine.vector.tobytes(),
            "counts": self._counts.dump(),
            "labels": self._labels.dump(),
            "candles": [builder.dump() for builder in self._candles],
            "clocks": [self._next_top_ns, self._grid.next_ns, self._full_books.next_ns if self._full_books else 0],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take over a dumped state."""
        self.state = saved["state"]
        self.engine.book = Book.load(saved["book"])
        state, vector = np.frombuffer(saved["features"], STATE_DTYPE), np.frombuffer(saved["vector"], np.float64)
        if state.shape != self.engine.state.shape or vector.shape != self.engine.vector.shape:
            raise StateError("not a saved feature state")
        self.engine.state, self.engine.vector = state.copy(), vector.copy()
        self._counts.load(saved["counts"])
        self._labels.load(saved["labels"])
        for builder, data in zip(self._candles, saved["candles"], strict=True):
            builder.load(data)
        self._next_top_ns, self._grid.next_ns, next_full_ns = saved["clocks"]
        if self._full_books is not None:
            self._full_books.next_ns = next_full_ns
