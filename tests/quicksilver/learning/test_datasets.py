"""Training frames against the live parts: the decision grid and the label queue, row by row."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.grid import DecisionGrid
from quicksilver.labels import BPS, LabelConfig, LabelQueue
from quicksilver.learning.config import MAX_SILENT, PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, TrainingFrame, frame_of, newest, stretches

EVERY_NS = 10 * SECOND_NS
CONFIG = PredictorConfig("lda", granularity="10s", horizon="25s", datasetinputs=2, features=("vpin",), fee_bps=1.0)


def history(
    ts_ns: list[int], mids: list[float], fresh: list[int] | None = None, symbol: str = "BTC-USD"
) -> FeatureHistory:
    first = np.zeros(len(ts_ns), bool)
    first[[0, *(fresh or [])]] = True
    values = np.arange(len(ts_ns), dtype=float)[:, None]
    spread_bps = 1.0 + np.arange(len(ts_ns)) / 8
    return FeatureHistory("test", symbol, np.array(ts_ns), np.array(mids), values, first, spread_bps)


def live(one: FeatureHistory, config: PredictorConfig) -> list[tuple[int, int, float, list[float], float]]:
    """What a runner sees: time of the decision, when its outcome was known, the outcome, the inputs, the last move."""
    grid, queue = (
        DecisionGrid(config.every_ns),
        LabelQueue("test", "X", LabelConfig((config.horizon_ns,), config.fee_bps)),
    )
    found: list[tuple[int, int, float, list[float], float]] = []
    waiting: dict[int, tuple[int, list[float], float]] = {}
    moves: list[float] = []
    seen: list[float] = []
    last_mid, last_cell = math.nan, 0
    for row, (ts_ns, mid, fresh) in enumerate(
        zip(one.ts_ns.tolist(), one.mid.tolist(), one.fresh.tolist(), strict=True)
    ):
        cell = ts_ns // config.every_ns
        if fresh or cell - last_cell > MAX_SILENT:
            grid.reset()
            queue.gap()
            waiting.clear()
            moves, seen, last_mid = [], [], math.nan
        last_cell = cell
        for label in queue.on_price(ts_ns, ts_ns, mid):
            then = waiting.pop(label.seq, None)
            if then is not None:
                found.append((then[0], label.ts_known_ns, label.return_bps, *then[1:]))
        if grid.due(ts_ns):
            if not math.isnan(last_mid):
                moves = [math.log(mid / last_mid) * BPS, *moves]
            last_mid = mid
            seen = [float(one.values[row, 0]), *seen]
            queue.on_features(row, ts_ns, mid)
            if len(moves) >= config.datasetinputs and len(seen) >= config.sequence:
                inputs = [*moves[: config.datasetinputs], *seen[: config.sequence]]
                waiting[row] = (ts_ns, inputs, moves[0] if moves else math.nan)
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40 * SECOND_NS), st.floats(-0.01, 0.01)), min_size=1, max_size=80),
    st.sets(st.integers(1, 79), max_size=3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 5),
)
def test_a_frame_is_what_a_runner_sees(
    steps: list[tuple[int, float]], breaks: set[int], long_at: int, back: int, sequence: int
) -> None:
    config = msgspec.structs.replace(CONFIG, datasetinputs=back, sequence=sequence)
    waits = [wait * (40 if number % 17 == 13 + long_at else 1) for number, (wait, _) in enumerate(steps)]
    ts_ns = (1_700_000_000 * SECOND_NS + np.cumsum(waits)).tolist()
    mids = (100.0 * np.exp(np.cumsum([move for _, move in steps]))).tolist()
    one = history(ts_ns, mids, sorted(row for row in breaks if row < len(ts_ns)))
    expected = live(one, config)
    if not expected:
        with pytest.raises(InputError, match="no decision of 10s"):
            frame_of([one], config)
        return
    frame = frame_of([one], config)
    moves = ["move_1_bps", "move_2_bps", "move_3_bps"][:back]
    assert frame.names == (*moves, *["vpin", "vpin@1", "vpin@2", "vpin@3", "vpin@4"][:sequence])
    assert frame.ts_ns.tolist() == [row[0] for row in expected]
    assert frame.known_ns.tolist() == [row[1] for row in expected]
    np.testing.assert_allclose(frame.move_bps, [row[2] for row in expected], rtol=0, atol=1e-9)
    np.testing.assert_allclose(frame.inputs, [row[3] for row in expected], rtol=0, atol=1e-9)
    np.testing.assert_allclose(frame.last_bps, [row[4] for row in expected], rtol=0, atol=1e-9)
    spreads = dict(zip(one.values[:, 0].tolist(), one.spread_bps.tolist(), strict=True))
    assert frame.spread_bps.tolist() == [spreads[row[3][back]] for row in expected]


def steady(n: int, start_s: int = 0, symbol: str = "BTC-USD") -> FeatureHistory:
    times = [(start_s + 10 * row) * SECOND_NS for row in range(n)]
    return history(times, [100.0 + row % 7 for row in range(n)], symbol=symbol)


def test_several_instruments_are_one_frame_in_order_of_time() -> None:
    frame = frame_of([steady(30), steady(30, 5, "ETH-USD")], CONFIG)
    assert frame.instruments == ("test:BTC-USD", "test:ETH-USD")
    assert frame.instrument[:4].tolist() == [0, 1, 0, 1]
    assert (np.diff(frame.ts_ns) >= 0).all()


def test_minutes_back_keep_the_newest() -> None:
    back = msgspec.structs.replace(CONFIG, minutes_back=5.0)
    whole = frame_of([steady(100)], CONFIG)
    assert frame_of([steady(100)], back).n == whole.n, "the data are whole: a walk cuts what is before each part"
    some = newest(whole, 5.0)
    assert some.n == 31
    assert newest(whole.rows(slice(0, 0)), 5.0).n == 0
    assert some.ts_ns.tolist() == whole.ts_ns[-31:].tolist()


def test_directions_cover_the_fees_of_going_in_and_out() -> None:
    frame: TrainingFrame = frame_of([steady(20)], CONFIG)._replace(move_bps=np.array([-2.1, -2.0, 0.0, 2.0, 2.1]))
    assert frame.directions(CONFIG.threshold_bps).tolist() == [-1, 0, 0, 0, 1]


def test_the_last_move_is_known_where_it_is_no_input() -> None:
    """But at the first decision, before which there was none: flat is said there."""
    one = history([row * EVERY_NS for row in range(8)], [100.0, 101.0, 100.0, 100.0, 101.0, 102.0, 101.0, 100.0])
    frame = frame_of([one], msgspec.structs.replace(CONFIG, datasetinputs=0))
    assert "move_1_bps" not in frame.names
    assert np.isnan(frame.last_bps).tolist() == [True, *[False] * (frame.n - 1)]
    assert frame.last_directions(CONFIG.threshold_bps).tolist() == [0, 1, -1, 0, 1]


def test_a_silence_begins_a_stretch_anew() -> None:
    times = [0, 10, 20, 20 + 10 * MAX_SILENT, 31 + 20 * MAX_SILENT]
    one = history([second * SECOND_NS for second in times], [1.0] * 5)
    assert stretches(one, EVERY_NS) == [slice(0, 4), slice(4, 5)]
