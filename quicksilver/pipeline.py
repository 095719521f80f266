"""The one composition that every runner calls: an event in, records out, in a defined order.

Per event: candles, features, top, labels with their scores, predictions, and last the universe's frontier. The state
goes to bytes and back (``dump``, ``load``), so a runner can be stopped at any event and go on with the same output.
"""

import math
from typing import Any

import msgspec
import numpy as np

from quicksilver.book import Book
from quicksilver.candles import CandleBuilder
from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Price, Trade
from quicksilver.features import FeatureEngine
from quicksilver.features.state import STATE_DTYPE
from quicksilver.labels import LabelQueue
from quicksilver.models.stage import PredictionStage
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import AnyRecord, DataState, Status

STATE_VERSION = 2


class InstrumentPipeline:
    """All stages of one instrument; in a cluster, one key's share of the work."""

    def __init__(self, venue: str, symbol: str, config: PipelineConfig) -> None:
        self.config = config
        self.engine = FeatureEngine()
        self.state: DataState = "SYNCING"
        self._labels = LabelQueue(venue, symbol, config.labels)
        self._predictions = PredictionStage(config.labels.horizons_ns, config.decide_every_ns)
        self._candles = [
            CandleBuilder(venue, symbol, interval_ns, config.candle_every_ns)
            for interval_ns in config.candle_intervals_ns
        ]
        self._next_top_ns = 0
        self._next_decision_ns = 0

    @property
    def mid(self) -> float:
        """Latest mid, NaN when it is not known."""
        return float(self.engine.vector[0])

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes.

        Raises:
            StateError: more book levels than supported.
        """
        if isinstance(event, BookDelta):
            if not self.engine.book.ready:
                return []
            return self._after_book(event, self.engine.delta(event))
        if isinstance(event, Trade):
            self.engine.trade(event)
            return [candle for builder in self._candles for candle in builder.on_trade(event)]
        if isinstance(event, BookSnapshot):
            return self._after_book(event, self.engine.snapshot(event))
        if isinstance(event, Price):
            self.engine.price(event)
            records = self._become("LIVE", "", event)
            records += [candle for builder in self._candles for candle in builder.on_price(event)]
            return records + self._derive(event)
        return self._gap(event, event.reason)

    def _after_book(self, event: BookSnapshot | BookDelta, sound: bool) -> list[AnyRecord]:
        if not sound:
            return self._gap(event, "the book is crossed")
        records = self._become("LIVE", "", event)
        mid = self.mid
        if not math.isnan(mid):
            for builder in self._candles:
                records += builder.on_mid(event.seq, event.ts_event_ns, event.ts_recv_ns, mid)
        return records + self._derive(event)

    def _derive(self, event: BookSnapshot | BookDelta | Price) -> list[AnyRecord]:
        """Features, top, labels, scores and predictions of a vector that has just been computed."""
        row = self.engine.features(event)
        records: list[AnyRecord] = [row]
        if event.ts_event_ns >= self._next_top_ns and not isinstance(event, Price):
            records.append(self.engine.top(event, self.config.top_levels))
            self._next_top_ns = event.ts_event_ns + self.config.top_every_ns
        if row.mid is None:
            return records
        for label in self._labels.on_price(event.ts_event_ns, event.ts_recv_ns, row.mid):
            records.append(label)
            score = self._predictions.on_label(label)
            if score is not None:
                records.append(score)
        if event.ts_event_ns >= self._next_decision_ns:
            cell = self.config.decide_every_ns
            self._next_decision_ns = (event.ts_event_ns // cell + 1) * cell
            records += self._predictions.on_features(row)
            self._labels.on_features(row.seq, event.ts_event_ns, row.mid)
        return records

    def _gap(self, event: AnyEvent, reason: str) -> list[AnyRecord]:
        self.engine.gap()
        self._labels.gap()
        self._predictions.gap()
        self._next_top_ns = self._next_decision_ns = 0
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
            "labels": self._labels.dump(),
            "predictions": self._predictions.dump(),
            "candles": [builder.dump() for builder in self._candles],
            "clocks": [self._next_top_ns, self._next_decision_ns],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take over a dumped state."""
        self.state = saved["state"]
        self.engine.book = Book.load(saved["book"])
        state, vector = np.frombuffer(saved["features"], STATE_DTYPE), np.frombuffer(saved["vector"], np.float64)
        if state.shape != self.engine.state.shape or vector.shape != self.engine.vector.shape:
            raise StateError("not a saved feature state")
        self.engine.state, self.engine.vector = state.copy(), vector.copy()
        self._labels.load(saved["labels"])
        self._predictions.load(saved["predictions"])
        for builder, data in zip(self._candles, saved["candles"], strict=True):
            builder.load(data)
        self._next_top_ns, self._next_decision_ns = saved["clocks"]


class Pipeline:
    """Every instrument's pipeline and the universe's portfolio: what one process runs."""

    def __init__(self, config: PipelineConfig | None = None) -> None:
        self.config = config or PipelineConfig()
        self.instruments: dict[tuple[str, str], InstrumentPipeline] = {}
        self._portfolio = PortfolioStage(self.config.portfolio) if self.config.portfolio else None

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes, in a defined order.

        Raises:
            StateError: more book levels than supported.
        """
        key = (event.venue, event.symbol)
        one = self.instruments.get(key)
        if one is None:
            one = self.instruments[key] = InstrumentPipeline(event.venue, event.symbol, self.config)
        records = one.step(event)
        if self._portfolio is not None:
            if one.state == "GAP":
                self._portfolio.forget(*key)
            elif not isinstance(event, Trade):
                records += self._portfolio.on_price(*key, one.mid, event.ts_event_ns, event.ts_recv_ns)
        return records

    def dump(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(
            {
                "version": STATE_VERSION,
                "config": self.config,
                "instruments": [[*key, one.dump()] for key, one in self.instruments.items()],
                "portfolio": self._portfolio.dump() if self._portfolio else None,
            }
        )

    def load(self, data: bytes) -> None:
        """Take over a dumped state: the output goes on as if it had never stopped.

        Raises:
            StateError: it is of another version or configuration, or no state at all.
        """
        instruments: dict[tuple[str, str], InstrumentPipeline] = {}
        try:
            saved = msgspec.msgpack.decode(data)
            if saved["version"] != STATE_VERSION:
                raise StateError(f"the saved state is of version {saved['version']}, this is {STATE_VERSION}")
            if msgspec.convert(saved["config"], PipelineConfig) != self.config:
                raise StateError("the saved state is of another configuration")
            for venue, symbol, one in saved["instruments"]:
                instruments[venue, symbol] = InstrumentPipeline(venue, symbol, self.config)
                instruments[venue, symbol].load(one)
            if self._portfolio is not None:
                self._portfolio.load(saved["portfolio"])
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a saved state: {error}") from error
        self.instruments = instruments
