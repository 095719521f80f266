"""What every venue's parser shares: sequence numbers, gaps and counts of each instrument.

A parser is pure: frames in, events out; it sees no socket and no clock. What a venue says of losses becomes a ``Gap``
event, and the feed answers a ``Gap`` by subscribing that symbol again.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection
from typing import ClassVar, TypeAlias, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from producers.exchanges.listings import Listings
from producers.frames import Frame
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Side, Trade
from quicksilver.orders import Fold, OrderBook
from quicksilver.records import DeadLetter

Reject: TypeAlias = Callable[[DeadLetter], None]
T = TypeVar("T")

WALL_CLOCK_NS = 100_000_000_000_000_000  # smaller receive times (1973) are ordinals of tapes without a clock
MAX_AHEAD_NS = 60_000_000_000  # an event that far ahead of its arrival would stop all windows until time is there
MAX_BEHIND_NS = 86_400_000_000_000
NEAR = 8  # numbers: a message that comes again comes soon; one numbered further back shows that numbers began anew
MOST_SYMBOLS = 10_000  # of a venue: twice what the largest lists; more can only be damaged names
MOST_LETTERS = 64  # of a symbol
HEAD = 4096  # bytes in which a message says whose it is: to look for all symbols in a whole book would take too long
MAX_NS = 1 << 62  # the year 2116; leaves room for horizons in 64 bits
MAX_REFUSALS = 100


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

    __slots__ = ("_unusable", "bodies", "conn", "counts", "followed", "live", "lost", "seq", "symbol", "venue")

    def __init__(self, venue: str, symbol: str, unusable: set[str]) -> None:
        self._unusable = unusable
        self.venue = venue
        self.symbol = symbol
        self.seq = 0
        self.bodies = 0  # of REST, among the frames that are counted
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
        """Number a snapshot; the book can be trusted from here on."""
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


class Observation(msgspec.Struct, frozen=True):
    """A whole book that the stream holds while ours is kept by its changes: what an audit compares with.

    ``ts_event_ns`` is the venue's time of the book, or the frame's receive time where it says none; ``number`` is the
    venue's number of the last change in it. Sizes are rounded to ``step``, 0 if they are as in the changes.
    """

    one: Instrument
    frame: Frame
    ts_event_ns: int
    bids: Levels
    asks: Levels
    number: int | None = None
    step: float = 0.0


class Parser(ABC):
    """One venue's frames to events; a file under ``producers/exchanges`` holds each.

    ``keeps_best``: the venue keeps as many of the best levels up to date as it sent first, wherever the price goes.
    """

    keeps_best = False

    listings: ClassVar[Listings | None] = None  # of its symbols, which come as a REST body before all else

    def __init__(self, venue: str, reject: Reject = ignore) -> None:
        self.venue = venue
        self.instruments: dict[str, Instrument] = {}
        self.counts = Counts()  # of frames that name no instrument
        self.order_books: dict[str, OrderBook] = {}  # by symbol, of those that come order by order
        self.last_of: dict[str, int] = {}  # the last number of each connection, where a venue numbers its messages
        self.listed: dict[str, str] = {}  # the venue's names of the symbols that it lists, where its list has come
        self.natives: dict[str, str] = {}  # the same the other way round
        self.refusals: deque[tuple[str, bytes]] = deque(maxlen=MAX_REFUSALS)  # until somebody takes them: why, of what
        self.observers: list[Callable[[Observation], None]] = []
        self.unusable: set[str] = set()  # symbols whose book was of no use: who reads asks again, and removes them
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
            found = self.instruments[symbol] = Instrument(self.venue, symbol, self.unusable)
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

    def orders(self, symbol: str) -> OrderBook | None:
        """Return the orders behind a book that comes order by order, as of the last frame; None for any other.

        Take it anew after each frame (a new snapshot is a new book) and do not change it.
        """
        one = self.instruments.get(symbol)
        return self.order_books.get(symbol) if one is not None and one.live else None

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the events of one frame, in order; a frame that cannot be read is rejected and opens a gap."""
        events: list[AnyEvent] = []
        try:
            if frame.direction == "recv":
                self.message(frame, events)
            elif frame.direction == "rest" and self._lists(frame):
                self._learn(frame)
            elif frame.direction in {"rest", "audit"}:
                self.response(frame, events)
            elif frame.direction == "lost":
                events += self.lost(frame, "a line of the recording cannot be read")
            elif frame.direction == "drop":
                symbol, _, reason = frame.payload.decode().partition(" ")
                events += self.drop(symbol, frame.ts_recv_ns, reason)
            elif frame.direction != "send":
                self.last_of.pop(frame.conn, None)
                events += self.lost(frame, "connected anew" if frame.direction == "connect" else "connection lost")
        except FrameError as error:
            self.counts.rejected += 1
            self._reject(
                DeadLetter(frame.ts_recv_ns, frame.source or frame.conn, self.venue, None, str(error), frame.payload)
            )
            if isinstance(error, RefusalError):
                self.refusals.append((str(error), frame.payload))
            if (
                frame.direction == "audit"
                or isinstance(error, RefusalError)
                or (isinstance(error, ForeignFrameError) and not self._names(frame))
            ):
                return events
            events += self.lost(frame, f"a frame was lost: {error}")
        return events

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books can no longer be trusted after ``frame`` was lost or its connection broke.

        Only the symbol that the frame's bytes still name, if they name one; else all of the connection. A REST body is
        no part of any book that the socket gives.
        """
        if frame.direction == "rest":
            return []
        gaps = [gap for one in self.concerned(frame) for gap in one.gap(frame, frame.ts_recv_ns, reason)]
        if frame.direction == "disconnect":
            self._forget(frame.conn)
        return gaps

    def _forget(self, conn: str) -> None:
        """Forget a connection that has ended; its symbols will come over another, nobody knows which yet."""
        self.last_of.pop(conn, None)
        for one in self.instruments.values():
            if one.conn == conn:
                one.conn = ""

    def concerned(self, frame: Frame) -> list[Instrument]:
        """Return the instruments that a lost frame may have been about."""
        whole = frame.direction in {"recv", "lost"} and len(frame.payload) <= HEAD  # else it may name more, or be prose
        return (self._names(frame) if whole else []) or self._on(frame)

    def _on(self, frame: Frame) -> list[Instrument]:
        """The instruments of a frame's connection; also those of which nobody knows it, unless it has just begun."""
        conns = {frame.conn} if frame.direction == "connect" else {frame.conn, ""}
        return [one for one in self.instruments.values() if one.conn in conns]

    def _names(self, frame: Frame) -> list[Instrument]:
        """The instruments that even an unreadable frame's first bytes name."""
        head = frame.payload[:HEAD]
        return [one for one in self._on(frame) if self.native(one.symbol).encode() in head]

    def in_sequence(self, frame: Frame, what: str, number: int, events: list[AnyEvent]) -> bool:
        """Take note of the number of a connection's message: False if it was seen before.

        After a number above the next, messages were lost; after one far below, the venue has begun anew, and what was
        said in between is not known: that goes to ``events``.
        """
        last = self.last_of.get(frame.conn)
        if last is not None and number > 0 and last - NEAR < number <= last:
            self.counts.duplicates += 1
            return False
        self.last_of[frame.conn] = number
        if last is not None and number != last + 1:
            lost = f"{number - last - 1} messages lost" if number > last else "the numbers began anew"
            reason = f"{what} {number} after {last}: {lost}"
            # Any symbol's messages may be among them, whichever this frame names.
            events += self.lost(msgspec.structs.replace(frame, payload=b""), reason)
        return True

    def _lists(self, frame: Frame) -> bool:
        return self.listings is not None and split_address(frame.url or "").path.endswith(self.listings.path)

    def _learn(self, frame: Frame) -> None:
        """Take in the venue's own list of what its symbols are called; a guess holds where it cannot be read."""
        try:
            listings = self.listings.read(frame.payload, self.venue) if self.listings else []
        except FrameError as error:
            raise RefusalError(f"not a list of symbols: {error}") from error
        self.listed = {one.native: one.symbol for one in listings}
        self.natives = {one.symbol: one.native for one in listings}
        self.counts.skipped += 1

    def drop(self, symbol: str, ts_ns: int, reason: str) -> list[AnyEvent]:
        """Void the symbol's book, at that time of our clock and for a reason of our own: it is no longer asked for.

        Returns the gap, if the book was live.
        """
        one = self.instruments.get(symbol)
        if one is None:
            return []
        return one.gap(Frame(self.venue, one.conn, "send", ts_ns, b""), ts_ns, reason)

    def observed(
        self, one: Instrument, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels,
        number: int | None = None, step: float = 0.0,
    ) -> None:  # fmt: skip
        """Show a whole book to those who compare; see ``Observation``. Nothing, unless the instrument's is live."""
        if one.live and one.followed:
            for observe in self.observers:
                observe(Observation(one, frame, ts_event_ns, bids, asks, number, step))

    def aside(self, one: Instrument | None) -> None:
        """Count a REST body that is no event: of that instrument's book, or of none's."""
        if one is not None:
            one.bodies += 1
            one.counts.frames += 1
        (self.counts if one is None else one.counts).skipped += 1

    def unfollow_all_but(self, frame: Frame, symbols: Collection[str] = ()) -> None:
        """Take note that the connection gives no more changes of the other symbols' books, though nothing was lost."""
        for one in self._on(frame):
            one.followed = one.followed and one.symbol in symbols

    def number_of(self, symbol: str) -> int | None:  # noqa: ARG002 (most venues do not number a book's changes)
        """Return the venue's number of the symbol's last change, where a whole book says such a number too."""
        return None

    def awaiting(self, one: Instrument, frame: Frame) -> Instrument | None:
        """Count a REST body of that instrument's book; return the instrument if it waits for one, which no audit is."""
        wanted = not one.live and frame.direction != "audit"
        one.bodies += 1
        one.counts.frames += 1
        one.counts.skipped += not wanted
        return one if wanted else None

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


def split_address(url: str) -> SplitResult:
    """Return the parts of an address; empty ones if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


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
