"""``quicksilver tape cut``: a span of a tape, for some venues and symbols, that still can be replayed.

A span cut out of the middle has no book: changes without a beginning, channel numbers without the message that
explains them. So a cut tape begins with a *run-up*: all frames of the connections that are open at its start, from when
they were opened. Whether that is enough is tried and not assumed: the venue's own parser reads the cut beside the
whole, and where the books at the start or any event after it differ (a message of another symbol is missing where a
venue numbers the messages of all together), more of that venue is kept: first all symbols, then everything from the
tape's beginning.

The span ends with its last frame whose time is within it: one in its midst that a wrong clock puts after the end is no
reason to leave out all that follows, nor to leave itself out, for books are made of every change.

Features after the start equal those of the whole tape, but for ``seq``, where the connection began with its books cold,
as after every lost connection; predictions do not, for models have learned from all that was before.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from jobs.choices import MOST
from jobs.parsers import Parsers
from jobs.tape_files import new_tape
from jobs.tape_letters import Letters, marked
from producers.exchanges.base import Reject, ignore
from producers.frames import Frame
from quicksilver import codec
from quicksilver.book import Book
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap

Read: TypeAlias = Callable[[Reject], Iterator[Frame]]
Key: TypeAlias = tuple[str, str]

LEVELS = ("the symbols' own frames of open connections", "all frames of open connections", "all frames before it")


class Wanted(NamedTuple):
    """What is to be cut out: receive times ``[start_ns, end_ns)``, venues and symbols; none named: all."""

    start_ns: int
    end_ns: int
    venues: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    def time(self, frame: Frame) -> bool:
        """Whether the frame was received within the span."""
        return self.start_ns <= frame.ts_recv_ns < self.end_ns

    def venue(self, frame: Frame) -> bool:
        """Whether the frame's venue is wanted."""
        return not self.venues or frame.venue in self.venues

    def event(self, event: AnyEvent) -> bool:
        """Whether the event's symbol is wanted."""
        return not self.symbols or event.symbol in self.symbols


class _Places:
    """A tape read frame by frame to the end of the span: each with its place, and whether it is within the span yet.

    ``letters`` are those of the last time it was read.
    """

    def __init__(self, read: Read, wanted: Wanted) -> None:
        self._read, self._wanted = read, wanted
        self.letters = Letters()
        self._until = None if wanted.end_ns >= MOST else self._last() + 1

    def __iter__(self) -> Iterator[tuple[int, bool, Frame]]:
        inside = False
        for place, frame in islice(self._frames(), self._until):
            inside = inside or self._wanted.time(frame)
            if self._wanted.venue(frame):
                yield place, inside, frame

    def _frames(self) -> Iterator[tuple[int, Frame]]:
        self.letters = Letters()
        return enumerate(marked(self._read(self.letters), self.letters))

    def _last(self) -> int:
        """The place of the last frame of the span; -1 if there is none."""
        return max((place for place, frame in self._frames() if self._wanted.time(frame)), default=-1)


class _Trial:
    """What a parser makes of frames: the books at the start of the span, and a digest of each venue's events in it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._parsers = Parsers(ignore)
        self._books: dict[Key, Book] = {}
        self._digests: dict[str, Any] = {}
        self._inside = False

    def take(self, frame: Frame, inside: bool) -> list[AnyEvent]:
        """Take in a frame; returns its events."""
        if inside and not self._inside:
            self._inside = True
            for (venue, symbol), book in sorted(self._books.items()):
                if book.ready:
                    self._add(venue, symbol.encode(), *(side.tobytes() for side in book.top(max(*book.levels, 1))))
        events = self._parsers.parse(frame)
        for event in filter(self._wanted.event, events):
            if inside:
                self._add(event.venue, codec.encode(replace(event, seq=0)))
            else:
                self._keep(event)
        return events

    def _keep(self, event: AnyEvent) -> None:
        book = self._books.setdefault((event.venue, event.symbol), Book())
        if isinstance(event, BookSnapshot | BookDelta | Gap):
            book.take(event)

    def _add(self, venue: str, *parts: bytes) -> None:
        digest = self._digests.setdefault(venue, hashlib.blake2b())
        for part in parts:
            digest.update(part)

    def found(self, venue: str) -> bytes:
        """Return the digest of a venue's books and events."""
        digest = self._digests.get(venue)
        return digest.digest() if digest is not None else b""


def _run_ups(places: _Places) -> dict[Key, int]:
    """Return the connections that are open at the start of the span, and the place of the frame that opened each."""
    begun: dict[Key, int] = {}
    for place, inside, frame in places:
        if inside:
            break
        key = (frame.venue, frame.conn)
        if frame.direction == "disconnect":
            begun.pop(key, None)
        elif frame.direction == "connect" or key not in begun:
            begun[key] = place
    return begun


class _Cut:
    """Which frames are kept: ``level`` says, for each venue, how much."""

    def __init__(self, wanted: Wanted, places: _Places, run_up: bool) -> None:
        self._wanted, self._places, self._run_up = wanted, places, run_up
        self._begun = _run_ups(places) if run_up else {}
        self.level: dict[str, int] = {}
        self.missing = set(wanted.symbols)  # those of which nothing was kept

    def settle(self) -> None:
        """Find the least of each venue that gives the same books and events as the whole."""
        whole, trials = _Trial(self._wanted), [_Trial(self._wanted), _Trial(self._wanted)]
        venues = set[str]()
        for place, inside, frame in self._places:
            venues.add(frame.venue)
            events = whole.take(frame, inside)
            for level, trial in enumerate(trials):
                if self._keeps(place, inside, frame, events, level):
                    trial.take(frame, inside)
        for venue in venues:
            same = [level for level, trial in enumerate(trials) if trial.found(venue) == whole.found(venue)]
            self.level[venue] = min(same, default=len(trials))

    def _keeps(self, place: int, inside: bool, frame: Frame, events: list[AnyEvent], level: int) -> bool:
        if level < 2 and not inside:
            begun = self._begun.get((frame.venue, frame.conn))
            if begun is None or place < begun:
                return False
        return level > 0 or not events or any(map(self._wanted.event, events))

    def kept(self) -> Iterator[tuple[bool, Frame]]:
        """Yield the frames that are kept, and whether each is within the span."""
        parsers = Parsers(ignore)
        for place, inside, frame in self._places:
            events = parsers.parse(frame) if self._wanted.symbols else []
            self.missing -= {event.symbol for event in events}
            if (inside or self._run_up) and self._keeps(place, inside, frame, events, self.level.get(frame.venue, 0)):
                yield inside, frame


def cut(
    read: Read, out: Path, wanted: Wanted, about: dict[str, Any], run_up: bool = True
) -> tuple[dict[str, Any], Letters]:
    """Write a span of a tape to a new one; returns the counts, what was kept before the start, and what is lost.

    What cannot be read up to the span's end is marked on the new tape. Without ``run_up`` it is the frames of the span
    alone, and books begin with the first full ones in it.

    Raises:
        InputError: nothing of the tape is wanted, or the file is there already.
    """
    places = _Places(read, wanted)
    one = _Cut(wanted, places, run_up)
    if run_up:
        one.settle()
    before = 0
    with new_tape(out, about) as writer:
        for inside, frame in one.kept():
            before += not inside
            writer.write(frame)
        if one.missing:
            missing = ", ".join(sorted(one.missing))
            raise InputError(f"the tape has nothing of {missing} before that end, or not of that venue")
        if writer.frames == before:
            raise InputError("there are no frames of that span, venue and symbol on the tape")
    kept = {venue: LEVELS[level] for venue, level in sorted(one.level.items())}
    letters = places.letters
    found = {"out": str(out), "frames": writer.frames, "run_up_frames": before, "run_up": kept}
    return {**found, "torn": letters.torn, "unreadable": letters.count}, letters
