"""Where a whole book of the venue's and ours differ, while ours goes through some of its moments."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from producers.exchanges.base import Observation
from quicksilver.book import ASKS, BIDS, CAPACITY, DEPTH, N_BIDS, Book, best, side_start
from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, FloatArray, Levels

BEST = math.inf  # stands for the best price where levels are named by theirs
SIGNS = (1.0, -1.0)  # of bids and asks: times it, a better price is a larger number

Named = tuple[int, float]
"""A level that differs: its side, and its price or ``BEST``."""


class Comparison(NamedTuple):
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


class Side:
    """One side of the venue's book and of ours, on its way through a span's moments; where they differ."""

    def __init__(self, theirs: Levels, book: Book, side: int, known: float, step: float) -> None:
        self.side, self.sign, self._step = side, SIGNS[side], step
        self._limit = max(worst(theirs.array, self.sign), known)  # down to there both books may know all levels
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


class Both:
    """Both sides, and our book."""

    def __init__(self, book: Book, sides: list[Side]) -> None:
        self._book, self.sides = book, sides
        self.best_equal = [False, False]

    def apply(self, change: BookDelta) -> None:
        """Go to the next moment."""
        self._book.reserve(len(change.bids), len(change.asks))
        self._book.apply(change.bids, change.asks)
        for one, levels in zip(self.sides, (change.bids, change.asks), strict=True):
            one.apply(levels)
            one.changed(self._book)

    def differing(self, upcoming: list[BookDelta]) -> tuple[int, int]:
        """Return how many levels differ that the next change leaves alone, and how many in all.

        Takes note of best prices that are equal.
        """
        found, in_all, touched = 0, 0, prices_of(upcoming)
        for one in self.sides:
            levels = NO_LEVELS if not upcoming else upcoming[0].asks if one.side else upcoming[0].bids
            self.best_equal[one.side] = self.best_equal[one.side] or one.best_equal(self._book, levels)
            differing = set(one.within_edge(one.differing))
            found, in_all = found + len(differing - touched[one.side]), in_all + len(differing)
        return found, in_all


def prices_of(changes: Iterable[BookDelta]) -> tuple[set[float], set[float]]:
    """Return the prices of bids and asks that these change."""
    found: tuple[set[float], set[float]] = (set(), set())
    for change in changes:
        for prices, levels in zip(found, (change.bids, change.asks), strict=True):
            prices.update(levels.array[:, 0].tolist())
    return found


def two_sides(seen: Observation | BookSnapshot) -> tuple[tuple[int, Levels], tuple[int, Levels]]:
    """Return bids and asks, each with its side's number."""
    return (BIDS, seen.bids), (ASKS, seen.asks)


def worst(levels: FloatArray, sign: float) -> float:
    """Return the worst price, times the side's sign; infinite without levels: nothing is known then."""
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


def comparison_of(both: Both, best_equal: list[bool], touched: tuple[set[float], set[float]]) -> Comparison:
    """Put both sides together; a level that differs, but changed within the span, proves nothing."""
    levels, wrong, largest, reasons = 0, set[Named](), (0.0, ""), list[str]()
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
            largest = max(largest, (abs(ours - theirs), what), key=lambda two: two[0])
    differ = sum(price != BEST for _, price in wrong)
    if differ:
        reasons.append(f"{differ} of {levels} levels differ, most of all {largest[1]}")
    return Comparison(levels, (best_equal[0], best_equal[1]), frozenset(wrong), largest[0], "; ".join(reasons))
