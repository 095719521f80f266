"""The composition: cut anywhere it goes on to the bit, and nothing comes out of a broken book."""

from typing import Any

import msgspec
import pytest

from jobs.books import BookWatch
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from quicksilver import codec
from quicksilver.book import Book
from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Price, Trade
from quicksilver.instrument import InstrumentStage
from quicksilver.models.stage import PredictionStage
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import (
    AnyRecord,
    BookTop,
    Candle,
    Features,
    Frontier,
    FullBook,
    Label,
    Prediction,
    Score,
    Status,
    TopLevel,
)

START = 1_700_000_000_000_000_000
CONFIG = PipelineConfig(portfolios=(PortfolioConfig(min_observations=5, n_portfolios=300),))
FULL = msgspec.structs.replace(CONFIG, full_books_per_s=4.0)


@pytest.fixture(scope="module")
def events() -> list[AnyEvent]:
    """Some 40 seconds of three simulated symbols, with a gap and its end in the middle."""
    parser = KrakenParser("sim")
    symbols = ["BTC/USD", "ETH/USD", "SOL/USD"]
    raw = frames(Market(3, START, symbols), symbols, 100, 4_000)
    out = [event for ts, data in raw for event in parser.parse(Frame("sim", "s", "recv", ts, data))]
    at = len(out) // 2
    btc = next(event for event in out if isinstance(event, BookSnapshot) and event.symbol == "BTC-USD")
    again = BookSnapshot("sim", "BTC-USD", 0, out[at + 200].ts_event_ns, 0, btc.bids, btc.asks, btc.depth)
    gap = Gap("sim", "BTC-USD", 0, out[at].ts_event_ns, 0, "test")
    return [*out[:at], gap, *out[at : at + 200], again, *out[at + 200 :]]


def run(pipeline: Pipeline, events: list[AnyEvent]) -> list[bytes]:
    return [codec.encode(record) for event in events for record in pipeline.step(event)]


def test_the_same_events_give_the_same_bytes(events: list[AnyEvent]) -> None:
    assert run(Pipeline(CONFIG), events) == run(Pipeline(CONFIG), events)


@pytest.mark.parametrize("share", [0.0, 0.11, 0.37, 0.501, 0.52, 0.8, 1.0])
def test_a_run_cut_in_two_equals_a_whole_one(events: list[AnyEvent], share: float) -> None:
    cut = int(share * len(events))
    first, second = Pipeline(FULL), Pipeline(FULL)
    before = run(first, events[:cut])
    second.load(first.dump())
    assert second.dump() == first.dump()
    assert before + run(second, events[cut:]) == run(Pipeline(FULL), events)


def test_universes_adopted_in_the_middle_go_on_from_a_saved_state(events: list[AnyEvent]) -> None:
    first, second = CONFIG.portfolios[0], msgspec.structs.replace(CONFIG.portfolios[0], universe="second", aversion=1.0)
    whole, half = Pipeline(CONFIG), len(events) // 4
    before = run(whole, events[:half])
    assert whole.adopt_universes([second, first]) == []
    state = whole.dump()
    again = Pipeline(CONFIG.of_universes([second, first]))
    again.load(state)
    after = run(whole, events[half:])
    assert run(again, events[half:]) == after
    mine = [one for one in after if not one.startswith(b'{"universe":"second"')]
    assert before + mine == run(Pipeline(CONFIG), events)
    assert len(after) - len(mine) > 3
    with pytest.raises(StateError, match="another configuration"):
        Pipeline(CONFIG).load(state)


def test_every_kind_of_record_comes_out(events: list[AnyEvent]) -> None:
    pipeline = Pipeline(CONFIG)
    kinds = {type(record) for event in events for record in pipeline.step(event)}
    assert kinds == {Features, BookTop, Candle, Label, Prediction, Score, Frontier, Status}


def test_full_books_are_off_unless_asked_for_and_change_nothing_else(events: list[AnyEvent]) -> None:
    pipeline = Pipeline(FULL)
    records = [record for event in events for record in pipeline.step(event)]
    assert {type(record) for record in records} == {
        Features, BookTop, FullBook, Candle, Label, Prediction, Score, Frontier, Status
    }  # fmt: skip
    others = [codec.encode(record) for record in records if not isinstance(record, FullBook)]
    plain = Pipeline(CONFIG)
    assert others == [codec.encode(record) for event in events for record in plain.step(event)]


def test_a_full_book_is_the_whole_book_at_the_first_message_of_each_part_of_a_second(events: list[AnyEvent]) -> None:
    pipeline, book, due_ns = Pipeline(FULL), Book(), 0
    moves = [0, 0]
    n_full = 0
    mid: float | None = None
    for event in (event for event in events if event.symbol == "ETH-USD"):
        full = next((one for one in pipeline.step(event) if isinstance(one, FullBook)), None)
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks, event.depth)
        elif isinstance(event, BookDelta):
            book.apply(event.bids, event.asks)
        else:
            assert full is None
            continue
        bids, asks = book.top(1000)
        before, mid = mid, (bids[0, 0] + asks[0, 0]) / 2
        moves[0] += before is not None and mid > before
        moves[1] += before is not None and mid < before
        assert (full is not None) == (event.ts_event_ns >= due_ns)
        if full is not None:
            due_ns = (event.ts_event_ns // 250_000_000 + 1) * 250_000_000
            assert [[*msgspec.structs.astuple(level)[:3]] for level in full.bids] == bids.tolist()
            assert [[*msgspec.structs.astuple(level)[:3]] for level in full.asks] == asks.tolist()
            assert (full.n_bids, full.n_asks, full.seq) == (len(bids), len(asks), event.seq)
            assert [full.upticks, full.downticks] == moves
            moves = [0, 0]
            n_full += 1
    assert n_full > 40


def test_a_full_book_holds_no_more_levels_than_it_may_and_says_how_many_there_are() -> None:
    pipeline = Pipeline(PipelineConfig(full_books_per_s=1.0, full_book_levels=2, portfolios=()))
    bids, asks = Levels.of([(10, 1), (9, 2), (8, 3)]), Levels.of([(11, 4)])
    records = pipeline.step(BookSnapshot("v", "A-B", 1, START, START + 5, bids, asks))
    assert [record for record in records if isinstance(record, FullBook)] == [
        FullBook(
            "v", "A-B", 1, START, START + 5, [TopLevel(10, 1, 1), TopLevel(9, 2, 3)], [TopLevel(11, 4, 4)], 3, 1,
            0, 0, 0.0, 0.0,
        )
    ]  # fmt: skip
    moved = BookDelta("v", "A-B", 2, START + 10**9, START, Levels.of([(10, 0)]), Levels.of([]))
    (full,) = [record for record in pipeline.step(moved) if isinstance(record, FullBook)]
    assert (full.n_bids, full.downticks, full.downtick_notional) == (2, 1, 10.0)
    assert not any(isinstance(one, FullBook) for one in pipeline.step(Gap("v", "A-B", 3, START + 10**9, START, "lost")))
    again = pipeline.step(BookSnapshot("v", "A-B", 4, START + 10**9 + 1, START, bids, asks))
    assert [(one.seq, one.upticks) for one in again if isinstance(one, FullBook)] == [(4, 0)]  # at once, and anew


@pytest.mark.parametrize(
    "wrong",
    [{"full_books_per_s": -1.0}, {"full_books_per_s": 1e9}, {"full_book_levels": 0}, {"full_book_levels": 50_001}],
)
def test_a_number_of_full_books_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="full books a second of"):
        PipelineConfig(**wrong)


def test_nothing_is_derived_between_a_gap_and_the_next_snapshot(events: list[AnyEvent]) -> None:
    pipeline, broken, seen = Pipeline(CONFIG), False, 0
    for event in events:
        records = pipeline.step(event)
        if event.symbol != "BTC-USD":
            seen += broken and any(isinstance(record, Features) for record in records)
            continue
        if isinstance(event, Gap):
            broken = True
            assert [type(record) for record in records] == [Status]
        elif isinstance(event, BookSnapshot):
            broken = False
        elif broken:
            derived = (Features, BookTop, Label, Prediction, Score)
            assert not any(isinstance(record, derived) for record in records)
    assert seen > 20  # the other symbols went on


def test_a_crossed_book_is_a_gap() -> None:
    pipeline = Pipeline(CONFIG)
    good = BookSnapshot("v", "A-B", 1, START, START, Levels.of([(10, 1)]), Levels.of([(11, 1)]))
    assert any(isinstance(record, Features) for record in pipeline.step(good))
    records = pipeline.step(BookDelta("v", "A-B", 2, START, START, Levels.of([(12, 1)]), Levels.of([])))
    assert [(type(record), getattr(record, "state", "")) for record in records] == [(Status, "GAP")]
    assert pipeline.step(BookDelta("v", "A-B", 3, START, START, Levels.of([(9, 1)]), Levels.of([]))) == []


def test_a_book_of_too_many_levels_is_a_gap_of_that_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it comes whole or grows; the run goes on, and so does the book once it is of a size again."""
    monkeypatch.setattr("quicksilver.book.MAX_CAPACITY", 256)
    pipeline, watch = Pipeline(CONFIG), BookWatch()
    asks = Levels.of([(1000.0, 1.0)])

    def said(event: AnyEvent) -> list[tuple[str, str]]:
        statuses = [record for record in pipeline.step(event) if isinstance(record, Status)]
        assert watch.step(event) == statuses  # who publishes says the same
        return [(status.state, status.reason) for status in statuses]

    def book(seq: int, n: int, symbol: str = "A-B") -> BookSnapshot:
        return BookSnapshot("v", symbol, seq, START, START, Levels.of([(i + 1.0, 1.0) for i in range(n)]), asks)

    gap = ("GAP", "a book side of 257 levels: more than the 256 supported")
    assert said(book(1, 256)) == said(book(1, 10, "C-D")) == [("LIVE", "")]
    assert said(BookDelta("v", "A-B", 2, START, START, Levels.of([(900.0, 1.0)]), Levels.of([]))) == [gap]
    assert said(book(3, 256)) == [("LIVE", "")]
    assert said(book(4, 257)) == [gap]
    assert said(BookDelta("v", "A-B", 5, START, START, Levels.of([(1.0, 2.0)]), Levels.of([]))) == []
    more = BookDelta("v", "C-D", 2, START, START, Levels.of([(900.0, 1.0)]), Levels.of([]))
    assert any(isinstance(record, Features) for record in pipeline.step(more))


def test_deltas_and_trades_before_a_snapshot_make_no_features() -> None:
    pipeline = Pipeline(CONFIG)
    assert pipeline.step(BookDelta("v", "A-B", 1, START, START, Levels.of([(9, 1)]), Levels.of([]))) == []
    trade = pipeline.step(Trade("v", "A-B", 2, START, START, 9.0, 1.0, "buy"))
    assert {type(record) for record in trade} == {Candle}


def test_price_series_make_features_candles_and_predictions_of_their_own_clock() -> None:
    pipeline = Pipeline(PipelineConfig.for_rows(60 * 10**9))
    records = [
        record
        for i in range(50)
        for record in pipeline.step(Price("csv", "A-B", i + 1, START + i * 60 * 10**9, 0, 100.0 + i % 7, 1.0))
    ]
    assert sum(isinstance(record, Features) for record in records) == 50
    assert {record.horizon_ns for record in records if isinstance(record, Label)} == {
        60 * 10**9,
        300 * 10**9,
        1800 * 10**9,
    }
    assert sum(isinstance(record, Candle) and record.closed for record in records) == 49
    assert not any(isinstance(record, BookTop) for record in records)


def test_a_state_that_does_not_fit_is_refused_with_a_sentence() -> None:
    dumped = Pipeline(CONFIG).dump()
    with pytest.raises(StateError, match="another configuration"):
        Pipeline().load(dumped)
    for junk in (b"", b"\x80", b"junk"):
        with pytest.raises(StateError, match="not a saved state"):
            Pipeline(CONFIG).load(junk)


def test_stages_apart_that_see_only_records_give_what_the_pipeline_gives(events: list[AnyEvent]) -> None:
    """What the cluster's jobs are: instruments, models and portfolio in processes of their own."""
    instruments: dict[tuple[str, str], tuple[InstrumentStage, PredictionStage]] = {}
    portfolio, apart = PortfolioStage(CONFIG.portfolios[0]), list[AnyRecord]()
    for event in events:
        key = (event.venue, event.symbol)
        stage, models = instruments.setdefault(
            key, (InstrumentStage(*key, CONFIG), PredictionStage(CONFIG.labels, CONFIG.decide_every_ns))
        )
        derived = stage.step(event)
        for record in derived:
            apart += [record, *models.take(record)]
        apart += [frontier for record in derived for frontier in portfolio.take(record)]
    assert [codec.encode(record) for record in apart] == run(Pipeline(CONFIG), events)
