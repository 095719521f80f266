"""The levels of Bitfinex's books: how they are written, and the checksum that is made of that."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from quicksilver.errors import FrameError
from quicksilver.events import Levels

CHECKED = 25  # levels a side
Text = tuple[bytes, bytes]
"""A level's price and amount, as the venue writes them."""


class Level(NamedTuple):
    """One level as a message sets it; ``side`` is 0 of a bid, 1 of an ask, a ``size`` of 0 removes it."""

    price: float
    size: float
    side: int
    text: Text


class Checked:
    """The text of a book's levels, from which the checksum is made: bids, asks."""

    def __init__(self) -> None:
        self.sides: tuple[dict[float, Text], dict[float, Text]] = ({}, {})

    def set(self, level: Level) -> None:
        """Take in what a message says of one level."""
        if level.size:
            self.sides[level.side][level.price] = level.text
        else:
            self.sides[level.side].pop(level.price, None)

    def checksum(self) -> int:
        """Return the signed CRC32 of the best levels, a bid and an ask in turn."""
        bids, asks = self.sides
        best = (heapq.nlargest(CHECKED, bids), heapq.nsmallest(CHECKED, asks))
        texts = [self.sides[side][best[side][i]] for i in range(CHECKED) for side in (0, 1) if i < len(best[side])]
        return signed_crc32(part for text in texts for part in text)


def signed_crc32(parts: Iterable[bytes]) -> int:
    """Return the CRC32 of texts with colons between them, as the venue writes it: negative from 2^31 on."""
    number = crc32(b":".join(parts))
    return number - (1 << 32) if number >> 31 else number


def level_in(text: bytes) -> Level:
    """Read ``price,count,amount``.

    Raises:
        FrameError: it is not that.
    """
    try:
        price_text, count_text, amount_text = text.split(b",")
        price, count, amount = float(price_text), int(count_text), float(amount_text)
    except ValueError as error:
        raise FrameError(f"not a price level: {error}") from error
    if not (0 < price < float("inf") and 0 < abs(amount) < float("inf") and count >= 0):
        raise FrameError(f"not a price level: {text[:60]!r}")
    return Level(price, abs(amount) if count else 0.0, int(amount < 0), (price_text, amount_text))


def levels_in(body: bytes) -> list[Level]:
    """Read ``[[price,count,amount],...]``.

    Raises:
        FrameError: it is not that.
    """
    return [level_in(text) for text in body[2:-2].split(b"],[")] if len(body) > 2 else []


def two_sides(levels: list[Level]) -> tuple[Levels, Levels]:
    """Return the levels as bids and asks, in the order in which they came."""
    bids, asks = (Levels.of([level[:2] for level in levels if level.side == side]) for side in (0, 1))
    return bids, asks
