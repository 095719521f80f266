"""Frames of any venue to events, and the counts of a whole run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from producers.audits import Auditor
from producers.exchanges.base import Parser, Reject
from producers.exchanges.instrument import Counts
from producers.exchanges.venue import parser_of
from producers.frames import Frame
from producers.metrics import Meter
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.pipeline import Pipeline
from quicksilver.records import Audit, DeadLetter

SUMMARY = (
    "frames", "events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "crossed", "features", "rejected",
    "duplicates", "skipped", "renumbered",
)  # fmt: skip


class Parsers:
    """Frames of any venue to events, each venue with its own parser, and the counts of them all.

    Books are audited on the way. One that is in doubt is lost, by a ``Gap``, as part of the frame that has shown it:
    that follows from the frames alone, so a tape gives the same events as what it was recorded from.

    A ``meter``, if any, sees what passes. ``wanted`` tells, of a venue and its name of a symbol, whether that was
    subscribed to; without it, as on tapes, all symbols count.
    """

    def __init__(
        self, reject: Reject, meter: Meter | None = None, wanted: Callable[[str, str], bool] | None = None
    ) -> None:
        self._reject = reject
        self._wanted = wanted
        self._meter = meter
        self.by_venue: dict[str, Parser] = {}
        if meter is not None:
            meter.parsers = self.by_venue
        self.frames: dict[str, int] = {}
        self.auditor = Auditor()
        self.unreadable = 0  # lines of the tape, and frames of venues without a parser

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the frame's events; a venue that is not known is a dead letter."""
        self.frames[frame.venue] = self.frames.get(frame.venue, 0) + (frame.direction in {"recv", "rest", "audit"})
        parser = self.by_venue.get(frame.venue)
        if parser is None:
            try:
                parser = self.by_venue[frame.venue] = parser_of(frame.venue, self._reject)
            except InputError as error:
                self.unreadable += 1
                self._reject(DeadLetter(frame.ts_recv_ns, frame.source, frame.venue, None, str(error), frame.payload))
                return []
            parser.wanted = partial(self._wanted, frame.venue) if self._wanted else None
            self.auditor.attach(parser)
        events = parser.parse(frame)
        for event in events:
            self.auditor.event(event)
        for doubt in self.auditor.doubts():
            one = self.by_venue[doubt.venue].instrument(doubt.symbol)
            for gap in one.gap(frame, frame.ts_recv_ns, doubt.reason):
                self.auditor.event(gap)
                events.append(gap)
        if self._meter is not None:
            self._meter.take(frame, events)
        return events

    def audits(self) -> Sequence[Audit]:
        """Return the audits made since this was last asked."""
        return self.auditor.audits()

    def finish(self) -> None:
        """Compare the books that still wait for it: no more frames come."""
        self.auditor.finish()

    def doubt(self, venue: str, symbol: str) -> None:
        """Take a book anew from its next snapshot."""
        if venue in self.by_venue:
            self.by_venue[venue].doubt(symbol)

    def take_unusable(self, venue: str) -> list[str]:
        """Return the symbols whose book came and was of no use, once: they have to be asked for again."""
        parser = self.by_venue.get(venue)
        if parser is None or not parser.unusable:
            return []
        symbols = sorted(parser.unusable)
        parser.unusable.clear()
        return symbols

    def summary(self, pipeline: Pipeline, features: dict[tuple[str, str], int]) -> dict[str, Any]:
        """Return the run's counts, whole and by venue and symbol."""
        total, venues = Counts(rejected=self.unreadable), {}
        for name, parser in sorted(self.by_venue.items()):
            counts, symbols = Counts(), {}
            counts.add(parser.counts)
            for symbol, one in sorted(parser.instruments.items()):
                state = pipeline.instruments.get((name, symbol))
                one.counts.crossed = state.instrument.engine.book.crossed if state else 0
                one.counts.features = features.get((name, symbol), 0)
                counts.add(one.counts)
                symbols[symbol] = _as_dict(one.counts)
            counts.frames = self.frames[name]
            total.add(counts)
            venues[name] = {**_as_dict(counts), "symbols": symbols}
        total.frames = sum(self.frames.values())
        return {**_as_dict(total), "venues": venues}


def _as_dict(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in SUMMARY}
