"""The best levels of a book as a venue keeps its readers up to date with them."""

from bisect import bisect_right

from producers.simulator.ladder import Ladder
from producers.simulator.orderflow import Book
from producers.simulator.venues.base import Changes

BEYOND = 1 << 62  # an edge that no level passes: the side has fewer levels than the depth


class Window:
    """The best ``depth`` levels of a book: a level that comes in is told, one that falls out is told as removed."""

    def __init__(self, book: Book, depth: int) -> None:
        self.depth = depth
        self.sides = (book.bids, book.asks)
        self._book = book
        self._edges = [self._edge(side) for side in self.sides]

    def _edge(self, side: Ladder) -> int:
        return side.keys[self.depth - 1] if len(side.keys) >= self.depth else BEYOND

    def told(self, bids: Changes, asks: Changes) -> tuple[Changes, Changes]:
        """Return what changed within the window with the book's last changes, removals first.

        Level by level in this order, bids or asks first, no book on the way is crossed.
        """
        return self._side(0, bids), self._side(1, asks)

    def _side(self, place: int, changes: Changes) -> Changes:
        if not changes:
            return changes
        side, before = self.sides[place], self._edges[place]
        now = self._edges[place] = self._edge(side)
        return self._shown(side, changes, before, now)

    def _shown(self, side: Ladder, changes: Changes, before: int, now: int) -> Changes:
        """Return what is told of changes of a side whose edge was ``before`` and is ``now``."""
        removed = [(key, 0) for key, lots in changes if not lots and key <= before]
        if now < before:
            removed += [(key, 0) for key in side.keys[self.depth : bisect_right(side.keys, before)]]
        shown = [(key, lots) for key, lots in changes if lots and key <= now]
        return removed + shown + self._back(side, changes, before, now)

    def _back(self, side: Ladder, changes: Changes, before: int, now: int) -> Changes:
        """Return the levels that come into the window though nothing changed there."""
        if now <= before:
            return []
        changed = {key for key, _ in changes}
        back = side.keys[bisect_right(side.keys, before) : self.depth]
        return [(key, side.lots[key]) for key in back if key not in changed]
