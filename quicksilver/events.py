"""The vocabulary: what an exchange, a CSV file or a tape can say.

Every event is immutable and carries

- ``venue``: lower-case name of the exchange, e.g. ``kraken``;
- ``symbol``: ``BASE-QUOTE`` in upper case (``BTC-USD``) whatever the venue calls it;
- ``seq``: the pipeline's own number, gap-free from 1 for each venue and symbol;
- ``ts_event_ns``: the venue's clock, nanoseconds since 1970 UTC;
- ``ts_recv_ns``: our clock when the frame arrived, nanoseconds since 1970 UTC.

Prices are in the quote currency, sizes in the base currency, both float64 parsed straight from the venue's
decimal text. Absent is ``None``; 0 never means "missing".
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Side: TypeAlias = Literal["buy", "sell"]
FloatArray: TypeAlias = NDArray[np.float64]
OrderCounts: TypeAlias = tuple[int | None, ...]
SECOND_NS = 1_000_000_000


class Levels:
    """One side's price levels: an immutable ``(n, 2)`` float64 array of ``[price, size]``.

    It compares, hashes and encodes by value, so that events do too; kernels read ``array`` without a copy.

    >>> Levels.of([(101.5, 2.0)])
    Levels([[101.5, 2.0]])
    """

    __slots__ = ("array",)
    array: FloatArray

    def __init__(self, array: FloatArray) -> None:
        """Take ownership of ``array``, shape ``(n, 2)``, C-contiguous float64; the caller must not change it."""
        self.array = array

    @classmethod
    def of(cls, pairs: Sequence[Sequence[float]]) -> Self:
        """Build from ``(price, size)`` pairs.

        Raises:
            ValueError: the pairs are not all of length two.
        """
        if not pairs:
            return cls(np.empty((0, 2)))
        array = np.array(pairs, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"levels are [price, size] pairs, not an array of shape {array.shape}")
        return cls(array)

    def tolist(self) -> list[list[float]]:
        """Return ``[[price, size], ...]``."""
        rows: list[list[float]] = self.array.tolist()
        return rows

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[list[float]]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Levels) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash(self.array.tobytes())

    def __repr__(self) -> str:
        return f"Levels({self.tolist()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Levels, (self.array,))


NO_LEVELS = Levels(np.empty((0, 2)))


class Event(msgspec.Struct, frozen=True, kw_only=False, tag_field="type", tag=str.lower):
    """What every event carries; see the module's text for units."""

    venue: str
    symbol: str
    seq: int
    ts_event_ns: int
    ts_recv_ns: int


class Trade(Event, frozen=True):
    """One execution; ``side`` is the aggressor's (who crossed the spread)."""

    price: float
    size: float
    side: Side | None
    trade_id: str | None = None


class BookSnapshot(Event, frozen=True):
    """A whole book: replaces what was known and ends a gap.

    ``depth`` is the number of levels a side that the venue keeps up to date (levels beyond it are dropped after
    each change); None: the book is complete. The counts are those of the orders at each level, in the same order;
    books of price levels leave them out, and None is a level whose orders are not all known.
    """

    bids: Levels
    asks: Levels
    depth: int | None = None
    bid_counts: OrderCounts | msgspec.UnsetType = msgspec.UNSET
    ask_counts: OrderCounts | msgspec.UnsetType = msgspec.UNSET


class BookDelta(Event, frozen=True):
    """All level changes of one venue message: a level's new size, 0 removes it; the counts as in ``BookSnapshot``."""

    bids: Levels
    asks: Levels
    bid_counts: OrderCounts | msgspec.UnsetType = msgspec.UNSET
    ask_counts: OrderCounts | msgspec.UnsetType = msgspec.UNSET


class Price(Event, frozen=True):
    """A price tick without a book, as read from a CSV file; ``price`` is the close where a row is a candle."""

    price: float
    volume: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None


class Gap(Event, frozen=True):
    """Something was lost: the book and all that derives from it are not ready until the next snapshot."""

    reason: str


AnyEvent: TypeAlias = Trade | BookSnapshot | BookDelta | Price | Gap
