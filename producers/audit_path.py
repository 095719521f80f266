"""How one instrument's book went in the last seconds, and whether a whole book of the venue's lies on that way.

A whole book was true at some moment. Where the venue numbers it, or says its time, that moment lies between two of our
messages; else it lies in a span of time, and is taken to be the one at which most levels agree. A message may hold
several changes of a level, of which we see the last alone, and a venue may take its time to write a book down: so a
level that differs, but has changed within the span, proves nothing and is not counted.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from producers.audit_sides import SIGNS, Both, Comparison, Side, comparison_of, prices_of, two_sides, worst
from producers.exchanges.base import Observation
from quicksilver.book import DEPTH, Book
from quicksilver.events import BookDelta, BookSnapshot, Levels

KEPT_NS = 6_000_000_000  # of receive time; more than the spans below and the patience of ``audits.py`` together
KEPT_CHANGES = 4_096
SLACK_NS = 2_000_000_000  # changes are forgotten together: one at a time costs more than all else here
OWN_TIME_NS = 2_000_000_000  # a venue's time may be that of its answer, its book from a cache of a second before
BEFORE_NS = 3_000_000_000  # how old a book without a time may be when it arrives, ...
AFTER_NS = 1_500_000_000  # ... and how much later than it the messages of its moment may come


class _Change(NamedTuple):
    event: BookDelta
    number: int | None


class _Span(NamedTuple):
    """Moments ``first`` to ``last``: 0 is the base, k the book after the k-th change.

    ``begun``: our book goes back to the span's begin; ``ended``: the stream has passed its end.
    """

    first: int
    last: int
    begun: bool
    ended: bool


class Path:
    """A book as it was some seconds ago, and all changes since."""

    def __init__(self, snapshot: BookSnapshot, number: int | None, keeps_best: bool) -> None:
        """Begin with a whole book; ``keeps_best`` as in ``Parser``."""
        self._base = Book()
        self._base.snapshot(snapshot.bids, snapshot.asks, snapshot.depth)
        self._at = (snapshot.ts_event_ns, snapshot.ts_recv_ns, number)
        self._changes: deque[_Change] = deque()
        self._known = [-math.inf, -math.inf]
        if snapshot.depth is None and not keeps_best:
            # Beyond the first book's worst prices nothing is known but what has changed since.
            self._known = [worst(levels.array, SIGNS[side]) for side, levels in two_sides(snapshot)]

    def add(self, event: BookDelta, number: int | None) -> None:
        """Take in a change; those that no whole book can be about any more become part of the base."""
        changes = self._changes
        changes.append(_Change(event, number))
        if len(changes) > KEPT_CHANGES or changes[0].event.ts_recv_ns < event.ts_recv_ns - KEPT_NS - SLACK_NS:
            self._forget(event.ts_recv_ns - KEPT_NS)

    def _forget(self, before_ns: int) -> None:
        changes, gone = self._changes, list[BookDelta]()
        while len(changes) > KEPT_CHANGES or changes[0].event.ts_recv_ns < before_ns:
            last = changes.popleft()
            gone.append(last.event)
            self._at = (last.event.ts_event_ns, last.event.ts_recv_ns, last.number)
        if self._base.block[DEPTH]:  # levels fall out of it after each message
            for event in gone:
                self._base.apply(event.bids, event.asks)
        elif gone:
            bids, asks = ([one.array for one in side] for side in zip(*((e.bids, e.asks) for e in gone), strict=True))
            self._base.apply(Levels(np.concatenate(bids)), Levels(np.concatenate(asks)))

    @property
    def full(self) -> bool:
        """Whether the next change pushes out the oldest one, however young."""
        return len(self._changes) >= KEPT_CHANGES

    def compare(self, seen: Observation, patient: bool) -> Comparison | None:
        """Return what differs; None if that cannot be told.

        ``patient``: so long was waited that the stream must have passed the moment, if anything has changed at all.
        Else only what is equal can be told of a span whose end has not come.
        """
        exact = self._exact(seen)
        if exact is not None and exact.begun:
            found = self._walk(seen, exact)
            if found.equal or (exact.ended and self._numbered(seen)):
                return found
        span = None if self._numbered(seen) else self._about(seen)
        if span is None or span.last < 0:
            return None
        found = self._walk(seen, span)
        return found if found.equal or (span.begun and (patient or span.ended)) else None

    def _numbered(self, seen: Observation) -> bool:
        return seen.number is not None and self._at[2] is not None

    def _exact(self, seen: Observation) -> _Span | None:
        """The moments on both sides of the book's number or time; None if it has neither."""
        if self._numbered(seen):
            numbers = [self._at[2] or 0, *(change.number or 0 for change in self._changes)]
            return _around(numbers, seen.number or 0, seen.number or 0, sharp=True)
        if seen.ts_event_ns != seen.frame.ts_recv_ns:
            return _around(self._event_times(), seen.ts_event_ns, seen.ts_event_ns)
        return None

    def _about(self, seen: Observation) -> _Span:
        """The moments at which the book may have been true."""
        if seen.ts_event_ns != seen.frame.ts_recv_ns:
            return _around(self._event_times(), seen.ts_event_ns - OWN_TIME_NS, seen.ts_event_ns + OWN_TIME_NS)
        marks = [self._at[1], *(change.event.ts_recv_ns for change in self._changes)]
        return _around(marks, seen.frame.ts_recv_ns - BEFORE_NS, seen.frame.ts_recv_ns + AFTER_NS)

    def _event_times(self) -> list[int]:
        return [self._at[0], *(change.event.ts_event_ns for change in self._changes)]

    def _walk(self, seen: Observation, span: _Span) -> Comparison:
        """Compare the book with those of the span's moments; of all of them the nearest counts."""
        changes = [change.event for change in self._changes]
        one = self._at_moment(seen, changes[: span.first])
        nearest, least = span.first, one.differing(changes[span.first : span.first + 1])
        for k, change in enumerate(changes[span.first : span.last], span.first + 1):
            one.apply(change)
            differing = one.differing(changes[k : k + 1] if k < span.last else [])
            if differing < least:
                nearest, least = k, differing
        touched = prices_of(changes[span.first : span.last])
        return comparison_of(self._at_moment(seen, changes[:nearest]), one.best_equal, touched)

    def _at_moment(self, seen: Observation, changes: list[BookDelta]) -> Both:
        book = Book(self._base.block.copy())
        for change in changes:
            book.reserve(len(change.bids), len(change.asks))
            book.apply(change.bids, change.asks)
        return Both(book, [Side(levels, book, side, self._known[side], seen.step) for side, levels in two_sides(seen)])


def _around(marks: list[int], first: int, last: int, sharp: bool = False) -> _Span:
    """The span from the last mark that is at most ``first`` to the first one above ``last``; before 0 if all are above.

    If ``sharp`` a mark of just that number is the moment.
    """
    begin = next((k for k, mark in enumerate(marks) if mark > first), len(marks)) - 1
    if sharp and begin >= 0 and marks[begin] == last:
        return _Span(begin, begin, begun=True, ended=True)
    end = next((k for k, mark in enumerate(marks) if mark > last), len(marks))
    if end == 0:
        return _Span(-1, -1, begun=False, ended=True)
    return _Span(max(begin, 0), min(end, len(marks) - 1), begun=begin >= 0, ended=end < len(marks))
