"""A tape, and the rows that a run stored of it, are the same history."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from api.store_sqlite import SqliteStore
from jobs.feature_histories import histories_of, of_csv, of_store, of_tape
from jobs.replay import Replay
from jobs.tape_letters import Letters
from producers.exchanges.base import ignore
from producers.tapes import TapeWriter, read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.memory import MemoryStore
from quicksilver.pipeline import Pipeline
from quicksilver.records import Features, Published, Status
from tests.jobs.market_tapes import bitstamp
from tests.jobs.market_tapes import tape as market_tape

TAPE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
NAMES = ("imbalance_5", "return_1s_bps")


class Storing:
    def __init__(self) -> None:
        self.store = MemoryStore()

    def write(self, record: Published) -> None:
        if isinstance(record, Features | Status):
            self.store.write([record])


def same(one: FeatureHistory, other: FeatureHistory) -> bool:
    pairs = zip(one[2:], other[2:], strict=True)
    return one[:2] == other[:2] and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def test_a_tape_and_the_rows_of_its_run_are_the_same(tapes: Path) -> None:
    storing = Storing()
    replay = Replay(Pipeline(PipelineConfig(portfolios=())), storing)
    replay.run(read_frames(tapes / TAPE))
    found, stored = of_tape(tapes / TAPE, NAMES, ignore), of_store(storing.store, NAMES)
    assert [(one.venue, one.symbol) for one in found] == [(one.venue, one.symbol) for one in stored]
    assert len(found) >= 3
    assert all(same(one, other) for one, other in zip(found, stored, strict=True))
    assert all(one.fresh[0] and len(one.ts_ns) > 100 and np.isfinite(one.mid).all() for one in found)


def test_a_csv_of_candles(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD.csv"
    path.write_text("time,close\n" + "".join(f"{1_700_000_000 + 60 * row},{100 + row % 5}\n" for row in range(50)))
    (found,) = of_csv(path, ("rsi_14",), ignore)
    assert found.mid.tolist() == [100.0 + row % 5 for row in range(50)]
    assert np.isnan(found.values[:14]).all()
    assert np.isfinite(found.values[20:]).all()
    assert found.fresh.tolist() == [True] + [False] * 49


def test_a_new_session_has_nothing_to_do_with_the_one_before() -> None:
    store = MemoryStore()
    unknown = dict.fromkeys(Features.__struct_fields__[5:])
    for seq, ts_ns in ((1, 10), (2, 20), (3, 30), (1, 40), (2, 50)):
        store.write([Features("v", "A-B", seq, ts_ns, ts_ns, **{**unknown, "mid": 1.0})])
    store.write([Status("v", "A-B", 2, 20, 20, "GAP", "lost"), Status("v", "A-B", 3, 30, 30, "STALE", "quiet")])
    (found,) = of_store(store, ())
    assert found.ts_ns.tolist() == [10, 20, 30, 40, 50]
    assert found.fresh.tolist() == [True, True, False, True, False]


def vectors(*rows: tuple[int, int, int]) -> list[Features]:
    """Vectors of some ``(seq, event time, receipt)``, in milliseconds."""
    unknown = dict.fromkeys(Features.__struct_fields__[5:])
    return [
        Features("v", "A-B", seq, event_ms * 10**6, recv_ms * 10**6, **{**unknown, "mid": 100.0 + seq})
        for seq, event_ms, recv_ms in rows
    ]


def stored(records: list[Features]) -> FeatureHistory:
    store = MemoryStore()
    store.write(records)
    (found,) = of_store(store, ())
    return found


@pytest.mark.parametrize("ours", [False, True], ids=["the venue's clock", "our own clock"])
def test_a_clock_that_goes_back_breaks_no_history(ours: bool) -> None:
    """A row 200 ms back, or all from then on received 500 ms earlier: the same history as while it ran."""
    rows = [(seq, 100 * seq - 200 * (seq == 50), 100 * seq + 5 - 500 * (ours and seq >= 50)) for seq in range(1, 101)]
    (live,) = HistoryBuilder(()).take_all(vectors(*rows)).histories()
    found = stored(vectors(*rows))
    assert np.flatnonzero(found.fresh).tolist() == [0]
    assert same(found, live)


def test_a_run_that_begins_anew_breaks_it_whatever_its_numbers() -> None:
    """One that has come as far as the other; one that ended at once; one whose first vectors the other did not have."""
    first = [(seq, 100 * seq, 100 * seq) for seq in range(1, 51)]
    for numbers in (range(1, 80), range(1, 3), range(30, 49), range(2, 90, 3)):
        again = [(seq, 60_000 + 100 * seq, 60_000 + 100 * seq) for seq in numbers]
        found = stored(vectors(*first, *again))
        assert np.flatnonzero(found.fresh).tolist() == [0, 50]
        assert (np.diff(found.ts_ns) > 0).all()
    unlike = vectors((2, 10, 10), (4, 20, 20), (1, 5_000, 5_000), (3, 5_010, 5_010))
    assert np.flatnonzero(stored(unlike).fresh).tolist() == [0, 2]


def test_what_is_no_tape_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.tape"
    path.write_text("junk")
    with pytest.raises(InputError, match="not a tape"):
        of_tape(path, (), ignore)


def test_a_tape_of_changes_without_a_snapshot_is_said_to_make_no_book(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    with TapeWriter(path) as writer:
        for frame in (one for one in bitstamp("btcusd", None, 10) if one.direction == "recv"):
            writer.write(frame)
    with pytest.raises(InputError, match=r"no features come of its 10 frames, .* no book without a snapshot"):
        of_tape(path, (), ignore)


def test_what_of_a_tape_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A torn frame and one of no venue, within; then the end is torn off."""
    path, letters = market_tape(tmp_path / "a.tape", seconds=10), Letters()
    whole = histories_of(str(path), NAMES, letters)
    assert (letters.count, letters.torn) == (2, False)
    assert "unknown venue 'nowhere'" in letters.reasons[0]
    path.write_bytes(path.read_bytes()[:-40])
    torn = Letters()
    found = histories_of(str(path), NAMES, torn)
    assert torn.torn
    assert [one.symbol for one in found] == [one.symbol for one in whole]


def test_a_source_is_known_by_its_name_or_by_what_stands_before_it(tapes: Path, tmp_path: Path) -> None:
    (found, *_) = histories_of(str(tapes / TAPE), NAMES, ignore)
    assert len(found.ts_ns) > 100
    rows = "time,close\n" + "".join(f"{1_700_000_000 + 60 * row},{100 + row % 5}\n" for row in range(50))
    for name, source in (("a.csv", "{}"), ("a.txt", "csv:{}")):
        (tmp_path / name).write_text(rows)
        (found,) = histories_of(source.format(tmp_path / name), (), ignore)
        assert len(found.mid) == 50
    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        unknown = dict.fromkeys(Features.__struct_fields__[5:])
        store.write([Features("v", "A-B", 1, 10, 10, **{**unknown, "mid": 1.0})])
        store.flush()
    (found,) = histories_of(str(tmp_path / "a.sqlite"), (), ignore)
    assert found.mid.tolist() == [1.0]
    with pytest.raises(InputError, match="there is no such file"):
        histories_of(str(tmp_path / "b.csv"), (), ignore)
