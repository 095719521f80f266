"""How one instrument's book went in the last seconds, and whether a whole book of the venue's lies on that way.

A whole book was true at some moment. Where the venue numbers it, or says its time, that moment lies between two of our
messages; else it lies in a span of time, and is taken to be the one at which most levels agree. A message may hold
several changes of a level, of which we see the last alone, and a venue may take its time to write a book down: so a
level that differs, but has changed within the span, proves nothing and is not counted.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from producers.exchanges.base import Observation
from quicksilver.book import ASKS, BIDS, CAPACITY, DEPTH, N_BIDS, Book, best, side_start
from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, FloatArray, Levels

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
            self._known = [_worst(levels.array, SIGNS[side]) for side, levels in _sides(snapshot)]

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

    def _walk(self, seen: Observation, span: _Span) -> Verdict:
        """Compare the book with those of the span's moments; of all of them the nearest counts."""
        changes = [change.event for change in self._changes]
        one = self._at_moment(seen, changes[: span.first])
        nearest, least = span.first, one.differing(changes[span.first : span.first + 1])
        for k, change in enumerate(changes[span.first : span.last], span.first + 1):
            one.apply(change)
            differing = one.differing(changes[k : k + 1] if k < span.last else [])
            if differing < least:
                nearest, least = k, differing
        touched = _prices(changes[span.first : span.last])
        return _verdict(self._at_moment(seen, changes[:nearest]), one.best_equal, touched)

    def _at_moment(self, seen: Observation, changes: list[BookDelta]) -> "_Both":
        book = Book(self._base.block.copy())
        for change in changes:
            book.reserve(len(change.bids), len(change.asks))
            book.apply(change.bids, change.asks)
        return _Both(book, [_Side(levels, book, side, self._known[side], seen.step) for side, levels in _sides(seen)])


class _Side:
    """One side of the venue's book and of ours, on its way through a span's moments; where they differ."""

    def __init__(self, theirs: Levels, book: Book, side: int, known: float, step: float) -> None:
        self.side, self.sign, self._step = side, SIGNS[side], step
        self._limit = max(_worst(theirs.array, self.sign), known)  # down to there both books may know all levels
        self._depth = int(book.block[DEPTH])
        self.theirs, self.mine = (self._within(one) for one in (theirs.array, book.top(book.levels[side])[side]))
        self._prices = np.sort(self.sign * theirs.array[:, 0])[::-1] * self.sign  # the best first
        self.theirs_best = _first(self._prices)
        self.differing = {price for price in self.mine.keys() | self.theirs.keys() if self._differs(price)}
        self.edge = self.best = 0.0
        self.changed(book)

    def _within(self, levels: FloatArray) -> dict[float, float]:
        return dict(levels[self.sign * levels[:, 0] >= self._limit, :2].tolist())

    def _differs(self, price: float) -> bool:
        return abs(self.mine.get(price, 0.0) - self.theirs.get(price, 0.0)) > self._step

    def changed(self, book: Book) -> None:
        """Take note of our book's best and worst prices."""
        self.best = best(book.block, self.side)
        self.edge = max(self._limit, self.sign * _worst_of(book, self.side))

    def apply(self, levels: Levels) -> None:
        """Change our side; what falls out of the depth is forgotten."""
        changed = [(price, size) for price, size in levels.tolist() if self.sign * price >= self._limit]
        for price, size in changed:
            self._set(price, size)
        while self._depth and len(self.mine) > self._depth:
            self._set(self.sign * min(self.sign * price for price in self.mine), 0.0)

    def _set(self, price: float, size: float) -> None:
        self.mine.pop(price, None)
        if size:
            self.mine[price] = size
        (self.differing.add if self._differs(price) else self.differing.discard)(price)

    def within_edge(self, prices: Iterable[float]) -> list[float]:
        """Return the prices down to which our book knows all levels now."""
        return [price for price in prices if self.sign * price >= self.edge]

    def best_equal(self, book: Book, upcoming: Levels) -> bool:
        """Whether the best prices are equal, or are those of levels that the next change, half done, leaves alone."""
        if _same(self.best, self.theirs_best):
            return True
        if not len(upcoming):
            return False
        prices, n = upcoming.array[:, 0], len(upcoming) + 1
        ours, theirs = book.top(n)[self.side][:, 0], self._prices[:n]
        return _same(*(_first(one[~np.isin(one, prices)]) for one in (ours, theirs)))


class _Both:
    """Both sides, and our book."""

    def __init__(self, book: Book, sides: list[_Side]) -> None:
        self._book, self.sides = book, sides
        self.best_equal = [False, False]

    def apply(self, change: BookDelta) -> None:
        """Go to the next moment."""
        self._book.reserve(len(change.bids), len(change.asks))
        self._book.apply(change.bids, change.asks)
        for one, levels in zip(self.sides, (change.bids, change.asks), strict=True):
            one.apply(levels)
            one.changed(self._book)

    def differing(self, upcoming: list[BookDelta]) -> int:
        """Return how many levels differ that the next change leaves alone; take note of best prices that are equal."""
        found, touched = 0, _prices(upcoming)
        for one in self.sides:
            levels = NO_LEVELS if not upcoming else upcoming[0].asks if one.side else upcoming[0].bids
            self.best_equal[one.side] = self.best_equal[one.side] or one.best_equal(self._book, levels)
            found += len(set(one.within_edge(one.differing)) - touched[one.side])
        return found


def _prices(changes: Iterable[BookDelta]) -> tuple[set[float], set[float]]:
    """The prices of bids and asks that these change."""
    found: tuple[set[float], set[float]] = (set(), set())
    for change in changes:
        for prices, levels in zip(found, (change.bids, change.asks), strict=True):
            prices.update(levels.array[:, 0].tolist())
    return found


def _sides(seen: Observation | BookSnapshot) -> tuple[tuple[int, Levels], tuple[int, Levels]]:
    return (BIDS, seen.bids), (ASKS, seen.asks)


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


def _verdict(both: _Both, best_equal: list[bool], touched: tuple[set[float], set[float]]) -> Verdict:
    """Put both sides together; a level that differs, but changed within the span, proves nothing."""
    levels, wrong, worst, reasons = 0, set[Named](), (0.0, ""), list[str]()
    for one in both.sides:
        name = ("bid", "ask")[one.side]
        if not best_equal[one.side]:
            wrong.add((one.side, BEST))
            reasons.append(f"best {name} {one.best:.15g}, the venue's {one.theirs_best:.15g}")
        differing = set(one.within_edge(one.differing)) - touched[one.side]
        levels += len(set(one.within_edge(one.mine.keys() | one.theirs.keys())) - (one.differing - differing))
        for price in sorted(differing):
            ours, theirs = one.mine.get(price, 0.0), one.theirs.get(price, 0.0)
            wrong.add((one.side, price))
            what = f"{name} {price:.15g}, {ours:.15g} there and {theirs:.15g} at the venue"
            worst = max(worst, (abs(ours - theirs), what), key=lambda two: two[0])
    differ = sum(price != BEST for _, price in wrong)
    if differ:
        reasons.append(f"{differ} of {levels} levels differ, most of all {worst[1]}")
    return Verdict(levels, (best_equal[0], best_equal[1]), frozenset(wrong), worst[0], "; ".join(reasons))
