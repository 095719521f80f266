"""What every venue's parser shares: sequence numbers, gaps and counts of each instrument.

A parser is pure: frames in, events out; it sees no socket and no clock. What a venue says of losses becomes a ``Gap``
event, and the feed answers a ``Gap`` by subscribing that symbol again.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import msgspec

from producers.frames import Frame
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Side, Trade
from quicksilver.records import DeadLetter

Reject: TypeAlias = Callable[[DeadLetter], None]
T = TypeVar("T")

WALL_CLOCK_NS = 100_000_000_000_000_000  # smaller receive times (1973) are ordinals of tapes without a clock
MAX_AHEAD_NS = 60_000_000_000  # an event that far ahead of its arrival would stop all windows until time is there
MAX_BEHIND_NS = 86_400_000_000_000
MOST_SYMBOLS = 10_000  # of a venue: twice what the largest lists; more can only be damaged names
MOST_LETTERS = 64  # of a symbol
HEAD = 4096  # bytes in which a message says whose it is: to look for all symbols in a whole book would take too long
FAR = 1_000_000  # messages of a connection: hours; a number so far from the last was never counted to
MAX_NS = 1 << 62  # the year 2116; leaves room for horizons in 64 bits


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


def decoded(decode: Callable[[bytes], T], payload: bytes) -> T:
    """Return what a message's bytes say.

    Raises:
        FrameError: they cannot be read.
    """
    try:
        return decode(payload)
    except UNREADABLE as error:
        raise FrameError(str(error)) from error


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
        self.seq = seq = self.seq + 1  # as _next, without the call: this is nine events in ten
        self.counts.events += 1
        return BookDelta(self.venue, self.symbol, seq, ts_event_ns, frame.ts_recv_ns, bids, asks)

    def trade(
        self, frame: Frame, ts_event_ns: int, price: float, size: float, side: Side | None, trade_id: str | None
    ) -> Trade:
        """Number a trade.

        Raises:
            FrameError: the price or size is not positive.
        """
        if not (0 < price < math.inf and 0 < size < math.inf):
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
        self.last_of: dict[str, int] = {}  # the last number of each connection, where a venue numbers its messages
        self._reject = reject

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument of ``BASE-QUOTE``, new if need be.

        Raises:
            FrameError: it can be no symbol, or there are too many.
        """
        found = self.instruments.get(symbol)
        if found is None:
            if len(symbol) > MOST_LETTERS or not symbol.isprintable():
                raise FrameError(f"not a symbol: {symbol[:40]!r}")
            if len(self.instruments) >= MOST_SYMBOLS:
                raise FrameError(f"{symbol!r} is one symbol more than the {MOST_SYMBOLS:,} that a venue may have")
            found = self.instruments[symbol] = Instrument(self.venue, symbol)
        return found

    def named(self, known: dict[str, Instrument], name: str, symbol: str) -> Instrument:
        """Return the instrument that the venue calls ``name``, and note it in ``known``, which does not grow for ever.

        Raises:
            FrameError: as ``instrument``.
        """
        one = self.instrument(symbol)
        if len(known) < MOST_SYMBOLS:
            known[name] = one
        return one

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the events of one frame, in order; a frame that cannot be read is rejected and opens a gap."""
        events: list[AnyEvent] = []
        try:
            if frame.direction == "recv":
                self.message(frame, events)
            elif frame.direction == "rest":
                self.response(frame, events)
            elif frame.direction != "send":
                self.last_of.pop(frame.conn, None)
                events += self.lost(frame, "connected anew" if frame.direction == "connect" else "connection lost")
        except FrameError as error:
            self.counts.rejected += 1
            self._reject(
                DeadLetter(frame.ts_recv_ns, frame.source or frame.conn, self.venue, None, str(error), frame.payload)
            )
            if isinstance(error, RefusalError) or (isinstance(error, ForeignFrameError) and not self._names(frame)):
                return events
            events += self.lost(frame, f"a frame was lost: {error}")
        return events

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books can no longer be trusted after ``frame`` was lost or its connection broke.

        Only the symbol that the frame's bytes still name, if they name one; else all of the connection.
        """
        return [gap for one in self.concerned(frame) for gap in one.gap(frame, frame.ts_recv_ns, reason)]

    def concerned(self, frame: Frame) -> list[Instrument]:
        """Return the instruments that a lost frame may have been about."""
        return self._names(frame) or self._on(frame)

    def _on(self, frame: Frame) -> list[Instrument]:
        return [one for one in self.instruments.values() if one.conn in {frame.conn, ""}]

    def _names(self, frame: Frame) -> list[Instrument]:
        """The instruments that even an unreadable frame's first bytes name."""
        head = frame.payload[:HEAD]
        return [one for one in self._on(frame) if self.native(one.symbol).encode() in head]

    def in_sequence(self, frame: Frame, what: str, number: int, events: list[AnyEvent]) -> bool:
        """Take note of the number of a connection's message: False if it was seen before.

        After a number above the next, messages were lost: that goes to ``events``. At 0 a venue begins anew. A number
        far below the last shows that the last was damaged: it does not make duplicates of all that come.
        """
        last = self.last_of.get(frame.conn)
        if last is not None and max(0, last - FAR) < number <= last:
            self.counts.duplicates += 1
            return False
        self.last_of[frame.conn] = number
        if last is not None and not (number == last + 1 or number == 0):
            lost = f"{number - last - 1} messages lost" if number > last else "the numbers begin anew"
            reason = f"{what} {number} after {last}: {lost}"
            # Any symbol's messages may be among them, whichever this frame names.
            events += self.lost(msgspec.structs.replace(frame, payload=b""), reason)
        return True

    def awaiting(self, one: Instrument | None) -> Instrument | None:
        """Count a REST body, of that instrument's book or of none's; return the instrument if it waits for a book."""
        if one is None:
            self.counts.skipped += 1
            return None
        one.counts.frames += 1
        one.counts.skipped += one.live
        return None if one.live else one

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
        FrameError: it lies a minute after the receive time, or a day before, or is of no year that there is.
    """
    if not 0 < ts_event_ns < MAX_NS:
        raise FrameError(f"not a time: {str(ts_event_ns)[:40]} ns")
    if frame.ts_recv_ns > WALL_CLOCK_NS and not -MAX_BEHIND_NS < ts_event_ns - frame.ts_recv_ns < MAX_AHEAD_NS:
        ahead_s = (ts_event_ns - frame.ts_recv_ns) / 1e9
        raise FrameError(
            f"an event {abs(ahead_s):,.0f} s {'after' if ahead_s > 0 else 'before'} its arrival: a corrupt time,"
            " or this machine's clock is wrong"
        )
    return ts_event_ns
