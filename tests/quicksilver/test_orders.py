"""The order-by-order book beside a model of price levels, and who stands where in its queues."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from quicksilver.book import Book
from quicksilver.codec import decode_event, encode
from quicksilver.counts import LevelCounts
from quicksilver.errors import StateError
from quicksilver.events import BookDelta, BookSnapshot, Gap, Levels, Trade
from quicksilver.orders import ASK, BID, ONE, OrderBook, QueuePosition, units_of
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, BookTop

IDS = st.integers(1, 6)
PRICES = st.sampled_from([(BID, 99.5), (BID, 0.1), (ASK, 100.25), (ASK, 1e6)])
SIZES = st.sampled_from(["0.1", "0.2", "0.00000001", "7", "1234.56789012"])


class LevelsOfOrders(RuleBasedStateMachine):
    """Each change is made in the book and in plain lists; the folded levels must be those of the lists."""

    def __init__(self) -> None:
        super().__init__()
        self.book = OrderBook()
        self.queues: dict[tuple[int, float], list[tuple[int, Decimal]]] = {}
        self.anonymous: dict[tuple[int, float], Decimal] = {}
        self.levels = Book()
        self.levels.snapshot(Levels.of([]), Levels.of([]))

    def taken(self, number: int) -> tuple[tuple[int, float], Decimal] | None:
        for place, queue in self.queues.items():
            for i, (other, size) in enumerate(queue):
                if other == number:
                    del queue[i]
                    return place, size
        return None

    @rule(number=IDS, place=PRICES, size=SIZES)
    def add(self, number: int, place: tuple[int, float], size: str) -> None:
        self.taken(number)
        self.queues.setdefault(place, []).append((number, Decimal(size)))
        self.book.add(number, *place, units_of(size))

    @rule(number=IDS)
    def remove(self, number: int) -> None:
        assert (self.taken(number) is None) == (self.book.remove(number) is None)

    @rule(number=IDS, size=SIZES)
    def resize(self, number: int, size: str) -> None:
        place = next((place for place, queue in self.queues.items() if number in dict(queue)), None)
        if place is None:
            with pytest.raises(KeyError):
                self.book.resize(number, units_of(size))
            return
        queue = self.queues[place]
        i = [other for other, _ in queue].index(number)
        if Decimal(size) > queue[i][1]:
            queue.append((number, Decimal(size)))
            del queue[i]
        else:
            queue[i] = (number, Decimal(size))
        self.book.resize(number, units_of(size))

    @rule(number=IDS, place=PRICES, size=SIZES)
    def move(self, number: int, place: tuple[int, float], size: str) -> None:
        old = self.taken(number)
        if old is None:
            return
        if old[0][0] != place[0] or old[0] == place:
            self.queues[old[0]].append((number, old[1]))
            self.book.to_back(number)
            return
        self.queues.setdefault(place, []).append((number, Decimal(size)))
        self.book.change(number, place[1], units_of(size))

    @rule(number=IDS, size=SIZES)
    def match(self, number: int, size: str) -> None:
        for queue in self.queues.values():
            for i, (other, left) in enumerate(queue):
                if other == number:
                    queue[i : i + 1] = [(number, left - Decimal(size))] if left > Decimal(size) else []
                    self.book.match(number, units_of(size))
                    return

    @rule(place=PRICES, size=SIZES | st.just("0"))
    def know_more(self, place: tuple[int, float], size: str) -> None:
        self.anonymous[place] = Decimal(size)
        self.book.set_anonymous(*place, units_of(size))

    @invariant()
    def queues_are_those_of_the_lists(self) -> None:
        for place, queue in self.queues.items():
            assert [(order.id, order.units) for order in self.book.queue(*place)] == [
                (number, int(size * ONE)) for number, size in queue
            ]
            ahead = self.anonymous.get(place, Decimal(0))
            for i, (number, size) in enumerate(queue):
                hidden = int(self.anonymous.get(place, Decimal(0)) > 0)
                assert self.book.queue_position(number) == QueuePosition(i + hidden, float(ahead))
                ahead += size

    @invariant()
    def levels_are_the_sums_of_their_orders(self) -> None:
        """To the bit, also after many changes, both as a whole and as the changes of all messages so far."""
        totals: dict[tuple[int, float], Decimal] = {}
        for place, queue in self.queues.items():
            totals[place] = sum((size for _, size in queue), self.anonymous.get(place, Decimal(0)))
        for place, size in self.anonymous.items():
            totals.setdefault(place, size)
        expected = [
            sorted([price, float(size)] for (at, price), size in totals.items() if at == side and size)
            for side in (BID, ASK)
        ]
        fold = self.book.changes()
        self.levels.apply(fold.bids, fold.asks)
        whole, tops = self.book.whole(), self.levels.top(100)
        assert [sorted(whole.bids), sorted(whole.asks)] == expected
        assert [sorted(side[:, :2].tolist()) for side in tops] == expected
        assert [list(whole.bids), list(whole.asks)] == [expected[0][::-1], expected[1]]
        counts = [
            None if self.anonymous.get((side, price)) else len(self.queues[side, price])
            for side, levels in ((BID, whole.bids), (ASK, whole.asks))
            for price, _ in levels
        ]
        assert [*whole.bid_counts, *whole.ask_counts] == counts
        assert self.book.best(BID) == (expected[0][-1][0] if expected[0] else None)
        assert self.book.best(ASK) == (expected[1][0][0] if expected[1] else None)


TestLevelsOfOrders = LevelsOfOrders.TestCase
TestLevelsOfOrders.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@given(st.decimals(0, 10**9, places=8) | st.sampled_from([Decimal("1E-8"), Decimal("7e-7"), Decimal("2.50")]))
def test_units_are_the_texts_number_exactly(number: Decimal) -> None:
    assert units_of(str(number)) == number * ONE
    assert units_of(f"{number:f}") / ONE == float(number)


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1e400", "nan", "inf", "1e-19", "²", "1" * 50, "0." + "1" * 19, " ", "1_0", "1e-20",
     "\N{ARABIC-INDIC DIGIT ONE}", "1e-99999999", "1e99999999", "1e-9999999999999999999999"],
)  # fmt: skip
def test_what_is_no_size_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        units_of(text)


def test_nothing_is_nothing_with_any_exponent() -> None:
    assert [units_of(text) for text in ("0e-99999999", "0e99999999", "-0", "0.0")] == [0, 0, 0, 0]


def test_a_level_beyond_the_depth_goes_with_all_its_orders() -> None:
    book = OrderBook()
    book.load([(n, BID, 100.0 - n // 2, ONE) for n in range(6)] + [(9, ASK, 101.0, ONE)])
    book.truncate(2)
    fold = book.changes()
    assert (list(fold.bids), fold.bid_counts, list(fold.asks)) == ([[98.0, 0.0]], (0,), [])
    assert sorted(str(order.id) for price in book.prices(BID) for order in book.queue(BID, price)) == list("0123")


def test_a_larger_order_goes_to_the_back_unless_it_is_to_stay() -> None:
    book = OrderBook()
    book.load([(n, ASK, 101.0, ONE) for n in range(3)])
    book.resize(0, 2 * ONE, keep=True)
    assert [order.id for order in book.queue(ASK, 101.0)] == [0, 1, 2]
    book.resize(1, 2 * ONE)
    book.resize(0, ONE // 2)
    book.change(0, 101.0, ONE)
    assert [(order.id, order.size) for order in book.queue(ASK, 101.0)] == [(2, 1.0), (1, 2.0), (0, 1.0)]
    assert book.queue_position(0) == QueuePosition(2, 3.0)


def test_many_orders_come_and_go_in_a_moment() -> None:
    """Each change must cost little whatever the book holds: at a cost that grew with it this would take minutes."""
    book = OrderBook()
    book.load([(n, n % 2, 10_000.0 + (n if n % 2 else -n), ONE) for n in range(1, 60_001)])
    for n in range(60_001, 160_001):
        book.add(n, BID, 9_999.0 - n % 50, ONE)
        book.match(n, ONE // 2)
        book.remove(n - 20)
        assert len(book.changes().bids) <= 2
    assert len(book) == 60_000 - 20 + 20


def event(seq: int, **fields: object) -> BookSnapshot | BookDelta:
    kind = BookSnapshot if seq == 1 else BookDelta
    return kind("v", "A-B", seq, seq * 10**9, seq * 10**9, **fields)  # type: ignore[arg-type]


def counts_of(records: list[AnyRecord]) -> list[tuple[list[int | None], list[int | None]]]:
    tops = [one for one in records if isinstance(one, BookTop)]
    return [([level.count for level in top.bids], [level.count for level in top.asks]) for top in tops]


BIDS, ASKS = Levels.of([(9.0, 1.0), (8.0, 2.0)]), Levels.of([(10.0, 1.0)])


def test_a_top_has_the_order_counts_that_came_with_its_levels() -> None:
    pipeline = Pipeline()
    events = [
        event(1, bids=BIDS, asks=ASKS, bid_counts=(3, None), ask_counts=(1,)),
        event(2, bids=Levels.of([(9.0, 0.5)]), asks=Levels.of([]), bid_counts=(2,), ask_counts=()),
        event(3, bids=Levels.of([(9.0, 0.0), (8.5, 1.0)]), asks=Levels.of([]), bid_counts=(0, 7), ask_counts=()),
    ]
    found = [counts_of(pipeline.step(one)) for one in events]
    assert found == [[([3, None], [1])], [([2, None], [1])], [([7, None], [1])]]

    other = Pipeline()
    other.load(pipeline.dump())
    last = event(4, bids=Levels.of([(9.0, 1.0)]), asks=Levels.of([]), bid_counts=(4,), ask_counts=())
    assert counts_of(other.step(last)) == counts_of(pipeline.step(last)) == [([4, 7, None], [1])]

    pipeline.step(Gap("v", "A-B", 5, 5 * 10**9, 5 * 10**9, "lost"))
    again = BookSnapshot("v", "A-B", 6, 6 * 10**9, 6 * 10**9, BIDS, ASKS)
    assert counts_of(pipeline.step(again)) == [([None, None], [None])]


def test_saved_counts_that_are_none_are_refused() -> None:
    counts = LevelCounts()
    for saved in (None, [b"1234567", b""], [b"", b"", b""], 7):
        with pytest.raises(StateError):
            counts.load(saved)


def test_events_of_price_levels_are_the_same_bytes_as_ever() -> None:
    delta = BookDelta("v", "A-B", 2, 5, 6, BIDS, ASKS)
    snapshot = BookSnapshot("v", "A-B", 1, 5, 6, BIDS, ASKS)
    head = b'{"type":"bookdelta","venue":"v","symbol":"A-B","seq":2,"ts_event_ns":5,"ts_recv_ns":6,'
    levels = b'"bids":[[9.0,1.0],[8.0,2.0]],"asks":[[10.0,1.0]]'
    assert encode(delta) == head + levels + b"}"
    assert encode(snapshot).endswith(levels + b',"depth":null}')
    by_order = BookDelta("v", "A-B", 2, 5, 6, BIDS, ASKS, (3, None), (1,))
    assert encode(by_order) == head + levels + b',"bid_counts":[3,null],"ask_counts":[1]}'
    trade = Trade("v", "A-B", 3, 5, 6, 1.0, 1.0, None)
    assert [decode_event(encode(one)) for one in (delta, snapshot, by_order, trade)] == [
        delta,
        snapshot,
        by_order,
        trade,
    ]
