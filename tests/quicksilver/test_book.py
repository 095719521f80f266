"""The book kernel against a dictionary, which cannot be wrong."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.book import CROSSED_BOOK, FIRST_CAPACITY, MAX_CAPACITY, Book, apply_stream, grown, new_block
from quicksilver.errors import StateError
from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, Levels

prices = st.integers(1, 400)
sizes = st.one_of(st.just(0.0), st.floats(0.001, 1e6))
changes = st.lists(st.tuples(prices, sizes), max_size=6)
messages = st.lists(st.tuples(changes, changes), max_size=60)


class NaiveBook:
    """Two dictionaries."""

    def __init__(self, depth: int | None) -> None:
        self.depth = depth
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def apply(self, bids: Iterable[tuple[float, float]], asks: Iterable[tuple[float, float]]) -> None:
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for price, size in rows:
                if size:
                    side[float(price)] = size
                else:
                    side.pop(float(price), None)
        if self.depth:
            self.bids = {price: self.bids[price] for price in sorted(self.bids, reverse=True)[: self.depth]}
            self.asks = {price: self.asks[price] for price in sorted(self.asks)[: self.depth]}

    def top(self, n: int) -> tuple[list[list[float]], list[list[float]]]:
        def rows(side: dict[float, float], order: list[float]) -> list[list[float]]:
            total, out = 0.0, []
            for price in order[:n]:
                total += side[price]
                out.append([price, side[price], total])
            return out

        return rows(self.bids, sorted(self.bids, reverse=True)), rows(self.asks, sorted(self.asks))


@pytest.mark.parametrize("depth", [None, 3, 25])
@given(messages=messages)
@settings(max_examples=150, deadline=None)
def test_book_equals_naive_book(depth: int | None, messages: list[tuple[list[tuple[int, float]], ...]]) -> None:
    book, naive = Book(), NaiveBook(depth)
    book.snapshot(NO_LEVELS, NO_LEVELS, depth)
    for bids, asks in messages:
        crossed = book.apply(Levels.of(bids), Levels.of(asks))
        naive.apply(bids, asks)
        ours = tuple(side.tolist() for side in book.top(400))
        assert ours == naive.top(400)
        assert book.levels == (len(naive.bids), len(naive.asks))
        assert crossed == bool(naive.bids and naive.asks and max(naive.bids) >= min(naive.asks))


def test_deep_book_with_dead_cells_equals_naive_book() -> None:
    """Far from the touch levels die in place and are taken over; near it they are moved."""
    rng = np.random.default_rng(5)
    book, naive = Book(), NaiveBook(None)
    book.snapshot(NO_LEVELS, NO_LEVELS)
    for _ in range(4000):
        price = int(10_000 - rng.exponential(400)) + 1
        change: list[tuple[int, float]] = [(price, 0.0 if rng.random() < 0.45 else float(rng.integers(1, 9)))]
        book.apply(Levels.of(change), NO_LEVELS)
        naive.apply(change, [])
    for _ in range(300):  # eat through the touch, into the dead cells
        best = max(naive.bids)
        book.apply(Levels.of([(best, 0.0)]), NO_LEVELS)
        naive.apply([(best, 0.0)], [])
        assert book.top(12)[0].tolist() == naive.top(12)[0]
    assert book.levels[0] == len(naive.bids)


@given(levels=st.lists(st.tuples(prices, st.floats(0.001, 10)), min_size=1, max_size=50), depth=st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_snapshot_sorts_keeps_the_last_of_a_price_and_obeys_depth(levels: list[tuple[int, float]], depth: int) -> None:
    book, naive = Book(), NaiveBook(depth)
    book.snapshot(Levels.of(levels), Levels.of(levels), depth)
    naive.apply(levels, levels)
    assert tuple(side.tolist() for side in book.top(60)) == naive.top(60)


def test_a_batch_gives_the_same_book_as_single_events() -> None:
    rng = np.random.default_rng(3)
    n = 5000
    sides = rng.integers(0, 2, n)
    prices = np.where(sides == 0, 1000.0 - rng.integers(1, 300, n), 1000.0 + rng.integers(1, 300, n))
    sizes = np.where(rng.random(n) < 0.4, 0.0, rng.random(n))
    batch, single = Book(new_block(1024)), Book(new_block(1024))
    bests = np.empty((n, 2))
    apply_stream(batch.block, sides, prices, sizes, bests)
    for side, price, size in zip(sides, prices, sizes, strict=True):
        one = Levels.of([(price, size)])
        single.apply(*((one, NO_LEVELS) if side == 0 else (NO_LEVELS, one)))
    assert batch.block.tobytes() == single.block.tobytes()
    assert bests[-1].tolist() == [single.top(1)[0][0, 0], single.top(1)[1][0, 0]]


def test_a_gap_forgets_the_book_until_a_snapshot() -> None:
    book = Book()
    assert not book.ready
    book.snapshot(Levels.of([(1, 1)]), Levels.of([(2, 1)]))
    assert book.ready
    book.gap()
    assert not book.ready
    assert book.levels == (0, 0)


def test_a_book_says_why_it_can_no_longer_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quicksilver.book.MAX_CAPACITY", FIRST_CAPACITY)
    rows = [(float(i), 1.0) for i in range(1, FIRST_CAPACITY + 2)]
    too_many = "a book side of 257 levels: more than the 256 supported"
    book = Book()
    assert book.take(BookSnapshot("v", "A-B", 1, 1, 1, Levels.of(rows), NO_LEVELS)) == too_many
    assert not book.ready
    assert book.take(BookSnapshot("v", "A-B", 2, 1, 1, Levels.of(rows[:-1]), NO_LEVELS)) == ""
    assert book.take(BookDelta("v", "A-B", 3, 1, 1, NO_LEVELS, Levels.of([(500.0, 1.0)]))) == ""
    assert book.take(BookDelta("v", "A-B", 4, 1, 1, Levels.of(rows[-1:]), NO_LEVELS)) == too_many
    assert not book.ready
    assert book.take(BookSnapshot("v", "A-B", 5, 1, 1, Levels.of([(2, 1)]), Levels.of([(1, 1)]))) == CROSSED_BOOK


def test_more_levels_than_any_book_has_are_refused() -> None:
    with pytest.raises(StateError, match="book side of"):
        grown(new_block(), MAX_CAPACITY + 1)
    with pytest.raises(ValueError, match="pairs"):
        Levels.of([(1.0, 2.0, 3.0)])
