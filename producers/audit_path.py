"""How one instrument's book went in the last seconds, and whether a whole book of the venue's lies on that way.

A whole book was true at some moment. Where the venue numbers it, or says its time, that moment lies between two of our
messages; else it lies in a span of time. A message may hold several changes of a level, of which we see the last alone,
so a level that changes within the span proves nothing, and is not compared.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from producers.exchanges.base import Observation
from quicksilver.book import ASKS, BIDS, CAPACITY, N_BIDS, Book, best, side_start
from quicksilver.events import BookDelta, BookSnapshot, FloatArray, Levels

KEPT_NS = 6_000_000_000  # of receive time; more than the spans below and the patience of ``audits.py`` together
KEPT_CHANGES = 4_096
OWN_TIME_NS = 2_000_000_000  # a venue's time may be that of its answer, its book from a cache of a second before
BEFORE_NS = 3_000_000_000  # how old a book without a time may be when it arrives, ...
AFTER_NS = 1_500_000_000  # ... and how much later than it the messages of its moment may come
BEST = math.inf  # stands for the best price where levels are named by theirs
SIGNS = (1.0, -1.0)  # of bids and asks: times it, a better price is a larger number

Named = tuple[int, float]
"""A level that differs: its side, and its price or ``BEST``."""


class Verdict(NamedTuple):
    """What a comparison found; ``wrong`` are the levels that differ, ``reason`` is for people."""

    levels: int
    bests: tuple[bool, bool]
    wrong: frozenset[Named]
    largest: float
    reason: str

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return all(self.bests) and not self.wrong


class _Change(NamedTuple):
    event: BookDelta
    number: int | None


class _Span(NamedTuple):
    """Moments ``first`` to ``last``: 0 is the base, k the book after the k-th change; ``whole`` if all have come."""

    first: int
    last: int
    whole: bool


class Path:
    """A book as it was some seconds ago, and all changes since."""

    def __init__(self, snapshot: BookSnapshot, number: int | None) -> None:
        self._base = Book()
        self._base.snapshot(snapshot.bids, snapshot.asks, snapshot.depth)
        self._at = (snapshot.ts_event_ns, snapshot.ts_recv_ns, number)
        self._changes: deque[_Change] = deque()
        # Beyond the first book's worst prices nothing is known but what has changed since.
        self._known = tuple(
            _worst(levels.array, sign) for levels, sign in zip((snapshot.bids, snapshot.asks), SIGNS, strict=True)
        )

    def add(self, event: BookDelta, number: int | None) -> None:
        """Take in a change; those that no whole book can be about any more become part of the base."""
        changes = self._changes
        changes.append(_Change(event, number))
        while len(changes) > KEPT_CHANGES or changes[0].event.ts_recv_ns < event.ts_recv_ns - KEPT_NS:
            gone = changes.popleft()
            self._base.apply(gone.event.bids, gone.event.asks)
            self._at = (gone.event.ts_event_ns, gone.event.ts_recv_ns, gone.number)

    @property
    def full(self) -> bool:
        """Whether the next change pushes out the oldest one, however young."""
        return len(self._changes) >= KEPT_CHANGES

    def compare(self, seen: Observation, patient: bool) -> Verdict | None:
        """Return what differs; None if that cannot be told.

        ``patient``: so long was waited that the stream must have passed the moment, if anything has changed at all.
        Else only what is equal can be told of a span whose end has not come.
        """
        exact = self._exact(seen)
        if exact is not None:
            found = self._walk(seen, exact)
            if found.equal or (exact.whole and self._numbered(seen)):
                return found
        if self._numbered(seen):
            return None
        span = self._about(seen)
        found = self._walk(seen, span)
        return found if found.equal or patient or span.whole else None

    def _numbered(self, seen: Observation) -> bool:
        return seen.number is not None and self._at[2] is not None

    def _exact(self, seen: Observation) -> _Span | None:
        """The moments on both sides of the book's number or time; None if it has neither, or lies before the base."""
        if self._numbered(seen):
            marks = [self._at[2], *(change.number for change in self._changes)]
            mark = seen.number
        elif seen.ts_event_ns != seen.frame.ts_recv_ns:
            marks = [self._at[0], *(change.event.ts_event_ns for change in self._changes)]
            mark = seen.ts_event_ns
        else:
            return None
        return _around(marks, mark, mark, sharp=self._numbered(seen))  # type: ignore[arg-type]

    def _about(self, seen: Observation) -> _Span:
        """The moments at which the book may have been true."""
        if seen.ts_event_ns != seen.frame.ts_recv_ns:
            marks = [self._at[0], *(change.event.ts_event_ns for change in self._changes)]
            first, last = seen.ts_event_ns - OWN_TIME_NS, seen.ts_event_ns + OWN_TIME_NS
        else:
            marks = [self._at[1], *(change.event.ts_recv_ns for change in self._changes)]
            first, last = seen.frame.ts_recv_ns - BEFORE_NS, seen.frame.ts_recv_ns + AFTER_NS
        return _around(marks, first, last) or _Span(0, len(self._changes), whole=marks[-1] > last)

    def _walk(self, seen: Observation, span: _Span) -> Verdict:
        """Compare the book with those of all moments of the span."""
        changes = [change.event for change in self._changes]
        book = Book(self._base.block.copy())
        for change in changes[: span.first]:
            book.apply(change.bids, change.asks)
        sides = [_Side(levels.array, book, side, self._known[side]) for side, levels in _sides(seen)]
        for change in changes[span.first : span.last]:
            for one, levels in zip(sides, (change.bids, change.asks), strict=True):
                one.changes(book, levels)
            book.reserve(len(change.bids), len(change.asks))
            book.apply(change.bids, change.asks)
            for one in sides:
                one.changed(book)
        return _verdict(sides, seen.step)


class _Side:
    """One side of the comparison, on the way through a span's moments."""

    def __init__(self, theirs: FloatArray, book: Book, side: int, known: float) -> None:
        self.side, self.sign = side, SIGNS[side]
        self.theirs = theirs
        self.ours = book.top(book.levels[side])[side]
        self.best = best(book.block, side)
        self._prices = np.sort(self.sign * theirs[:, 0])[::-1] * self.sign  # the best first
        self.theirs_best = _first(self._prices)
        self.best_equal = _same(self.best, self.theirs_best)
        # Down to there both books know all levels.
        self.edge = max(_worst(theirs, self.sign), known, _worst(self.ours, self.sign))
        self.touched: set[float] = set()

    def changes(self, book: Book, levels: Levels) -> None:
        """Take note of a change before it is made: amid its parts the best may have been one that it leaves alone."""
        if not len(levels):
            return
        prices = levels.array[:, 0]
        self.touched.update(prices.tolist())
        if not self.best_equal:
            n = len(prices) + 1
            ours, theirs = book.top(n)[self.side][:, 0], self._prices[:n]
            self.best_equal = _same(*(_first(one[~np.isin(one, prices)]) for one in (ours, theirs)))

    def changed(self, book: Book) -> None:
        """Take note of the book after a change."""
        self.best_equal = self.best_equal or _same(best(book.block, self.side), self.theirs_best)
        self.edge = max(self.edge, self.sign * _worst_of(book, self.side))

    def differing(self, step: float) -> tuple[int, dict[float, tuple[float, float]]]:
        """Return how many levels were compared, and our size and theirs of those that differ, by price."""
        mine, venues = (dict(one[self.sign * one[:, 0] >= self.edge, :2].tolist()) for one in (self.ours, self.theirs))
        prices = (mine.keys() | venues.keys()) - self.touched
        sizes = {price: (mine.get(price, 0.0), venues.get(price, 0.0)) for price in prices}
        return len(sizes), {price: two for price, two in sizes.items() if abs(two[0] - two[1]) > step}


def _sides(seen: Observation) -> tuple[tuple[int, Levels], tuple[int, Levels]]:
    return (BIDS, seen.bids), (ASKS, seen.asks)


def _around(marks: list[int], first: int, last: int, sharp: bool = False) -> _Span | None:
    """The span from the last mark that is at most ``first`` to the first one above ``last``.

    None if all are above ``first``. If ``sharp`` a mark of just that number is the moment.
    """
    begin = next((k for k, mark in enumerate(marks) if mark > first), len(marks)) - 1
    if begin < 0:
        return None
    if sharp and marks[begin] == last:
        return _Span(begin, begin, whole=True)
    end = next((k for k, mark in enumerate(marks) if mark > last and k > begin), len(marks))
    return _Span(begin, min(end, len(marks) - 1), whole=end < len(marks))


def _worst(levels: FloatArray, sign: float) -> float:
    """The worst price, times the side's sign; infinite without levels: nothing is known then."""
    return float((sign * levels[:, 0]).min()) if len(levels) else math.inf


def _worst_of(book: Book, side: int) -> float:
    """The worst price of a book; NaN if the side is empty, which ``max`` passes over."""
    start, n = side_start(int(book.block[CAPACITY]), side), int(book.block[N_BIDS + side])
    cells = book.block[start : start + 2 * n]
    return float(next((cells[i] for i in range(0, 2 * n, 2) if cells[i + 1] > 0), math.nan))


def _first(prices: FloatArray) -> float:
    return float(prices[0]) if len(prices) else math.nan


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _verdict(sides: list[_Side], step: float) -> Verdict:
    """Put both sides together."""
    levels, wrong, worst, reasons = 0, set[Named](), (0.0, ""), list[str]()
    for one in sides:
        name = ("bid", "ask")[one.side]
        if not one.best_equal:
            wrong.add((one.side, BEST))
            reasons.append(f"best {name} {one.best:.15g}, the venue's {one.theirs_best:.15g}")
        n, differing = one.differing(step)
        levels += n
        for price, (ours, theirs) in sorted(differing.items()):
            wrong.add((one.side, price))
            what = f"{name} {price:.15g}, {ours:.15g} there and {theirs:.15g} at the venue"
            worst = max(worst, (abs(ours - theirs), what), key=lambda two: two[0])
    differ = sum(price != BEST for _, price in wrong)
    if differ:
        reasons.append(f"{differ} of {levels} levels differ, most of all {worst[1]}")
    bests = (sides[0].best_equal, sides[1].best_equal)
    return Verdict(levels, bests, frozenset(wrong), worst[0], "; ".join(reasons))
