"""What every venue's parser shares: which frames go where, what is lost with one, and what its symbols are called.

A parser is pure: frames in, events out; it sees no socket and no clock. What a venue says of losses becomes a ``Gap``
event, and the feed answers a ``Gap`` by subscribing that symbol again. A symbol's state is in ``instrument.py``; what
several venues read alike, in ``reading.py``.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import ClassVar, TypeAlias

import msgspec

from producers.exchanges.endings import UNASKED, Endings
from producers.exchanges.instrument import Counts, Instrument
from producers.exchanges.listings import Listings
from producers.exchanges.reading import decoded, naming, split_address
from producers.frames import Frame
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError, UnaskedError
from quicksilver.events import AnyEvent, Levels
from quicksilver.orders import OrderBook
from quicksilver.records import DeadLetter

Reject: TypeAlias = Callable[[DeadLetter], None]

NEAR = 8  # numbers: a message that comes again comes soon; one numbered further back shows that numbers began anew
MOST_SYMBOLS = 10_000  # of a venue: twice what the largest lists; more can only be damaged names
MOST_LETTERS = 64  # of a symbol
HEAD = 4096  # bytes in which a message says whose it is: to look for all symbols in a whole book would take too long
MAX_REFUSALS = 100


def ignore(letter: DeadLetter) -> None:
    """Take no note of a dead letter: for callers that read ``Parser.counts`` alone."""


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
    ``proves``: its messages prove a book by checksums, and what it gives by REST has neither time nor number.
    """

    keeps_best = proves = False

    listings: ClassVar[Listings | None] = None  # of its symbols, which come as a REST body before all else

    def __init__(self, venue: str, reject: Reject = ignore) -> None:
        self.venue = venue
        self.instruments: dict[str, Instrument] = {}
        self.counts = Counts()  # of frames that name no instrument
        self.order_books: dict[str, OrderBook] = {}  # by symbol, of those that come order by order
        self.last_of: dict[str, int] = {}  # the last number of each connection, where a venue numbers its messages
        self.our_names: dict[str, str] = {}  # by the venue's names, where its list has come
        self.natives: dict[str, str] = {}  # the same the other way round
        self.refusals: deque[tuple[str, bytes]] = deque(maxlen=MAX_REFUSALS)  # until somebody takes them: why, of what
        self.observers: list[Callable[[Observation], None]] = []
        self.unusable: set[str] = set()  # symbols whose book was of no use: who reads asks again, and removes them
        self.ended: set[str] = set()  # symbols whose book the venue has ended by itself: as unusable
        self.endings = Endings()
        self.wanted: Callable[[str], bool] | None = None  # of the venue's name: whether we subscribe to it; None: all
        self._reject = reject

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument of ``BASE-QUOTE``, new if need be.

        Raises:
            FrameError: it can be no symbol, or there are too many; an ``UnaskedError`` if it is new and not ``wanted``.
        """
        found = self.instruments.get(symbol)
        if found is None:
            if self.wanted is not None and not self.wanted(self.native(symbol)):
                raise UnaskedError(f"{symbol[:MOST_LETTERS]!r} was not subscribed to")
            if len(symbol) > MOST_LETTERS or not symbol.isprintable():
                raise FrameError(f"not a symbol: {symbol[:40]!r}")
            if len(self.instruments) >= MOST_SYMBOLS:
                raise FrameError(f"{symbol!r} is one symbol more than the {MOST_SYMBOLS:,} that a venue may have")
            found = self.instruments[symbol] = Instrument(self.venue, symbol, self.unusable)
        return found

    def named(self, known: dict[str, Instrument], name: str, symbol: str) -> Instrument:
        """Return the instrument that the venue calls ``name``, and note it in ``known``, which does not grow for ever.

        Raises:
            FrameError: as ``instrument``; or the venue writes the name otherwise, such as in the other case: what a
                damaged name says is no change of the book whose name it was.
        """
        if self.native(symbol) != name:
            raise FrameError(f"{name[:40]!r} is not what {self.venue} calls {symbol[:40]}")
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
            else:
                self._other_frame(frame, events)
        except UnaskedError as error:
            self.counts.skipped += 1  # and what came after it in the same message is lost
            named = self._names(frame, len(frame.payload))
            events += [
                gap for one in named for gap in one.gap(frame, frame.ts_recv_ns, f"a message cut short: {error}")
            ]
        except FrameError as error:
            events += self._dead_letter(frame, error)
        return events

    def _other_frame(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Take in what is no websocket message: REST bodies, and what happened to the connection or the recording."""
        if frame.direction == "rest" and self._lists(frame):
            self._learn(frame)
        elif frame.direction in {"rest", "audit"}:
            self.response(frame, events)
        elif frame.direction == "lost":
            events += self.lost(frame, "a line of the recording cannot be read")
        elif frame.direction == "drop":
            symbol, _, reason = decoded(bytes.decode, frame.payload, "a text").partition(" ")
            events += self.drop(symbol, frame.ts_recv_ns, reason)
        elif frame.direction == "send":
            self._sent(frame)
        else:
            self.last_of.pop(frame.conn, None)
            self.endings.forget(frame.conn)
            events += self.lost(frame, "connected anew" if frame.direction == "connect" else "connection lost")

    def _sent(self, frame: Frame) -> None:
        """Take note of what we have sent; what cannot be read asks for nothing."""
        symbols: Iterable[str] = ()
        with suppress(FrameError, *UNREADABLE):
            symbols = self.leaving(frame)
        self.endings.sent(frame.conn, symbols)

    def _dead_letter(self, frame: Frame, error: FrameError) -> list[AnyEvent]:
        """Put a frame aside that cannot be read; returns the gaps of the books that it may have been about."""
        self.counts.rejected += 1
        self._reject(
            DeadLetter(frame.ts_recv_ns, frame.source or frame.conn, self.venue, None, str(error), frame.payload)
        )
        if isinstance(error, RefusalError):
            self.refusals.append((str(error), frame.payload))
        foreign = isinstance(error, ForeignFrameError) and not self._names(frame)
        if frame.direction == "audit" or isinstance(error, RefusalError) or foreign:
            return []
        return self.lost(frame, f"a frame was lost: {error}")

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

    def _names(self, frame: Frame, head: int = HEAD) -> list[Instrument]:
        """The instruments that even an unreadable frame's first bytes name."""
        has = naming(frame.payload[:head])
        return [one for one in self._on(frame) if has(self.native(one.symbol))]

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
        self.our_names = {one.native: one.symbol for one in listings}
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
        """Show a whole book to those who compare; see ``Observation``. Nothing, unless the instrument's is live.

        One that is not followed is old, which is no news, but may not stay so: what we fetch for it is shown.
        """
        if one.live and (one.followed or frame.direction == "audit"):
            for observe in self.observers:
                observe(Observation(one, frame, ts_event_ns, bids, asks, number, step))

    def aside(self, one: Instrument | None) -> None:
        """Count a REST body that is no event: of that instrument's book, or of none's."""
        if one is not None:
            one.bodies += 1
            one.counts.frames += 1
        (self.counts if one is None else one.counts).skipped += 1

    def leaving(self, frame: Frame) -> Iterable[str]:  # noqa: ARG002 (most venues do not say what has ended)
        """Return the symbols whose books a message of ours asks the venue to end.

        Raises:
            FrameError: it cannot be read.
        """
        return ()

    def end_all_but(self, frame: Frame, events: list[AnyEvent], symbols: Collection[str] = ()) -> None:
        """Take note that the connection gives no more changes of the other symbols' books."""
        for one in self._on(frame):
            if one.symbol not in symbols:
                self.end(one, frame, events)

    def end(self, one: Instrument, frame: Frame, events: list[AnyEvent]) -> None:
        """Take note that the venue gives no more changes of a book: a loss, unless we have asked for that.

        Where nobody knows whether we have, the book becomes old, not wrong.
        """
        followed, one.followed = one.followed, False
        if not self.endings.answered(frame.conn, one.symbol) and followed and self.endings.heard(frame.conn):
            self.ended.add(one.symbol)
            events += one.gap(frame, frame.ts_recv_ns, UNASKED)

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
