"""How many orders stand at each price level, where a book comes order by order."""

from typing import Any

import msgspec
import numpy as np

from quicksilver.errors import StateError
from quicksilver.events import BookDelta, BookSnapshot, Levels, OrderCounts


class LevelCounts:
    """The order counts of one instrument's levels by price; empty where the venue gives price levels alone."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids: dict[float, int] = {}
        self.asks: dict[float, int] = {}

    def clear(self) -> None:
        """Forget all counts: the book is not known."""
        self.bids.clear()
        self.asks.clear()

    def take(self, event: BookSnapshot | BookDelta) -> None:
        """Take over the counts of the levels that a message names."""
        if not isinstance(event.bid_counts, msgspec.UnsetType):
            _set(self.bids, event.bids, event.bid_counts)
        if not isinstance(event.ask_counts, msgspec.UnsetType):
            _set(self.asks, event.asks, event.ask_counts)

    def dump(self) -> list[bytes]:
        """Return the counts as plain data for msgpack."""
        return [np.array(list(side.items()), np.float64).tobytes() for side in (self.bids, self.asks)]

    def load(self, saved: Any) -> None:
        """Take over dumped counts.

        Raises:
            StateError: they are none.
        """
        try:
            bids, asks = (np.frombuffer(side, np.float64).reshape(-1, 2).tolist() for side in saved)
        except (TypeError, ValueError) as error:
            raise StateError("not saved order counts") from error
        self.bids, self.asks = ({price: int(count) for price, count in side} for side in (bids, asks))


def _set(counts: dict[float, int], levels: Levels, new: OrderCounts) -> None:
    for (price, size), count in zip(levels, new, strict=False):
        if size > 0 and count:
            counts[price] = count
        else:
            counts.pop(price, None)
