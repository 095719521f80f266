"""What every venue's parser shares: sequence numbers, gaps and counts of each instrument.

A parser is pure: frames in, events out; it sees no socket and no clock. What a venue says of losses becomes a ``Gap``
event, and the feed answers a ``Gap`` by subscribing that symbol again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from producers.frames import Frame
from quicksilver.errors import ForeignFrameError, FrameError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Side, Trade
from quicksilver.records import DeadLetter

Reject: TypeAlias = Callable[[DeadLetter], None]

WALL_CLOCK_NS = 100_000_000_000_000_000  # smaller receive times (1973) are ordinals of tapes without a clock
MAX_SKEW_NS = 86_400_000_000_000  # an event a day ahead of its arrival is a corrupt time, and would freeze all windows


def ignore(letter: DeadLetter) -> None:
    """Take no note of a dead letter: for callers that read ``Parser.counts`` alone."""


class Counts(msgspec.Struct):
    """What happened, for one instrument or a whole run; every frame ends in one of these numbers.

    ``skipped``: history before the subscription, changes to a book that is not ready, messages that carry no market
    data; ``duplicates``: what was there already; ``rejected``: unreadable, dead-lettered.
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

    def add(self, other: "Counts") -> None:
        """Add ``other``'s numbers to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Instrument:
    """One symbol of one venue: its event numbers, whether its book can be trusted, and its counts."""

    __slots__ = ("conn", "counts", "live", "lost", "seq", "symbol", "venue")

    def __init__(self, venue: str, symbol: str) -> None:
        self.venue = venue
        self.symbol = symbol
        self.seq = 0
        self.live = False
        self.lost = False
        self.conn = ""
        self.counts = Counts()

    def _next(self) -> int:
        self.seq += 1
        self.counts.events += 1
        return self.seq

    def snapshot(self, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels, depth: int | None) -> BookSnapshot:
        """Number a snapshot; the book can be trusted from here on."""
        self.counts.resyncs += self.lost
        self.live, self.lost, self.conn = True, False, frame.conn
        return BookSnapshot(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, bids, asks, depth)

    def delta(self, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels) -> BookDelta:
        """Number one message's level changes."""
        return BookDelta(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, bids, asks)

    def trade(
        self, frame: Frame, ts_event_ns: int, price: float, size: float, side: Side | None, trade_id: str
    ) -> Trade:
        """Number a trade.

        Raises:
            FrameError: the price or size is not positive.
        """
        if not (price > 0 and size > 0):
            raise FrameError(f"a trade of {size} at {price}")
        return Trade(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, price, size, side, trade_id)

    def gap(self, frame: Frame, ts_event_ns: int, reason: str) -> list[AnyEvent]:
        """Number a gap, once: a book that is not live has nothing more to lose."""
        return self.refuse(frame, ts_event_ns, reason) if self.live else []

    def refuse(self, frame: Frame, ts_event_ns: int, reason: str) -> list[AnyEvent]:
        """Number a gap for a snapshot that cannot be trusted, even if it was to be the first; once, too."""
        if self.lost:
            return []
        self.live, self.lost = False, True
        self.counts.gaps += 1
        return [Gap(self.venue, self.symbol, self._next(), ts_event_ns, frame.ts_recv_ns, reason)]


class Parser(ABC):
    """One venue's frames to events; a file under ``producers/exchanges`` holds each."""

    def __init__(self, venue: str, reject: Reject = ignore) -> None:
        self.venue = venue
        self.instruments: dict[str, Instrument] = {}
        self.counts = Counts()  # of frames that name no instrument
        self._reject = reject

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument of ``BASE-QUOTE``, new if need be."""
        found = self.instruments.get(symbol)
        if found is None:
            found = self.instruments[symbol] = Instrument(self.venue, symbol)
        return found

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the events of one frame, in order; a frame that cannot be read is rejected and opens a gap."""
        events: list[AnyEvent] = []
        try:
            if frame.direction == "recv":
                self.message(frame, events)
            elif frame.direction == "rest":
                self.response(frame, events)
            elif frame.direction != "send":
                events += self.lost(frame, "connected anew" if frame.direction == "connect" else "connection lost")
        except FrameError as error:
            self.counts.rejected += 1
            self._reject(
                DeadLetter(frame.ts_recv_ns, frame.source or frame.conn, self.venue, None, str(error), frame.payload)
            )
            if not isinstance(error, ForeignFrameError):
                events += self.lost(frame, f"a frame was lost: {error}")
        return events

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books can no longer be trusted after ``frame`` was lost or its connection broke.

        Only the symbol that the frame's bytes still name, if they name one; else all of the connection.
        """
        on_conn = [one for one in self.instruments.values() if one.live and one.conn in {frame.conn, ""}]
        named = [one for one in on_conn if self.native(one.symbol).encode() in frame.payload]
        return [gap for one in named or on_conn for gap in one.gap(frame, frame.ts_recv_ns, reason)]

    def doubt(self, symbol: str) -> None:
        """Take the symbol's book anew from the next snapshot: somebody who keeps it has found it crossed."""
        one = self.instrument(symbol)
        one.live, one.lost = False, True

    @abstractmethod
    def native(self, symbol: str) -> str:
        """Return what the venue calls ``BASE-QUOTE``."""

    @abstractmethod
    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not this venue's; what was appended before stands.
        """

    @abstractmethod
    def response(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one REST response.

        Raises:
            FrameError: as ``message``.
        """


def check_time(frame: Frame, ts_event_ns: int) -> int:
    """Return the event time if it can be true.

    Raises:
        FrameError: it lies more than a day away from the receive time.
    """
    if frame.ts_recv_ns > WALL_CLOCK_NS and abs(ts_event_ns - frame.ts_recv_ns) > MAX_SKEW_NS:
        raise FrameError(f"event time {ts_event_ns} is more than a day from its arrival at {frame.ts_recv_ns}")
    return ts_event_ns
