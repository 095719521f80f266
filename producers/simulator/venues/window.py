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
        self._book = book
        self._edges = [self._edge(book.bids), self._edge(book.asks)]

    def _edge(self, side: Ladder) -> int:
        return side.keys[self.depth - 1] if len(side.keys) >= self.depth else BEYOND

    def told(self, bids: Changes, asks: Changes) -> tuple[Changes, Changes]:
        """Return what changed within the window with the book's last changes, removals first.

        Level by level in this order, bids or asks first, no book on the way is crossed.
        """
        return self._side(0, self._book.bids, bids), self._side(1, self._book.asks, asks)

    def _side(self, place: int, side: Ladder, changes: Changes) -> Changes:
        if not changes:
            return changes
        before, now = self._edges[place], self._edge(side)
        self._edges[place] = now
        removed = [(key, 0) for key, lots in changes if not lots and key <= before]
        shown = [(key, lots) for key, lots in changes if lots and key <= now]
        if now < before:
            removed += [(key, 0) for key in side.keys[self.depth : bisect_right(side.keys, before)]]
        elif now > before:
            changed = {key for key, _ in changes}
            back = side.keys[bisect_right(side.keys, before) : self.depth]
            shown += [(key, side.lots[key]) for key in back if key not in changed]
        return removed + shown
