"""Every field of every feature vector against the reference: simulated market, invented books, price series."""

from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Levels, Price, Side, Trade
from quicksilver.features import FeatureEngine
from tests.quicksilver.test_book import NaiveBook
from tests.quicksilver.test_features_reference import FIELDS, Reference, S, differences

START = 1_700_000_000 * S
MS = S // 1000
OFF_GRID = 7_000  # no time is a multiple of 100 ms, plus this
DEPTH = 25
SIGNS: dict[Side | None, int] = {"buy": 1, "sell": -1, None: 0}

Step: TypeAlias = tuple[int, Any]


class Both:
    """The engine and the reference, told the same; ``wrong`` is where they differ."""

    def __init__(self) -> None:
        self.engine, self.reference, self.book = FeatureEngine(), Reference(), NaiveBook(DEPTH)
        self.wrong: list[str] = []
        self.known: set[str] = set()
        self.compared = 0

    def take(self, event: AnyEvent) -> None:
        if isinstance(event, Trade):
            self.engine.trade(event)
            self.reference.trade(event.ts_event_ns, event.size, SIGNS[event.side])
        elif isinstance(event, Price):
            self.engine.price(event)
            self._compare(event, self.reference.price(event.ts_event_ns, event.price, event.volume))
        elif isinstance(event, BookSnapshot):
            self.book = NaiveBook(event.depth)
            self._after(event, self.engine.snapshot(event))
        elif isinstance(event, BookDelta) and self.engine.book.ready:
            self._after(event, self.engine.delta(event))

    def _after(self, event: BookSnapshot | BookDelta, sound: bool) -> None:
        self.book.apply(event.bids, event.asks)  # type: ignore[arg-type]
        bids, asks = ([(price, size) for price, size, _ in side] for side in self.book.top(DEPTH))
        assert sound == (not (bids and asks) or bids[0][0] < asks[0][0])
        if sound:
            self._compare(event, self.reference.book(event.ts_event_ns, bids, asks))
        else:
            self.reference.gap()

    def _compare(self, event: AnyEvent, row: dict[str, float | None]) -> None:
        found = differences(row, self.engine.vector.tolist())
        self.wrong += [f"event {self.compared} at {event.ts_event_ns}: {one}" for one in found]
        self.known |= {name for name, value in row.items() if value is not None}
        self.compared += 1

    def top(self) -> None:
        """Let the ticks begin at zero."""
        self.engine.top(BookDelta("v", "A-B", 1, START, 0, Levels.of([]), Levels.of([])), 1)
        self.reference.top()

    def gap(self) -> None:
        self.engine.gap()
        self.reference.gap()


def simulated(seed: int, start_ns: int) -> Both:
    """Nine minutes of one symbol, some five messages a second, through Kraken's parser."""
    both, parser = Both(), KrakenParser("sim")
    for ts, data in frames(Market(seed, start_ns, ["BTC/USD"], 0.2), ["BTC/USD"], DEPTH, 10**9):
        if ts > start_ns + 540 * S:
            return both
        for event in parser.parse(Frame("sim", "s", "recv", ts, data)):
            both.take(event)
            if event.seq % 7 == 0:
                both.top()
    raise AssertionError("the market ended")


def test_nine_minutes_of_a_simulated_market() -> None:
    both = simulated(3, START + OFF_GRID)
    assert both.wrong == []
    assert both.known == set(FIELDS)
    assert both.compared > 2500


prices, sizes = st.integers(90, 110), st.integers(1, 50).map(float)
depths = st.lists(st.tuples(st.integers(1, 14), sizes), max_size=12)
short = st.one_of(st.just(0), st.integers(1, 400), st.integers(-3_000, -1), st.integers(1_000, 15_000))  # ms
silent = st.one_of(short, short, st.sampled_from([60_000, 300_900, 301_000, 301_100, 400_000]))
snapshots = st.tuples(st.just("snapshot"), prices, depths, depths)
changes = st.lists(st.tuples(prices, st.one_of(st.just(0.0), sizes)), max_size=3)
deltas = st.tuples(st.just("delta"), st.integers(-3, 3), changes, changes)
trades = st.tuples(st.just("trades"), st.integers(1, 60), sizes, st.sampled_from(["buy", "sell", None]))
others = st.sampled_from([("top",), ("gap",)])
wild = st.lists(st.tuples(silent, snapshots | snapshots | deltas | trades | others), max_size=60)


def levels(pairs: list[tuple[int, float]], origin: int, sign: int) -> Levels:
    return Levels.of([(origin + sign * price, size) for price, size in pairs])


def invented(steps: list[Step], ts: int) -> Both:
    """Act out the steps from time ``ts`` on."""
    both = Both()
    for wait_ms, (kind, *what) in steps:
        ts += wait_ms * MS
        if kind == "snapshot":
            middle, bids, asks = what
            sides = levels(bids, middle, -1), levels(asks, middle, 1)
            both.take(BookSnapshot("v", "A-B", 1, ts, ts, *sides, DEPTH))
        elif kind == "delta":
            apart, bids, asks = what
            both.take(BookDelta("v", "A-B", 1, ts, ts, levels(bids, -9 - apart, 1), levels(asks, 9, 1)))
        elif kind == "trades":
            n, size, side = what
            for i in range(n):
                both.take(Trade("v", "A-B", 1, ts, ts, 1.0, size + i % 3, side))
        elif kind == "top":
            both.top()
        elif kind == "gap":
            both.gap()
    return both


@given(steps=wild)
@settings(max_examples=250, deadline=None)
def test_invented_books_and_trades(steps: list[Step]) -> None:
    """Silences, one-sided and crossed books, equal times and times that go back, on the grid and off it."""
    for start in (START, START + OFF_GRID):
        assert invented(steps, start).wrong == []


BOOK = ("snapshot", 100, [(1, 5.0)], [(1, 6.0)])
TRADE = ("trades", 1, 1.0, "buy")


def test_a_price_exactly_one_second_ago_counts() -> None:
    higher = ("snapshot", 101, [(1, 5.0)], [(1, 6.0)])
    both = invented([(0, BOOK), (1_000, higher)], START)
    assert both.engine.vector[FIELDS.index("return_1s_bps")] == pytest.approx(99.50331)
    assert both.wrong == []


def test_order_flow_is_not_known_before_the_book_was() -> None:
    assert invented([(0, TRADE), (11_000, BOOK)], START + OFF_GRID).wrong == []


def test_a_trade_that_ends_a_silence_begins_the_windows() -> None:
    steps = [(0, BOOK), (400_000, TRADE), (11_000, TRADE), (0, BOOK)]
    both = invented(steps, START + OFF_GRID)
    assert both.reference.trades  # both of them
    assert both.wrong == []


def test_a_trade_far_above_the_mean_goes_into_vpin_whole() -> None:
    usual = [(100, ("trades", 60, 1.0, side)) for side in ["buy", "sell"] * 5]
    steps = [(0, BOOK), *usual, (1, ("trades", 1, 2_000.0, "buy")), (0, BOOK)]
    assert invented(steps, START + OFF_GRID).wrong == []


volumes = st.one_of(st.none(), st.integers(0, 50).map(float))
steps_ms = st.one_of(st.sampled_from([0, 1, 1_000, 10_000, 60_000, 86_400_000]), st.integers(-70_000, 70_000))
rows = st.lists(st.tuples(steps_ms, st.integers(50, 150).map(float), volumes), min_size=1, max_size=70)


def series(rows: list[tuple[int, float, float | None]], ts: int) -> Both:
    both = Both()
    for i, (wait_ms, price, volume) in enumerate(rows, 1):
        ts += wait_ms * MS
        both.take(Price("csv", "A-B", i, ts, ts, price, volume))
    return both


@given(rows=rows)
@settings(max_examples=100, deadline=None)
def test_price_series(rows: list[tuple[int, float, float | None]]) -> None:
    assert series(rows, START + OFF_GRID).wrong == []


def walk(step_ms: int, n: int) -> list[tuple[int, float, float | None]]:
    return [(step_ms, 100.0 + (i * i * 7919) % 13 - (i * 31) % 7, 1.0) for i in range(n)]


@pytest.mark.parametrize("step_ms", [1_000, 60_000, 86_400_000])
def test_a_long_price_series(step_ms: int) -> None:
    both = series(walk(step_ms, 700), START + OFF_GRID)
    assert both.wrong == []
    assert both.known >= {"mid", "volume_60s", "return_60s_bps", "volatility_300s_bps", "rsi_14", "macd_signal_bps"}


def test_minute_candles_on_the_minute() -> None:
    both = series(walk(60_000, 100), START)
    assert both.engine.vector[FIELDS.index("volume_60s")] == 1.0
    assert both.wrong == []
