"""What comes of each feed, counted as frames and events pass: bytes, ages, latencies, connections.

What parsers count by themselves is read from them when somebody asks, and costs nothing on the way. What is counted
here is what they cannot know, for they see no clock and no connection.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from producers.exchanges.base import Parser
from producers.exchanges.instrument import Counts
from producers.frames import NOT_NEEDED, Frame
from producers.times import WALL_CLOCK_NS
from quicksilver.events import AnyEvent, BookSnapshot, Gap
from quicksilver.records import DataState, FeedStats

BOUNDS_NS = (*(int(step * 10**power) for power in range(5, 10) for step in (1, 2.5, 5)), 10**10)
"""Upper bounds of the latency histogram's buckets: 0.1 ms to 10 s, in nanoseconds."""
MOST_SYMBOLS = 1_000  # of a venue that are told of: who names symbols without end must not fill a monitoring system

StateOf = Callable[[str], DataState]
"""What is known of the book of a topic key (``venue:symbol``)."""


class Histogram(NamedTuple):
    """Latencies from a venue's clock to ours: how many in each bucket (the last is above all bounds), and their sum."""

    venue: str
    symbol: str
    buckets: list[int]
    sum_s: float


class _Flow:
    """What has come of one symbol, or of none that is known."""

    __slots__ = ("buckets", "crossed", "early", "heard", "n_bytes", "reported", "samples_us", "sum_ns")

    def __init__(self, now: float) -> None:
        self.n_bytes = self.early = self.crossed = self.sum_ns = 0
        self.buckets = [0] * (len(BOUNDS_NS) + 1)
        self.samples_us: list[float] = []  # since the last report
        self.reported = 0  # messages, by then
        self.heard = now

    def late(self, latency_ns: int) -> None:
        """Take in the latency of an event; a negative one says no more than that a clock is wrong."""
        self.samples_us.append(latency_ns / 1e3)
        if latency_ns < 0:
            self.early += 1
            return
        self.buckets[bisect_left(BOUNDS_NS, latency_ns)] += 1
        self.sum_ns += latency_ns

    def percentiles(self) -> tuple[float | None, float | None]:
        """Return the median and the 99th percentile of the samples, by nearest rank, and begin anew."""
        found, self.samples_us = sorted(self.samples_us), []
        last = len(found) - 1
        return (round(found[last // 2], 1), round(found[math.ceil(0.99 * last)], 1)) if found else (None, None)


class _VenueFlow:
    """What has come of one venue: of its connections as a whole, and by symbol."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.frames = self.reconnects = self.down = 0
        self.whole = _Flow(now)
        self.symbols: dict[str, _Flow] = {}
        self.dismissed: set[str] = set()
        self._open: set[str] = set()

    def flow(self, symbol: str) -> _Flow:
        """Return what has come of a symbol; of a new one, nothing since the beginning."""
        found = self.symbols.get(symbol)
        if found is None:  # setdefault: who scrapes is another thread
            found = self.symbols.setdefault(symbol, _Flow(self.since))
        return found

    def message(self, frame: Frame, events: Sequence[AnyEvent], now: float) -> None:
        """Count a frame with its events."""
        self.frames += 1
        self.whole.heard = now
        owner = self.flow(events[0].symbol) if events else self.whole
        for event in events:
            one = self.flow(event.symbol)
            if one is not owner:
                owner = self.whole
            if isinstance(event, Gap):
                continue
            one.heard = now
            late_ns = event.ts_recv_ns - event.ts_event_ns  # 0: the venue gives no time, so a parser took the frame's
            if late_ns and event.ts_recv_ns > WALL_CLOCK_NS and not isinstance(event, BookSnapshot):
                one.late(late_ns)
        owner.n_bytes += len(frame.payload)

    def connection(self, frame: Frame) -> None:
        """Follow the connections: one that opens after another was lost is that one's successor."""
        if frame.direction == "connect":
            if frame.conn in self._open or self.down:
                self.reconnects += 1
                self.down -= frame.conn not in self._open
            self._open.add(frame.conn)
        elif frame.direction == "disconnect" and frame.conn in self._open:
            self._open.discard(frame.conn)
            self.down += frame.payload != NOT_NEEDED

    def state(self) -> DataState:
        """Return that of the connections: a gap when none is left."""
        if not self.frames:
            return "SYNCING"
        return "GAP" if self.down and not self._open else "LIVE"


class Meter:
    """Counts what comes of a source's feeds; ``parsers`` are those that its frames went through, by venue.

    ``clock`` gives seconds from any point on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.parsers: dict[str, Parser] = {}
        self._clock = clock
        self._venues: dict[str, _VenueFlow] = {}
        self._state_of: StateOf = lambda _: "SYNCING"
        self._stale_s = math.inf
        self._reported = clock()

    def watch(self, subscribed: Iterable[tuple[str, str]], state_of: StateOf, stale_s: float = math.inf) -> None:
        """Tell of the subscribed instruments, as venue and symbol, from now on, and of all others that come.

        What is live but silent for longer than ``stale_s`` is told to be stale.
        """
        self._state_of, self._stale_s = state_of, stale_s
        for venue, symbol in subscribed:
            self.expect(venue, symbol)

    def expect(self, venue: str, symbol: str) -> None:
        """Tell of an instrument from now on, before anything has come of it."""
        of = self._venue(venue)
        of.dismissed.discard(symbol)
        of.flow(symbol).heard = self._clock()

    def dismiss(self, venue: str, symbol: str) -> None:
        """Tell of an instrument no longer: it was removed, and its silence means nothing."""
        self._venue(venue).dismissed.add(symbol)

    def take(self, frame: Frame, events: Sequence[AnyEvent]) -> None:
        """Count a frame, and the events that its parser made of it."""
        venue = self._venues.get(frame.venue) or self._venue(frame.venue)
        if frame.direction in {"recv", "rest", "audit"}:
            venue.message(frame, events, self._clock())
        else:
            venue.connection(frame)

    def crossed(self, venue: str, symbol: str) -> None:
        """Count that a book was found crossed, which no parser can see."""
        self._venue(venue).flow(symbol).crossed += 1

    def read(self, now_ns: int) -> list[FeedStats]:
        """Return the counts as of now, without rates and latencies: a row for each venue, followed by its symbols."""
        now = self._clock()
        return [
            self._stats(name, venue, symbol, flow, now, now_ns)
            for name, venue in sorted(self._venues.items())
            for symbol, flow in self._told(name, venue)
        ]

    def report(self, now_ns: int) -> list[FeedStats]:
        """Return the counts as of now with the rates and latencies since the last report."""
        now = self._clock()
        took_s, self._reported = max(now - self._reported, 1e-3), now
        found = []
        for name, venue in sorted(self._venues.items()):
            for symbol, flow in self._told(name, venue):
                one = self._stats(name, venue, symbol, flow, now, now_ns)
                per_s = round((one.messages - flow.reported) / took_s, 1)
                flow.reported = one.messages
                p50_us, p99_us = flow.percentiles()
                found.append(replace(one, messages_per_s=per_s, latency_p50_us=p50_us, latency_p99_us=p99_us))
        return found

    def histograms(self) -> list[Histogram]:
        """Return the latencies of all symbols that have any."""
        return [
            Histogram(name, symbol, list(flow.buckets), flow.sum_ns / 1e9)
            for name, venue in sorted(self._venues.items())
            for symbol, flow in self._told(name, venue)
            if any(flow.buckets)
        ]

    def untold(self) -> dict[str, int]:
        """Return how many symbols of each venue are not told of, for they are too many."""
        return {name: max(0, len(one.symbols) - MOST_SYMBOLS) for name, one in sorted(self._venues.items())}

    def _venue(self, name: str) -> _VenueFlow:
        found = self._venues.get(name)
        if found is None:
            found = self._venues[name] = _VenueFlow(self._clock())
        return found

    def _told(self, name: str, venue: _VenueFlow) -> Iterator[tuple[str, _Flow]]:
        """Yield the venue's own flow, then those of its symbols."""
        parser = self.parsers.get(name)
        for symbol in list(parser.instruments) if parser else ():  # also those of which no event has come yet
            venue.flow(symbol)
        yield "", venue.whole
        told = [one for one in list(venue.symbols.items()) if one[0] not in venue.dismissed]
        yield from sorted(told[:MOST_SYMBOLS])

    def _stats(
        self, name: str, venue: _VenueFlow, symbol: str, flow: _Flow, now: float, now_ns: int
    ) -> FeedStats:  # fmt: skip
        counts = self._counts(name, symbol)
        age_s = now - flow.heard
        state = self._state_of(f"{name}:{symbol}") if symbol else venue.state()
        return FeedStats(
            name, symbol, now_ns, "STALE" if state == "LIVE" and age_s > self._stale_s else state,
            counts.frames if symbol else venue.frames, flow.n_bytes, counts.events, counts.gaps, counts.resyncs,
            counts.checksums_passed, counts.checksums_failed, flow.crossed, counts.duplicates, counts.skipped,
            counts.rejected, venue.reconnects, flow.early, round(age_s, 3), 0.0,
        )  # fmt: skip

    def _counts(self, name: str, symbol: str) -> Counts:
        parser = self.parsers.get(name)
        if parser is None:
            return Counts()
        if not symbol:
            return parser.counts
        one = parser.instruments.get(symbol)
        return one.counts if one else Counts()
