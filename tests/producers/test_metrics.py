"""The meter: what it counts of frames and events, by a clock that the test turns."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import metrics
from producers.exchanges.kraken import KrakenParser
from producers.frames import Direction, Frame
from producers.metrics import BOUNDS_NS, Meter
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Trade
from quicksilver.records import FeedStats

NOW_NS = 1_790_000_000_000_000_000
MS = 1_000_000
NONE = Levels.of([])
NOBODY: Sequence[AnyEvent] = ()


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Metered:
    """A meter of one venue, its clock, and short ways to tell it things."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.meter = Meter(self.clock)

    def frame(self, *events: AnyEvent, size: int = 10, direction: Direction = "recv", conn: str = "c") -> None:
        self.meter.take(Frame("v", conn, direction, NOW_NS, b"x" * size), events)

    def rows(self) -> dict[str, FeedStats]:
        return {one.symbol: one for one in self.meter.read(NOW_NS)}

    def reported(self) -> dict[str, FeedStats]:
        return {one.symbol: one for one in self.meter.report(NOW_NS)}


def delta(symbol: str, late_ns: int = MS, recv_ns: int = NOW_NS) -> BookDelta:
    return BookDelta("v", symbol, 1, recv_ns - late_ns, recv_ns, NONE, NONE)


def trade(symbol: str, late_ns: int) -> Trade:
    return Trade("v", symbol, 1, NOW_NS - late_ns, NOW_NS, 1.0, 1.0, None, None)


def gap(symbol: str) -> Gap:
    return Gap("v", symbol, 1, NOW_NS - MS, NOW_NS, "lost")


def test_bytes_belong_to_the_symbol_that_a_frame_is_about_or_to_none() -> None:
    one = Metered()
    one.frame(delta("A-B"), size=3)
    one.frame(delta("A-B"), trade("A-B", MS), size=40)
    one.frame(delta("A-B"), delta("C-D"), delta("A-B"), size=500)
    one.frame(size=6_000)
    one.frame(delta("C-D"), size=70_000, direction="rest")
    one.frame(size=800_000, direction="send")  # ours
    assert {symbol: row.received_bytes for symbol, row in one.rows().items()} == {
        "": 6_500, "A-B": 43, "C-D": 70_000,
    }  # fmt: skip
    assert one.rows()[""].messages == 5


def test_ages_grow_until_a_symbol_speaks_and_a_gap_is_no_word_of_its_own() -> None:
    one = Metered()
    one.meter.watch([("v", "A-B"), ("v", "E-F")], {"v:A-B": "LIVE"}.get, 10.0)  # type: ignore[arg-type]
    one.clock.s += 4
    one.frame(delta("A-B"))
    one.clock.s += 8
    one.frame(gap("A-B"))
    assert {symbol: row.age_s for symbol, row in one.rows().items()} == {"": 0.0, "A-B": 8.0, "E-F": 12.0}
    assert one.rows()["A-B"].state == "LIVE"
    one.clock.s += 3
    assert {symbol: row.age_s for symbol, row in one.rows().items()} == {"": 3.0, "A-B": 11.0, "E-F": 15.0}
    assert one.rows()["A-B"].state == "STALE"
    one.frame(trade("A-B", MS))
    assert (one.rows()["A-B"].state, one.rows()["A-B"].age_s) == ("LIVE", 0.0)


def test_a_connection_that_follows_a_lost_one_is_a_reconnect_and_one_more_is_not() -> None:
    one = Metered()
    said: list[tuple[Direction, str]] = [("connect", "v.1"), ("connect", "v.2"), ("connect", "v.3")]
    for direction, conn in said:
        one.frame(direction=direction, conn=conn)
    one.frame()
    assert (one.rows()[""].reconnects, one.rows()[""].state) == (0, "LIVE")
    one.frame(direction="disconnect", conn="v.2")
    one.frame(direction="disconnect", conn="v.2")  # said twice
    assert (one.rows()[""].reconnects, one.rows()[""].state) == (0, "LIVE")  # the others are there
    one.frame(direction="connect", conn="v.4")
    assert (one.rows()[""].reconnects, one.rows()[""].state) == (1, "LIVE")
    one.frame(direction="connect", conn="v.4")  # some recordings tell of no disconnect, and name it as before
    one.frame(direction="connect", conn="v.5")
    assert (one.rows()[""].reconnects, one.rows()[""].state) == (2, "LIVE")
    for conn in ("v.1", "v.3", "v.4", "v.5"):
        one.frame(direction="disconnect", conn=conn)
    assert (one.rows()[""].reconnects, one.rows()[""].state) == (2, "GAP")
    assert one.rows()[""].messages == 1


def test_a_symbol_that_was_removed_is_told_of_no_longer_until_it_is_added_again() -> None:
    one = Metered()
    one.meter.watch([("v", "A-B")], lambda _: "LIVE")
    one.frame(delta("A-B"))
    one.meter.dismiss("v", "A-B")
    one.frame(gap("A-B"))
    assert list(one.rows()) == [""]
    assert one.meter.histograms() == []
    one.clock.s += 5
    one.meter.expect("v", "A-B")
    assert (one.rows()["A-B"].age_s, one.rows()["A-B"].received_bytes) == (0.0, 20)


@given(st.lists(st.integers(-(10**11), 10**11).filter(bool), min_size=1))
def test_each_latency_is_in_one_bucket_or_early(latencies_ns: list[int]) -> None:
    one = Metered()
    for late_ns in latencies_ns:
        one.frame(trade("A-B", late_ns))
    late = [late_ns for late_ns in latencies_ns if late_ns > 0]
    row = one.reported()["A-B"]
    assert row.early == len(latencies_ns) - len(late)
    assert row.latency_p50_us == round(sorted(latencies_ns)[(len(latencies_ns) - 1) // 2] / 1e3, 1)
    assert one.reported()["A-B"].latency_p50_us is None  # of a time in which nothing came
    histograms = one.meter.histograms()
    if not late:
        assert histograms == []
        return
    assert [(found.venue, found.symbol) for found in histograms] == [("v", "A-B")]
    assert histograms[0].sum_s == pytest.approx(sum(late) / 1e9)
    bounds = [0, *BOUNDS_NS, math.inf]
    wanted = [sum(low < ns <= high for ns in late) for low, high in zip(bounds, bounds[1:], strict=False)]
    assert histograms[0].buckets == wanted


def test_what_says_nothing_of_the_way_is_no_latency() -> None:
    one = Metered()
    one.frame(BookSnapshot("v", "A-B", 1, NOW_NS - 10**12, NOW_NS, NONE, NONE, None))
    one.frame(gap("A-B"))
    one.frame(delta("A-B", 0))
    one.frame(delta("A-B", MS, recv_ns=5 * MS))  # a tape without a clock has ordinals
    assert one.meter.histograms() == []
    assert one.reported()["A-B"].latency_p99_us is None


def test_a_report_has_the_rates_since_the_last_one() -> None:
    one = Metered()
    parser = KrakenParser("v")
    one.meter.parsers = {"v": parser}
    counts = parser.instrument("A-B").counts
    for came in (30, 12):
        one.clock.s += 2
        counts.frames += came
        for _ in range(came):
            one.frame()
        row = one.reported()
        assert (row["A-B"].messages_per_s, row[""].messages_per_s) == (came / 2, came / 2)
    assert row["A-B"].messages == 42


def test_what_parsers_count_and_who_finds_a_book_crossed_are_in_the_rows() -> None:
    one = Metered()
    parser = KrakenParser("v")
    one.meter.parsers = {"v": parser}
    parser.counts.rejected = 3
    found = parser.instrument("A-B").counts
    names = ["events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "duplicates", "skipped"]
    for number, name in enumerate(names, 1):
        setattr(found, name, number)
    one.meter.crossed("v", "A-B")
    one.meter.crossed("v", "A-B")
    rows = one.rows()
    assert [getattr(rows["A-B"], name) for name in names] == list(range(1, 8))
    assert (rows["A-B"].crossed, rows["A-B"].rejected, rows[""].rejected) == (2, 0, 3)


def test_symbols_without_end_are_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SYMBOLS", 3)
    one = Metered()
    for number in range(5):
        one.frame(delta(f"S{number}-X"))
    assert list(one.rows()) == ["", "S0-X", "S1-X", "S2-X"]
    assert one.meter.untold() == {"v": 2}
