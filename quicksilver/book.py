"""The L2 order book: a compiled kernel over one flat float64 block, which is its own checkpoint.

Layout of a block, in float64 cells::

    0..HEADER-1           counters (the index constants below)
    then 2 x capacity     bid levels: price, size, price, size, ...
    then 2 x capacity     ask levels

Each side is sorted with its **best price last**, so that changes near the touch move few cells: bids rise, asks fall.
A side is searched by galloping from its best end. Far from the touch a removed level stays as a dead cell of size 0,
which the next level of that place takes over: on a book of 20,000 levels that saves most of the moving. The best cell
is never dead. Price and size lie side by side, so that a level moves in one copy. The same kernel takes one event or
a million.
"""

import math

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.errors import StateError
from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, FloatArray, Gap, Levels

HEADER = 8
CAPACITY, N_BIDS, N_ASKS, DEPTH, READY, CROSSED, DEAD_BIDS, DEAD_ASKS = range(8)
BIDS, ASKS = 0, 1
FIRST_CAPACITY = 256  # levels a side of a new block; blocks double as books grow
MAX_CAPACITY = 1 << 20
CROSSED_BOOK = "the book is crossed"
SHALLOW = 64  # nearer to the touch than this, removing a level costs less than stepping over dead cells would


@jit
def side_start(capacity: int, side: int) -> int:
    """Index of the first (worst) level's price; its size is the next cell."""
    return HEADER + 2 * side * capacity


def new_block(capacity: int = FIRST_CAPACITY) -> FloatArray:
    """Return an empty, not-ready book block for ``capacity`` levels a side, shape ``(HEADER + 4 * capacity,)``."""
    block = np.zeros(HEADER + 4 * capacity)
    block[CAPACITY] = capacity
    return block


def grown(block: FloatArray, needed: int) -> FloatArray:
    """Return a copy of ``block`` with room for ``needed`` levels a side.

    Raises:
        StateError: more levels than any real book has (1,048,576 a side).
    """
    if needed > MAX_CAPACITY:
        raise StateError(f"a book side of {needed:,} levels: more than the {MAX_CAPACITY:,} supported")
    old = int(block[CAPACITY])
    capacity = max(old, FIRST_CAPACITY)
    while capacity < needed:
        capacity *= 2
    larger = new_block(capacity)
    larger[:HEADER] = block[:HEADER]
    larger[CAPACITY] = capacity
    for side in (BIDS, ASKS):
        start, end = side_start(old, side), side_start(old, side + 1)
        larger[side_start(capacity, side) :][: end - start] = block[start:end]
    return larger


@jit
def _find(block: FloatArray, start: int, n: int, price: float, sign: float) -> int:
    """First level whose price is not worse than ``price``; ``sign`` is +1 for bids, -1 for asks."""
    key = sign * price
    low, high, step = n - 1, n, 1
    while low >= 0 and sign * block[start + 2 * low] >= key:
        high = low
        low -= step
        step *= 2
    low = max(low, -1)
    while high - low > 1:
        middle = (low + high) >> 1
        if sign * block[start + 2 * middle] >= key:
            high = middle
        else:
            low = middle
    return high


@jit
def _remove(block: FloatArray, side: int, start: int, i: int) -> None:
    """Remove level ``i``."""
    n = int(block[N_BIDS + side])
    at = start + 2 * i
    if n - i > SHALLOW and block[DEPTH] == 0.0:
        block[at + 1] = 0.0
        block[DEAD_BIDS + side] += 1.0
        return
    for j in range(at, start + 2 * n - 2):  # the compiler makes it a memmove
        block[j] = block[j + 2]
    n -= 1
    while n > 0 and block[start + 2 * n - 1] == 0.0:
        n -= 1
        block[DEAD_BIDS + side] -= 1.0
    block[N_BIDS + side] = n


@jit
def _insert(block: FloatArray, side: int, start: int, i: int) -> int:
    """Return the cell for a price that belongs before level ``i``: a dead neighbour's, or a new one's."""
    n = int(block[N_BIDS + side])
    for level in (i, i - 1):
        if 0 <= level < n and block[start + 2 * level + 1] == 0.0:
            block[DEAD_BIDS + side] -= 1.0
            return start + 2 * level
    at = start + 2 * i
    for j in range(start + 2 * n - 1, at - 1, -1):
        block[j + 2] = block[j]
    block[N_BIDS + side] = n + 1
    return at


@jit
def set_level(block: FloatArray, side: int, price: float, size: float) -> None:
    """Set one level's size (0 removes it); the block must have room for one more."""
    start = side_start(int(block[CAPACITY]), side)
    n = int(block[N_BIDS + side])
    i = _find(block, start, n, price, 1.0 - 2.0 * side)
    at = start + 2 * i
    if i < n and block[at] == price:
        if size > 0.0:
            block[DEAD_BIDS + side] -= block[at + 1] == 0.0
            block[at + 1] = size
        elif block[at + 1] > 0.0:
            _remove(block, side, start, i)
    elif size > 0.0:
        at = _insert(block, side, start, i)
        block[at] = price
        block[at + 1] = size


@jit
def best(block: FloatArray, side: int) -> float:
    """Best price of a side, NaN when it is empty."""
    n = int(block[N_BIDS + side])
    if n == 0:
        return math.nan
    return block[side_start(int(block[CAPACITY]), side) + 2 * n - 2]


@jit
def best_size(block: FloatArray, side: int) -> float:
    """Size at the best price of a side that is not empty."""
    return block[side_start(int(block[CAPACITY]), side) + 2 * int(block[N_BIDS + side]) - 1]


@jit
def _truncate(block: FloatArray, side: int) -> None:
    """Drop the worst levels beyond the venue's depth."""
    depth, n = int(block[DEPTH]), int(block[N_BIDS + side])
    if depth == 0 or n <= depth:
        return
    start, excess = side_start(int(block[CAPACITY]), side), n - depth
    for j in range(start, start + 2 * depth):
        block[j] = block[j + 2 * excess]
    block[N_BIDS + side] = depth


@jit
def apply_delta(block: FloatArray, bids: FloatArray, asks: FloatArray) -> int:
    """Apply all level changes of one message; returns 1 if the book is then crossed, else 0.

    ``bids`` and ``asks`` have shape ``(n, 2)``: price, size. The block must have room (see ``Book.apply``).
    """
    for i in range(len(bids)):
        set_level(block, BIDS, bids[i, 0], bids[i, 1])
    for i in range(len(asks)):
        set_level(block, ASKS, asks[i, 0], asks[i, 1])
    _truncate(block, BIDS)
    _truncate(block, ASKS)
    crossed = best(block, BIDS) >= best(block, ASKS)
    block[CROSSED] += crossed
    return int(crossed)


@jit
def apply_stream(
    block: FloatArray, sides: NDArray[np.int64], prices: FloatArray, sizes: FloatArray, bests: FloatArray
) -> None:
    """Apply single level changes in order and read both best prices after each into ``bests``, shape ``(n, 2)``."""
    for i in range(len(prices)):
        set_level(block, sides[i], prices[i], sizes[i])
        bests[i, 0] = best(block, BIDS)
        bests[i, 1] = best(block, ASKS)


@jit
def read_top(block: FloatArray, side: int, out: FloatArray) -> int:
    """Write the best levels into ``out``, shape ``(n, 3)``: price, size, cumulative size; returns how many."""
    start = side_start(int(block[CAPACITY]), side)
    at = start + 2 * int(block[N_BIDS + side]) - 2
    count, total = 0, 0.0
    while count < len(out) and at >= start:
        price, size = block[at], block[at + 1]
        if size > 0.0:
            total += size
            out[count, 0], out[count, 1], out[count, 2] = price, size, total
            count += 1
        at -= 2
    return count


@jit
def compact(block: FloatArray) -> None:
    """Take out all dead cells."""
    for side in range(2):
        start = side_start(int(block[CAPACITY]), side)
        kept = 0
        for i in range(int(block[N_BIDS + side])):
            if block[start + 2 * i + 1] > 0.0:
                block[start + 2 * kept] = block[start + 2 * i]
                block[start + 2 * kept + 1] = block[start + 2 * i + 1]
                kept += 1
        block[N_BIDS + side] = kept
        block[DEAD_BIDS + side] = 0.0


class Book:
    """One instrument's book: not ready until a snapshot, and again after a gap.

    ``block`` is the whole state; hand it to kernels, but keep no reference to it: it is replaced when it grows.
    """

    __slots__ = ("block",)

    def __init__(self, block: FloatArray | None = None) -> None:
        self.block = new_block() if block is None else block

    @classmethod
    def load(cls, data: bytes) -> "Book":
        """Return the book whose ``block.tobytes()`` was saved.

        Raises:
            StateError: it is none: kernels do not look whether they write beyond a block.
        """
        block = np.frombuffer(data, np.float64).copy() if len(data) % 8 == 0 else np.empty(0)
        capacity = block[CAPACITY] if len(block) >= HEADER else -1.0
        if not (0 <= capacity <= MAX_CAPACITY and len(block) == HEADER + 4 * capacity):
            raise StateError("not a saved book")
        counts = block[[N_BIDS, N_ASKS, DEPTH, DEAD_BIDS, DEAD_ASKS]]
        if not (np.all(counts == np.floor(counts)) and np.all(counts >= 0) and np.all(counts[:2] <= capacity)):
            raise StateError("not a saved book")
        return cls(block)

    @property
    def ready(self) -> bool:
        """True between a snapshot and the next gap."""
        return bool(self.block[READY])

    @property
    def crossed(self) -> int:
        """How many messages left the book crossed (best bid at or above best ask)."""
        return int(self.block[CROSSED])

    def reserve(self, n_bids: int, n_asks: int) -> None:
        """Make room for that many more levels.

        Raises:
            StateError: see ``grown``.
        """
        block = self.block
        if max(block[N_BIDS] + n_bids, block[N_ASKS] + n_asks) <= block[CAPACITY]:
            return
        compact(block)
        needed = max(block[N_BIDS] + n_bids, block[N_ASKS] + n_asks)
        if needed > block[CAPACITY]:
            self.block = grown(block, int(needed))

    def snapshot(self, bids: Levels, asks: Levels, depth: int | None = None) -> None:
        """Replace the book; it is ready afterwards.

        Raises:
            StateError: see ``grown``.
        """
        block = self.block
        self.gap()
        block[DEPTH] = depth or 0
        self.reserve(len(bids), len(asks))
        load_snapshot(self.block, bids.array, asks.array)
        self.block[READY] = 1.0

    def apply(self, bids: Levels, asks: Levels) -> bool:
        """Apply one message's changes; True if the book is then crossed.

        Raises:
            StateError: see ``grown``.
        """
        self.reserve(len(bids), len(asks))
        return bool(apply_delta(self.block, bids.array, asks.array))

    def take(self, event: BookSnapshot | BookDelta | Gap) -> str:
        """Apply what an event says, a change only while the book is ready.

        Returns why nobody can go on with the book: it is crossed, or has more levels than supported. Else nothing.
        """
        if isinstance(event, Gap):
            self.gap()
            return ""
        try:
            return CROSSED_BOOK if self._take(event) else ""
        except StateError as error:
            self.gap()
            return str(error)

    def _take(self, event: BookSnapshot | BookDelta) -> bool:
        if isinstance(event, BookDelta):
            return self.ready and self.apply(event.bids, event.asks)
        self.snapshot(event.bids, event.asks, event.depth)
        return self.apply(NO_LEVELS, NO_LEVELS)

    @property
    def levels(self) -> tuple[int, int]:
        """Number of bid and ask levels."""
        block = self.block
        return int(block[N_BIDS] - block[DEAD_BIDS]), int(block[N_ASKS] - block[DEAD_ASKS])

    def gap(self) -> None:
        """Forget the levels: they cannot be trusted until the next snapshot."""
        block = self.block
        block[N_BIDS] = block[N_ASKS] = block[DEAD_BIDS] = block[DEAD_ASKS] = block[READY] = 0.0

    def top(self, n: int) -> tuple[FloatArray, FloatArray]:
        """Return the best ``n`` bids and asks, each ``(<= n, 3)``: price, size, cumulative size; best first."""
        bids, asks = np.empty((n, 3)), np.empty((n, 3))
        return bids[: read_top(self.block, BIDS, bids)], asks[: read_top(self.block, ASKS, asks)]


def load_snapshot(block: FloatArray, bids: FloatArray, asks: FloatArray) -> None:
    """Fill an empty block from unsorted levels ``(n, 2)``; of a price given twice the last counts."""
    for levels, side in ((bids, BIDS), (asks, ASKS)):
        order = np.argsort(levels[:, 0] * (1 - 2 * side), kind="stable")
        ordered = levels[order]
        keep = np.append(ordered[1:, 0] != ordered[:-1, 0], True)[: len(ordered)] & (ordered[:, 1] > 0)
        ordered = ordered[keep]
        depth = int(block[DEPTH])
        if depth:
            ordered = ordered[-depth:]
        start = side_start(int(block[CAPACITY]), side)
        block[start : start + ordered.size] = ordered.ravel()
        block[N_BIDS + side] = len(ordered)
