"""One symbol's book as ccxt keeps it, told as whole books and changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from producers.exchanges.ccxt_wire import DEPTH, Book, Change, Lost
from quicksilver.events import SECOND_NS

Sizes: TypeAlias = dict[float, float]  # by price
WHOLE_EVERY_NS = 60 * SECOND_NS  # so that a tape can be read from its middle


class BookTeller:
    """Says how a book of ccxt's differs from what was told before, in messages with numbers."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._n = 0
        self._told: tuple[Sizes, Sizes] | None = None
        self._seen: tuple[int | None, int | None] = None, None  # time and number of the last message
        self._whole_ns = 0

    @property
    def told(self) -> bool:
        """Whether a book has been told, and is not in doubt."""
        return self._told is not None

    def tell(self, book: Mapping[str, Any], now_ns: int) -> list[Book | Change]:
        """Return the messages that bring a reader to this book: none if ccxt only says again what it has said."""
        ts, nonce = book.get("timestamp"), book.get("nonce")
        sides = best(book["bids"]), best(book["asks"])
        messages: list[Book | Change] = []
        if self._told is not None and (sides != self._told or (ts, nonce) != self._seen):
            bids, asks = (_rows(_changes(before, after)) for before, after in zip(self._told, sides, strict=True))
            messages.append(Change(self.symbol, self._next(), ts, nonce, bids, asks))
        if self._told is None or now_ns - self._whole_ns >= WHOLE_EVERY_NS:
            bids, asks = (_rows(side.items()) for side in sides)
            messages.append(Book(self.symbol, self._next(), ts, nonce, DEPTH, bids, asks))
            self._whole_ns = now_ns
        self._told, self._seen = sides, (ts, nonce)
        return messages

    def lose(self, reason: str) -> list[Lost]:
        """Return the message that puts the book in doubt, if there is one; the next that is told is whole."""
        if self._told is None:
            return []
        self._told = None
        return [Lost(self.symbol, self._next(), reason)]

    def _next(self) -> int:
        self._n += 1
        return self._n


def best(side: Sequence[Sequence[Any]]) -> Sizes:
    """Return the best ``DEPTH`` levels of a side that is sorted, best first.

    Where ccxt keeps orders one by one, those of one price are one level.

    >>> best([[100.0, 1.0, "order 1"], [100.0, 2.0, "order 2"], [99.0, 5.0, "order 3"]])
    {100.0: 3.0, 99.0: 5.0}
    """
    rows = side[:DEPTH]
    sizes: Sizes = {row[0]: row[1] for row in rows}
    if len(sizes) == len(rows):
        return sizes  # no two rows of one price, as everywhere but with order by order books: it has to be fast
    sizes = {}
    for price, size, *_ in side:
        if price in sizes:
            sizes[price] += size
        elif len(sizes) == DEPTH:
            break
        else:
            sizes[price] = size
    return sizes


def _changes(before: Sizes, after: Sizes) -> list[tuple[float, float]]:
    if before == after:
        return []
    removed = [(price, 0.0) for price in before if price not in after]
    return removed + [(price, size) for price, size in after.items() if before.get(price) != size]


def _rows(levels: Iterable[tuple[float, float]]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(list(levels)))
