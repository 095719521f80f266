"""Bitstamp order by order: the recording of 2015 with its own top-20 books, and what they prove."""

from collections import deque
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.instrument import Instrument
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Trade
from quicksilver.orders import QueuePosition
from quicksilver.pipeline import Pipeline
from quicksilver.records import BookTop, DeadLetter
from tests.producers.faults import assert_sound, books_of, play

TAPE = "ob-analytics/split/dev_first3h.log.xz"
LAG_NS = 100_000_000  # a pushed book is older than the order events before it, on this tape by at most 15 ms
Best = tuple[float, float]


class Watched(BitstampParser):
    """Keeps the book that its events make, and compares each pushed book with it before the parser learns from it."""

    def __init__(self, skip_ns: int = 0) -> None:
        super().__init__()
        self.skip_ns = skip_ns
        self.start_ns = 0
        self.book = Book()
        self.gaps = self.compared = self.at_once = self.whole = self.best_changed_by_pushes = 0
        self.bids = self.asks = 0
        self.bests: deque[tuple[int, Best]] = deque(maxlen=1000)

    def best(self) -> Best:
        bids, asks = self.book.top(1)
        return float(bids[0, 0]), float(asks[0, 0])

    def observed(
        self, one: Instrument, frame: Frame, ts_event_ns: int, bids: Levels, asks: Levels,
        number: int | None = None, step: float = 0.0,
    ) -> None:  # fmt: skip
        if frame.ts_recv_ns < self.start_ns + self.skip_ns:
            return
        theirs = bids.tolist()[0][0], asks.tolist()[0][0]
        before = [best for ns, best in self.bests if ns < ts_event_ns - LAG_NS][-1:]
        since = before + [best for ns, best in self.bests if ns >= ts_event_ns - LAG_NS]
        self.compared += 1
        self.bids += theirs[0] in {bid for bid, _ in since}
        self.asks += theirs[1] in {ask for _, ask in since}
        self.at_once += theirs == self.best()
        ours = self.book.top(len(bids))
        self.whole += [side[:, :2].tolist() for side in ours] == [bids.tolist(), asks.tolist()]

    def follow(self, frames: list[Frame]) -> list[AnyEvent]:
        self.start_ns = frames[0].ts_recv_ns
        events = []
        for frame in frames:
            before = self.best() if self.book.ready else None
            for event in self.parse(frame):
                self.take(event)
                events.append(event)
            if self.book.ready:
                self.bests.append((frame.ts_recv_ns, self.best()))
                pushed = frame.payload.startswith(b"order_book") and self.bests[-1][1] != before
                self.best_changed_by_pushes += pushed and frame.ts_recv_ns >= self.start_ns + self.skip_ns
        return events

    def take(self, event: AnyEvent) -> None:
        if isinstance(event, BookSnapshot):
            self.book.snapshot(event.bids, event.asks, event.depth)
        elif isinstance(event, BookDelta):
            assert not self.book.apply(event.bids, event.asks)
        elif isinstance(event, Gap):
            self.book.gap()
            self.gaps += 1


@pytest.fixture(scope="module")
def recorded(tapes: Path) -> list[Frame]:
    return list(read_frames(tapes / TAPE))


def test_after_the_first_hour_the_best_prices_are_the_venues_own(recorded: list[Frame]) -> None:
    parser = Watched(3600 * SECOND_NS)
    events = parser.follow(recorded)
    assert_sound(events)
    assert (parser.compared, parser.bids, parser.asks, parser.gaps) == (2196, 2196, 2196, 0)
    # Twice a push left before an order event that came before it; from the pushes themselves no best price is learnt.
    assert (parser.at_once, parser.best_changed_by_pushes) == (2194, 0)
    assert parser.whole >= 2170
    counts = parser.instruments["BTC-USD"].counts
    assert counts.rejected == parser.counts.rejected == 0
    assert sum(isinstance(event, Trade) for event in events) == 406


@pytest.mark.parametrize("start", [1, 777, 12_345, 25_000])
def test_it_may_begin_anywhere(recorded: list[Frame], start: int) -> None:
    """Without any book before, the best prices are right from the first pushed book on."""
    parser = Watched()
    parser.follow(recorded[start : start + 10_000])
    assert parser.compared > 500
    assert (parser.bids, parser.asks, parser.gaps) == (parser.compared, parser.compared, 0)


def test_lost_lines_are_healed_by_the_next_pushed_books(recorded: list[Frame]) -> None:
    """One line in a hundred is left out, of which nothing says so: no book is ever crossed."""
    parser = Watched()
    events = parser.follow([frame for i, frame in enumerate(recorded) if i % 100 != 50])
    assert_sound(events)
    assert parser.compared > 3000
    assert min(parser.bids, parser.asks) > 0.98 * parser.compared
    assert parser.best()[0] < parser.best()[1]


def pusher(text: str, at_ms: int) -> Frame:
    return Frame("bitstamp", "c", "recv", 1_430_000_000_000_000_000 + at_ms * 1_000_000, text.encode())


def old(event: str, number: int, kind: int, price: str, amount: str, at_ms: int) -> Frame:
    data = {"price": price, "amount": amount, "datetime": "1430000000", "id": number, "order_type": kind}
    return pusher(f"{event} {msgspec.json.encode(data).decode()}", at_ms)


def top20(bids: str, asks: str, at_ms: int) -> Frame:
    sides = [[level.split("x") for level in side.split()] for side in (bids, asks)]
    rows = [[[price, size] for size, price in side] for side in sides]
    return pusher(f"order_book {msgspec.json.encode({'bids': rows[0], 'asks': rows[1]}).decode()}", at_ms)


def shown(parser: BitstampParser, frames: list[Frame]) -> tuple[list[list[float]], list[list[float]]]:
    book = books_of(play(parser, frames))["BTC-USD"]
    bids, asks = book.top(20)
    return bids[:, :2].tolist(), asks[:, :2].tolist()


START = [old("order_created", 7, 0, "99", "1", 0), top20("3x99 5x98", "2x101", 10)]


def test_a_book_starts_from_a_pushed_one_with_the_orders_that_are_known() -> None:
    parser = BitstampParser()
    assert shown(parser, START) == ([[99.0, 3.0], [98.0, 5.0]], [[101.0, 2.0]])
    orders = parser.orders("BTC-USD")
    assert orders is not None
    assert (orders.count(0, 99.0), orders.queue_position(7)) == (None, QueuePosition(1, 2.0))
    assert parser.orders("ETH-USD") is None


def test_tops_have_the_order_counts(recorded: list[Frame]) -> None:
    """Through the whole pipeline: best first, with the number of orders where all of them are known."""
    parser, pipeline = BitstampParser(), Pipeline()
    events = play(parser, recorded[:3000])
    tops = [record for event in events for record in pipeline.step(event) if isinstance(record, BookTop)]
    orders = parser.orders("BTC-USD")
    assert orders is not None
    counted = [level.count for top in tops for level in (*top.bids, *top.asks)]
    assert None in counted
    assert {1, 2} <= set(counted)
    last = pipeline.step(msgspec.structs.replace(events[-1], ts_event_ns=events[-1].ts_event_ns + SECOND_NS))
    [top] = [record for record in last if isinstance(record, BookTop)]
    for side, levels in enumerate((top.bids, top.asks)):
        assert [level.count for level in levels] == [orders.count(side, level.price) for level in levels]


def test_late_events_of_deleted_orders_are_ignored() -> None:
    parser = BitstampParser()
    late = [
        old("order_created", 8, 0, "100", "1", 20),
        old("order_deleted", 8, 0, "100", "1", 30),
        old("order_changed", 8, 0, "100", "0.5", 31),
        old("order_deleted", 9, 0, "100", "1", 40),  # before its creation
        old("order_created", 9, 0, "100", "1", 41),
    ]
    assert shown(parser, START + late) == ([[99.0, 3.0], [98.0, 5.0]], [[101.0, 2.0]])
    assert parser.instruments["BTC-USD"].counts.duplicates == 3  # both, and the first order, which is in the snapshot


def test_an_order_that_crosses_waits_until_it_is_matched() -> None:
    parser = BitstampParser()
    assert isinstance(play(parser, START)[0], BookSnapshot)
    taker = [old("order_created", 8, 0, "101", "3", 20)]
    assert play(parser, taker) == []
    filled = [old("order_deleted", 6, 1, "101", "0.00000000", 30), old("order_changed", 8, 0, "101", "1", 31)]
    assert play(parser, filled) == []  # the maker is not known: only its trade says how large it was
    trade = pusher('trade {"price": 101.0, "amount": 2.0000000000000001, "id": 5}', 32)
    events = parser.parse(trade)
    assert isinstance(events[0], Trade)
    assert events[1] == BookDelta(
        "bitstamp", "BTC-USD", 3, trade.ts_recv_ns, trade.ts_recv_ns,
        Levels.of([(101.0, 1.0)]), Levels.of([(101.0, 0.0)]), (1,), (0,),
    )  # fmt: skip


def test_an_order_that_is_deleted_unseen_goes_with_the_next_settled_book() -> None:
    parser = BitstampParser()
    frames = [old("order_created", 8, 1, "100", "4", 20), top20("3x99 5x98", "2x101", 25)]
    assert shown(parser, START + frames)[1] == [[100.0, 4.0], [101.0, 2.0]]  # the book may be older than the order
    later = top20("3x99 5x98", "2x101 1x102", 2000)
    events = parser.parse(later)
    assert [(list(one.asks), one.ask_counts) for one in events if isinstance(one, BookDelta)] == [
        ([[100.0, 0.0], [102.0, 1.0]], (0, None))
    ]


def test_an_order_that_crosses_for_long_shows_that_the_book_is_wrong() -> None:
    parser = BitstampParser()
    play(parser, START)
    events = play(parser, [old("order_created", 8, 0, "102", "1", 20), old("order_created", 9, 0, "1", "1", 11_000)])
    assert [type(event) for event in events] == [Gap]
    assert parser.orders("BTC-USD") is None
    assert isinstance(parser.parse(top20("3x99", "2x101", 12_000))[0], BookSnapshot)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["order_created", "order_changed", "order_deleted", "push", "trade"]),
            st.integers(1, 9),
            st.integers(0, 1),
            st.integers(96, 104),
            st.integers(0, 3),
            st.integers(0, 3000),
        ),
        max_size=60,
    )
)
def test_whatever_comes_no_book_is_crossed(told: list[tuple[str, int, int, int, int, int]]) -> None:
    frames, at_ms = list(START), 10
    for kind, number, side, price, size, wait_ms in told:
        at_ms += wait_ms
        if kind == "push":
            frames.append(top20(f"{size + 1}x{price} 1x90", f"1x{price + number}", at_ms))
        elif kind == "trade":
            frames.append(pusher(f'trade {{"price": {price}, "amount": {size + 1}, "id": {at_ms}}}', at_ms))
        else:
            frames.append(old(kind, number, side, str(price), str(size), at_ms))
    letters: list[DeadLetter] = []
    parser = BitstampParser(reject=letters.append)
    events = play(parser, frames)
    assert_sound(events)
    book = books_of(events)["BTC-USD"]
    assert letters == []
    orders = parser.orders("BTC-USD")
    if orders is not None:
        whole = orders.whole()
        tops = book.top(100)
        assert [side[:, :2].tolist() for side in tops] == [list(whole.bids), list(whole.asks)]


@pytest.mark.parametrize(
    "text",
    [
        "order_created {}",
        'order_created {"id": 5, "order_type": 7, "price": "1", "amount": "1"}',
        'order_created {"id": 5, "order_type": 0, "price": "x", "amount": "1"}',
        'order_created {"id": 5, "order_type": 0, "price": "1", "amount": "-1"}',
        "order_book {}",
        "order_invented {}",
        "trade {}",
        'trade {"price": 1, "amount": 0, "id": 1}',
        "order_deleted nonsense",
    ],
)
def test_what_cannot_be_read_is_a_dead_letter(text: str) -> None:
    letters: list[DeadLetter] = []
    parser = BitstampParser(reject=letters.append)
    play(parser, START)
    events = parser.parse(pusher(text, 50))
    assert len(letters) == parser.counts.rejected == 1
    assert [type(event) for event in events] in ([], [Gap])
