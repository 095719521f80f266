"""A time that is far from all others' moves no clock alone; a real gap, and another recording, are lost in nothing."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quicksilver import codec
from quicksilver.portfolio.leaps import APART_NS, MOST_HELD, Leaps, Told
from quicksilver.portfolio.running import RunningUniverses
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import Frontier, Status
from tests.quicksilver.portfolio.test_stage import THREE, TWO
from tests.quicksilver.portfolio.ticks import CONFIG, SECOND, Row, good, play, seconds

SMALL = replace(CONFIG, n_portfolios=60, window=16, resamples=0, n_frontier=8)
YEARS_NS = 10 * 366 * 86_400 * SECOND
NIGHT_NS = 10 * 3_600 * SECOND


def told(frontiers: list[Frontier]) -> list[Frontier]:
    """What they say, but for when that which ended the period arrived, and what was left out."""
    return [replace(one, ts_recv_ns=0, reason="") for one in frontiers]


def taken(leaps: Leaps, times: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """What the clock follows of prices at these seconds, in its order."""
    found = []
    for symbol, second in times:
        known, _ = leaps.take(Told("v", symbol, second * SECOND, second * SECOND, 1.0))
        found += [(one.symbol, one.ts_event_ns // SECOND) for one in known]
    return found


@given(
    seed=st.integers(0, 99), at=st.integers(0, 119), off_ns=st.integers(APART_NS + 2 * SECOND, YEARS_NS),
    symbol=st.sampled_from(TWO), ahead=st.booleans(),
)  # fmt: skip
@example(seed=1, at=100, off_ns=YEARS_NS, symbol="A-USD", ahead=True)
@example(seed=1, at=0, off_ns=YEARS_NS, symbol="A-USD", ahead=True)
@settings(max_examples=12, deadline=None)
def test_one_price_of_a_wrong_time_silences_nobody(seed: int, at: int, off_ns: int, symbol: str, ahead: bool) -> None:
    rows = seconds(60, TWO, seed, start_s=400_000_000)
    venue, _, price, ts_ns = rows[at]
    wrong = (venue, symbol, price, ts_ns + off_ns if ahead else max(1, ts_ns - off_ns))
    truth = play(PortfolioStage(SMALL), rows)
    found = play(PortfolioStage(SMALL), [*rows[:at], wrong, *rows[at:]])
    if at:
        assert [one.ts_event_ns for one in found] == [one.ts_event_ns for one in truth]
        if ahead:
            assert told(found) == told(truth)
            last = next(one for one in found if one.ts_event_ns > ts_ns)
            assert f"1 price of v:{symbol} left out, the last of a time" in last.reason
    else:  # the clock begins with it, and anew with the second that tells another time
        assert len(good(found)) >= len(good(truth)) - 1


def test_what_was_left_out_is_told_for_a_minute() -> None:
    rows = seconds(200, TWO)
    wrong = ("v", "B-USD", 100.0, rows[60][3] + YEARS_NS)
    found = play(PortfolioStage(SMALL), [*rows[:61], wrong, wrong, *rows[61:]])
    noted = [one.ts_event_ns // SECOND for one in found if "left out" in one.reason]
    assert noted == list(range(1_031, 1_091))
    assert "2 prices of v:B-USD left out, the last of a time 3.66e+03 d ahead of the others'" in found[-140].reason


@given(seed=st.integers(0, 99), gap_ns=st.integers(61 * SECOND, 30 * NIGHT_NS), at=st.integers(20, 100))
@settings(max_examples=8, deadline=None)
def test_a_night_is_lost_in_nothing(seed: int, gap_ns: int, at: int) -> None:
    rows = [(v, s, p, ts + (gap_ns if i >= at else 0)) for i, (v, s, p, ts) in enumerate(seconds(60, THREE, seed))]
    trusting = PortfolioStage(SMALL)
    trusting._leaps.apart_ns = 100 * NIGHT_NS  # as if no leap were far
    assert told(play(PortfolioStage(SMALL), rows)) == told(play(trusting, rows))


def test_a_market_of_seldom_prices_loses_none() -> None:
    """Each price is a leap from the one before; the last of all waits for another."""
    rows = [(symbol, 5_000 * i) for i, symbol in enumerate(["A", "B", "C", "A", "A", "B"], 1)]
    assert taken(Leaps(SECOND), rows) == rows[:-1]


@pytest.mark.parametrize("period_s", [86_400, 3_600])
def test_rows_of_days_with_weekends_lose_none(period_s: int) -> None:
    days = [1, 2, 3, 6, 7, 12, 13]
    rows = [(symbol, 86_400 * day) for day in days for symbol in ("A", "B")]
    assert taken(Leaps(period_s * SECOND), rows) == rows


def test_an_instrument_that_is_alone_is_believed_when_it_says_so_twice() -> None:
    assert taken(Leaps(SECOND), [("A", 1), ("A", 9_000), ("A", 9_001), ("A", 9_002)]) == [
        ("A", 1), ("A", 9_000), ("A", 9_001), ("A", 9_002),
    ]  # fmt: skip


def test_whose_others_are_silent_is_believed_after_a_minute() -> None:
    rows = [("A", 1), ("B", 1), *(("A", 9_000 + i) for i in range(70))]
    assert taken(Leaps(SECOND), rows[:63]) == rows[:2]
    assert taken(Leaps(SECOND), rows) == rows
    fast = [("A", 1), ("B", 1), *[("A", 9_000)] * (MOST_HELD + 1)]
    assert taken(Leaps(SECOND), fast) == fast


def test_a_clock_that_is_always_ahead_confirms_nothing() -> None:
    """C's is two hours ahead of A's and B's, and it is heard more often than they."""
    times = [(symbol, 1_000 + i + 7_200 * (symbol == "C")) for i in range(200) for symbol in ("A", "C", "C", "B", "C")]
    assert taken(Leaps(SECOND), times) == [one for one in times if one[0] != "C"]


def test_another_recording_begins_anew_and_is_lost_in_nothing() -> None:
    first, second = seconds(60, TWO, 1, start_s=500_000), seconds(60, TWO, 2)
    stage = PortfolioStage(SMALL)
    before = play(stage, first)
    again = play(stage, second)
    fresh = play(PortfolioStage(SMALL), second)
    assert told(again) == told([replace(one, seq=one.seq + before[-1].seq) for one in fresh])


def test_a_doubt_of_a_far_time_moves_no_clock_and_is_one_at_once() -> None:
    rows = seconds(60, TWO)
    stage, last = PortfolioStage(SMALL), rows[-1][3]
    play(stage, rows)
    assert stage.take(Status("v", "B-USD", 1, last + YEARS_NS, last + 1, "GAP", "lost")) == []
    (waiting,) = play(stage, [("v", "A-USD", 100.0, last + SECOND)])
    assert waiting.reason.startswith("B-USD has no price for 1")


def test_a_doubt_after_a_night_stays_behind_the_price_it_is_of() -> None:
    """B's price after the night waits to be confirmed while its book falls in doubt: it is in doubt then, too."""
    rows = seconds(60, THREE)
    stage, night = PortfolioStage(SMALL), rows[-1][3] + NIGHT_NS
    play(stage, rows)
    assert play(stage, [("v", "B-USD", 500.0, night)]) == []
    assert stage.take(Status("v", "B-USD", 1, night + 1, night + 2, "GAP", "lost")) == []
    found = play(stage, [("v", s, 100.0, night + i * SECOND) for i in (1, 2) for s in ("A-USD", "C-USD")])
    assert found[-1].state == "WAITING"
    assert "B-USD" in found[-1].absent


def with_leaps(seed: int) -> list[Row]:
    rows = seconds(30, THREE, seed) + seconds(20, THREE, seed + 1, start_s=50_000) + seconds(15, THREE, seed + 2)
    return [(v, s, p, ts + (YEARS_NS if i % 17 == 5 else 0)) for i, (v, s, p, ts) in enumerate(rows)]


@given(seed=st.integers(0, 99), cut=st.integers(0, 195))
@example(seed=0, cut=91)
@settings(max_examples=5, deadline=None)
def test_universes_go_on_from_their_state_amid_leaps_to_the_bit(seed: int, cut: int) -> None:
    def played(running: RunningUniverses, rows: list[Row]) -> list[bytes]:
        return [codec.encode(one) for v, s, p, ts in rows for one in running.on_price(v, s, p, ts, ts)]

    rows, running = with_leaps(seed), RunningUniverses([SMALL])
    whole = played(RunningUniverses([SMALL]), rows)
    before = played(running, rows[:cut])
    assert before + played(RunningUniverses.loaded(running.dump()), rows[cut:]) == whole
