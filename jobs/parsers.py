"""Frames of any venue to events, and the counts of a whole run."""

from typing import Any

from producers.exchanges.base import Counts, Parser, Reject
from producers.exchanges.venue import parser_of
from producers.frames import Frame
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.pipeline import Pipeline
from quicksilver.records import DeadLetter

SUMMARY = (
    "frames", "events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "crossed", "features", "rejected",
    "duplicates", "skipped",
)  # fmt: skip


class Parsers:
    """Frames of any venue to events, each venue with its own parser, and the counts of them all."""

    def __init__(self, reject: Reject) -> None:
        self._reject = reject
        self.by_venue: dict[str, Parser] = {}
        self.frames: dict[str, int] = {}
        self.unreadable = 0  # lines of the tape, and frames of venues without a parser

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the frame's events; a venue that is not known is a dead letter."""
        self.frames[frame.venue] = self.frames.get(frame.venue, 0) + (frame.direction in {"recv", "rest"})
        parser = self.by_venue.get(frame.venue)
        if parser is None:
            try:
                parser = self.by_venue[frame.venue] = parser_of(frame.venue, self._reject)
            except InputError as error:
                self.unreadable += 1
                self._reject(DeadLetter(frame.ts_recv_ns, frame.source, frame.venue, None, str(error), frame.payload))
                return []
        return parser.parse(frame)

    def doubt(self, venue: str, symbol: str) -> None:
        """Take a book anew from its next snapshot."""
        if venue in self.by_venue:
            self.by_venue[venue].doubt(symbol)

    def refused(self, venue: str) -> list[str]:
        """Return the symbols whose book came and was of no use, once: they have to be asked for again."""
        parser = self.by_venue.get(venue)
        if parser is None or not parser.refused:
            return []
        symbols = sorted(parser.refused)
        parser.refused.clear()
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
