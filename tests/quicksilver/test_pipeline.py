"""The composition: cut anywhere it goes on to the bit, and nothing comes out of a broken book."""

import pytest

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.engine import frames
from producers.simulator.orderflow import Market
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Price, Trade
from quicksilver.instrument import InstrumentStage
from quicksilver.models.stage import PredictionStage
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.stage import PortfolioConfig, PortfolioStage
from quicksilver.records import AnyRecord, BookTop, Candle, Features, Frontier, Label, Prediction, Score, Status

START = 1_700_000_000_000_000_000
CONFIG = PipelineConfig(portfolio=PortfolioConfig(min_observations=5, n_portfolios=300))


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
    first, second = Pipeline(CONFIG), Pipeline(CONFIG)
    before = run(first, events[:cut])
    second.load(first.dump())
    assert second.dump() == first.dump()
    assert before + run(second, events[cut:]) == run(Pipeline(CONFIG), events)


def test_every_kind_of_record_comes_out(events: list[AnyEvent]) -> None:
    pipeline = Pipeline(CONFIG)
    kinds = {type(record) for event in events for record in pipeline.step(event)}
    assert kinds == {Features, BookTop, Candle, Label, Prediction, Score, Frontier, Status}


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
    portfolio, apart = PortfolioStage(CONFIG.portfolio), list[AnyRecord]()
    for event in events:
        key = (event.venue, event.symbol)
        stage, models = instruments.setdefault(
            key, (InstrumentStage(*key, CONFIG), PredictionStage(CONFIG.labels.horizons_ns, CONFIG.decide_every_ns))
        )
        derived = stage.step(event)
        for record in derived:
            apart += [record, *models.take(record)]
        apart += [frontier for record in derived for frontier in portfolio.take(record)]
    assert [codec.encode(record) for record in apart] == run(Pipeline(CONFIG), events)
