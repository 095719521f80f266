"""What the features promise beside their values: fields, warm-ups, tops, gaps, silences.

The values are compared with a reference in ``test_features_market.py``.
"""

import re

import numpy as np
import pytest

from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, Levels, Price, Trade
from quicksilver.features import FEATURES, FeatureEngine, kernel
from quicksilver.features.spec import FeatureSpec
from quicksilver.records import Features, Record
from tests.quicksilver.test_features_reference import FIELDS, GRID, S

START = 1_700_000_000 * S
MS = S // 1000
FIRST = START + 25 * MS


def test_specs_fields_and_vector_positions_agree() -> None:
    fields = Features.__struct_fields__[len(Record.__struct_fields__) :]
    assert tuple(spec.name for spec in FEATURES) == fields
    assert len(fields) == kernel.N_FEATURES
    assert fields[kernel.VPIN] == "vpin"
    assert fields[kernel.RETURN_1S] == "return_1s_bps"
    assert fields[kernel.MOMENTUM] == "momentum_bps"
    assert all(spec.formula and spec.unit and spec.warm_up for spec in FEATURES)


def book(i: int, ts: int) -> BookSnapshot:
    """The ``i``-th book of a market whose mid moves by one to four at each."""
    middle = 10_000 + (i * i) % 5 - i % 3
    bids, asks = ([(middle + sign * (1 + k), 1.0 + (i + k) % 4) for k in range(10)] for sign in (-1, 1))
    return BookSnapshot("v", "A-B", i, ts, ts, Levels.of(bids), Levels.of(asks), 10)


def first_known(times: list[int], vectors: list[np.ndarray]) -> dict[str, int]:  # type: ignore[type-arg]
    """Time of the first vector in which each feature is known; it must then stay known."""
    known = ~np.isnan(np.array(vectors))
    out = {}
    for name, column in zip(FIELDS, known.T, strict=True):
        if column.any():
            at = int(column.argmax())
            assert column[at:].all(), name
            out[name] = times[at]
    return out


def promised(spec: FeatureSpec, times: list[int], bars: list[int], trades: int) -> int:
    """The first time at which ``spec.warm_up`` holds; ``bars`` are the times by which each is closed."""
    text = spec.warm_up
    if text.startswith("first book"):
        return times[0]
    number = int(re.findall(r"\d+", text)[0])
    if text.endswith("bars"):
        return next(ts for ts in times if ts >= bars[number - 1])
    if text.endswith("buckets"):  # of 20 trades of equal size, ``trades`` before each event
        return times[-(-20 * number // trades) - 1]
    edges = {ts: ts - ts % GRID - number * S for ts in times}
    begun = times[0] if text.endswith("ago") else times[0] - times[0] % GRID  # a price is there from its own time on
    assert re.fullmatch(r"a mid \d+ s ago|\d+ s( of book|, with a trade)?", text), text
    return next(ts for ts in times if edges[ts] >= begun)


def test_warm_ups_of_a_book_are_true() -> None:
    """A book each 50 ms and a trade before it."""
    engine = FeatureEngine()
    times = [FIRST + i * 50 * MS for i in range(310 * 20)]
    vectors = []
    for i, ts in enumerate(times):
        engine.trade(Trade("v", "A-B", i, ts, ts, 1.0, 1.0, "buy" if i % 3 else "sell"))
        assert engine.snapshot(book(i, ts))
        vectors.append(engine.vector.copy())
    seconds = [START + (n + 1) * S for n in range(310)]
    assert first_known(times, vectors) == {spec.name: promised(spec, times, seconds, 1) for spec in FEATURES}


def test_warm_ups_of_a_price_series_are_true() -> None:
    """A row each 350 ms: the rows are the bars."""
    engine = FeatureEngine()
    times = [FIRST + i * 350 * MS for i in range(320)]
    vectors = []
    for i, ts in enumerate(times):
        engine.price(Price("csv", "A-B", i, ts, ts, 100.0 + i % 7, 1.0))
        vectors.append(engine.vector.copy())
    has = [
        spec
        for spec in FEATURES
        if "row" in spec.warm_up or re.match("return|volatility|rsi|macd|momentum|volume", spec.name)
    ]
    assert first_known(times, vectors) == {spec.name: promised(spec, times, times, 1) for spec in has}


def test_ticks_are_counted_between_tops() -> None:
    engine = FeatureEngine()
    for i, (bid, ask) in enumerate([(10, 12), (11, 12), (11, 13), (10, 13), (10, 13), (9, 12)]):
        levels = Levels.of([(bid, 2.0), (bid - 1, 3.0)]), Levels.of([(ask, 4.0)])
        assert engine.snapshot(BookSnapshot("v", "A-B", i, START, START, *levels))
    event = BookDelta("v", "A-B", 9, START, START, NO_LEVELS, NO_LEVELS)
    top = engine.top(event, 5)
    assert (top.upticks, top.downticks) == (2, 2)
    assert top.uptick_notional == 12 * 4.0 + 12 * 4.0
    assert top.downtick_notional == 11 * 2.0 + 10 * 2.0
    assert [(level.price, level.size, level.cum_size) for level in top.bids] == [(9, 2, 2), (8, 3, 5)]
    assert [(level.price, level.size, level.cum_size) for level in top.asks] == [(12, 4, 4)]
    again = engine.top(event, 5)
    assert (again.upticks, again.downticks, again.uptick_notional, again.downtick_notional) == (0, 0, 0.0, 0.0)


@pytest.fixture
def warm() -> FeatureEngine:
    """Two seconds of books."""
    engine = FeatureEngine()
    for i in range(40):
        assert engine.snapshot(book(i, FIRST + i * 50 * MS))
    assert engine.features(book(39, START)).ofi_1s is not None
    return engine


def test_windows_start_anew_after_a_gap(warm: FeatureEngine) -> None:
    warm.gap()
    assert np.isnan(warm.vector).all()
    event = book(41, START + 9 * S)
    assert warm.snapshot(event)
    row = warm.features(event)
    assert row.mid is not None
    assert row.ofi_1s is None
    assert row.return_1s_bps is None


def test_a_long_silence_starts_the_windows_anew(warm: FeatureEngine) -> None:
    event = book(41, START + 400 * S)
    assert warm.snapshot(event)
    row = warm.features(event)
    assert row.mid is not None
    assert row.return_1s_bps is None


def test_time_that_goes_back_harms_nothing(warm: FeatureEngine) -> None:
    event = book(41, START - 1000 * S)
    assert warm.snapshot(event)
    assert warm.features(event).ofi_1s is not None


def test_a_crossed_book_gives_no_features() -> None:
    engine = FeatureEngine()
    crossed = BookSnapshot("v", "A-B", 1, START, START, Levels.of([(11, 1)]), Levels.of([(10, 1)]))
    assert not engine.snapshot(crossed)
    assert not engine.book.ready
    assert engine.book.crossed == 1
    assert np.isnan(engine.vector).all()


def test_a_one_sided_book_has_no_mid() -> None:
    engine = FeatureEngine()
    event = BookSnapshot("v", "A-B", 1, START, START, Levels.of([(11, 1)]), NO_LEVELS)
    assert engine.snapshot(event)
    assert engine.features(event).mid is None
