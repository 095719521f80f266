"""What falls silent, is in doubt, or is old: it is no price and no view, from then on, and not before."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quicksilver import codec
from quicksilver.portfolio.config import Clock, PortfolioConfig
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.expectations import Expectations
from quicksilver.portfolio.prices import Quote
from quicksilver.portfolio.running import RunningUniverses
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import DataState, Frontier, Status
from tests.quicksilver.portfolio.test_stage import THREE, TWO, prediction
from tests.quicksilver.portfolio.ticks import CONFIG, SECOND, Row, good, play, prices, seconds

SMALL = replace(CONFIG, n_portfolios=60, window=16, resamples=10, n_frontier=8)


def doubt(symbol: str, ts_ns: int, state: DataState = "GAP", recv_ns: int | None = None) -> Status:
    return Status("v", symbol, 1, ts_ns, ts_ns if recv_ns is None else recv_ns, state, "lost")


def without(rows: list[Row], symbol: str, start_s: int, end_s: int) -> list[Row]:
    """The prices but those of a symbol in these seconds."""
    return [row for row in rows if row[1] != symbol or not start_s <= row[3] // SECOND < end_s]


@pytest.mark.parametrize("halflife", [20.0, 300.0])
def test_a_feed_that_falls_silent_is_no_asset_without_risk(halflife: float) -> None:
    """No word of its book's: prices just stop. It is worth no more for that; what it did meanwhile is unknown."""
    config = replace(SMALL, halflife=halflife, covariance="ewm", stale=5)
    rows = seconds(110, THREE)
    jumped = [(v, s, p * (1.5 if s == "C-USD" and ts >= 1_090 * SECOND else 1.0), ts) for v, s, p, ts in rows]
    frontiers = play(PortfolioStage(config), without(jumped, "C-USD", 1_060, 1_090))
    by_second = {one.ts_event_ns // SECOND: one for one in frontiers}
    truth = {one.ts_event_ns // SECOND: one for one in play(PortfolioStage(config), rows)}
    (waiting,) = [one for one in frontiers if one.state == "WAITING" and one.picks]
    assert waiting.ts_event_ns == 1_065 * SECOND
    assert waiting.reason.startswith("C-USD has no price for 6 s: all others wait for it until it is back or, after 60")
    assert waiting.absent == {"C-USD": "no price for 6 s"}
    assert set(by_second) & set(range(1_066, 1_091)) == set()
    for second in range(1_061, 1_110):
        if second in by_second:
            ours, theirs = by_second[second].picks["min_variance"], truth[second].picks["min_variance"]
            assert ours.weights[2] < theirs.weights[2] + 0.1
    back = by_second[1_091]
    assert (back.state, back.assets, back.absent) == ("LIVE", THREE, {})
    assert back.n_observations == by_second[1_064].n_observations
    assert by_second[1_109].picks["equal_weight"].risk_bps < 2.0  # the jump was in no return


def test_a_feed_that_never_comes_back_leaves_visibly() -> None:
    config = replace(SMALL, stale=5, leave=20)
    frontiers = play(PortfolioStage(config), without(seconds(90, THREE), "C-USD", 1_040, 2_000))
    states = {one.ts_event_ns // SECOND: one for one in frontiers}
    assert states[1_045].state == "WAITING"
    assert set(states) & set(range(1_046, 1_060)) == set()
    assert (states[1_060].state, states[1_060].assets) == ("LIVE", TWO)
    assert states[1_060].absent == {"C-USD": "no price for 21 s"}


def test_what_has_prices_seldom_by_nature_is_waited_for_longer() -> None:
    """C comes each eighth second: once that is known of it, nothing waits for it after five."""
    rows = [row for row in seconds(100, THREE) if row[1] != "C-USD" or row[3] // SECOND % 8 == 0]
    frontiers = play(PortfolioStage(replace(SMALL, stale=5)), rows)
    last = [one for one in frontiers if one.ts_event_ns >= 1_030 * SECOND]
    assert [one.ts_event_ns // SECOND for one in good(last)] == list(range(1_030, 1_100))
    assert {(tuple(one.assets), len(one.absent)) for one in last} == {(tuple(THREE), 0)}


def test_prices_that_all_pause_together_are_not_old() -> None:
    """A market that closes for the night: the return from its close to its opening is one."""
    rows = [(v, s, p, ts + (40 * SECOND if ts >= 1_030 * SECOND else 0)) for v, s, p, ts in seconds(60, TWO)]
    frontiers = play(PortfolioStage(replace(SMALL, stale=5)), rows)
    assert [one.state for one in frontiers] == ["WAITING"] * 2 + ["LIVE"] * (len(frontiers) - 2)
    assert frontiers[-1].n_observations == 98


def test_with_refresh_time_what_is_slow_sets_the_pace_and_is_never_old() -> None:
    rows = [row for row in seconds(100, THREE) if row[1] != "C-USD" or row[3] // SECOND % 30 == 0]
    frontiers = play(PortfolioStage(replace(SMALL, clock="refresh-time", stale=5, min_observations=2)), rows)
    assert [one.state for one in frontiers[2:]] == ["LIVE"] * (len(frontiers) - 2)
    assert frontiers[-1].assets == THREE


@pytest.mark.parametrize("state", ["GAP", "STALE"])
def test_a_price_in_doubt_or_stale_is_no_price(state: DataState) -> None:
    stage, rows = PortfolioStage(SMALL), seconds(60, TWO)
    play(stage, rows)
    stage.take(doubt("B-USD", rows[-1][3] + 5, state))
    (waiting,) = play(stage, [("v", "A-USD", 100.0, 1_060 * SECOND)])
    assert waiting.reason.startswith("B-USD has no price for 1 s")


@pytest.mark.parametrize("state", ["LIVE", "SYNCING"])
def test_other_states_change_nothing(state: DataState) -> None:
    stage, rows = PortfolioStage(SMALL), seconds(60, TWO)
    truth = play(PortfolioStage(SMALL), rows)
    before = play(stage, rows[:100])
    assert stage.take(doubt("B-USD", rows[-1][3] + 90 * SECOND, state)) == []
    assert before + play(stage, rows[100:]) == truth


@pytest.mark.parametrize("clock", get_args(Clock))
@given(seed=st.integers(0, 999), tick=st.integers(1_008, 1_016), late_ns=st.sampled_from([0, 1, SECOND // 3]))
@settings(max_examples=6, deadline=None)
def test_a_tick_knows_of_no_doubt_of_its_own_time_or_later(clock: Clock, seed: int, tick: int, late_ns: int) -> None:
    """Doubts of a time change no frontier of that time or before, whatever comes after them."""
    config, when = replace(SMALL, clock=clock), tick * SECOND + late_ns
    rows = prices(60, TWO, seed)
    truth, stage = play(PortfolioStage(config), rows), PortfolioStage(config)
    found = play(stage, [row for row in rows if row[3] < when])
    found += stage.take(doubt("B-USD", when))
    found += stage.take(doubt("A-USD", when + SECOND // 2))
    found += play(stage, [row for row in rows if row[3] >= when])
    known = [[replace(one, ts_recv_ns=0) for one in some if one.ts_event_ns <= when] for some in (found, truth)]
    assert known[0] == known[1]  # but for what ended the last period
    assert known[0][-1].ts_event_ns == tick * SECOND


def test_a_doubt_by_a_clock_that_is_hours_ahead_does_not_stop_ours() -> None:
    """A connection breaks: the time of that is the receiver's, whose clock may be wrong; prices' is the venue's."""
    ahead = 5 * 3_600 * SECOND
    rows = seconds(80, TWO)
    stage, found = PortfolioStage(SMALL), list[Frontier]()
    for v, s, p, ts in rows:
        found += stage.on_price(v, s, p, ts, ts + ahead)
        if ts == rows[100][3]:
            found += stage.take(doubt("A-USD", ts + ahead + SECOND // 10))
    ticks = [one.ts_event_ns // SECOND for one in found]
    assert ticks[-1] == 1_079
    assert len(good(found)) > 65


@given(seed=st.integers(0, 999), cut=st.integers(0, 120))
@settings(max_examples=4, deadline=None)
def test_universes_with_doubts_go_on_from_their_state_to_the_bit(seed: int, cut: int) -> None:
    rng, rows = np.random.default_rng(seed), without(seconds(45, THREE, seed), "C-USD", 1_020, 1_030)
    config = replace(SMALL, stale=3, mean="james-stein")

    def played(running: RunningUniverses, part: list[Row]) -> list[bytes]:
        found = list[Frontier]()
        for v, s, p, ts in part:
            found += running.on_price(v, s, p, ts, ts)
            if ts % 7 == 0:
                found += running.on_doubt(v, s, ts + int(rng.integers(2 * SECOND)), ts)
        return [codec.encode(one) for one in found]

    whole = played(RunningUniverses([config]), rows)
    rng = np.random.default_rng(seed)
    first = RunningUniverses([config])
    before = played(first, rows[:cut])
    assert before + played(RunningUniverses.loaded(first.dump()), rows[cut:]) == whole


def test_where_all_are_silent_that_is_said_once_and_nothing_else_changes() -> None:
    rows, config = seconds(60, TWO), replace(SMALL, stale=5)
    truth, stage = play(PortfolioStage(config), rows), PortfolioStage(config)
    before = play(stage, rows[:80])
    last_ns = rows[79][3]
    assert stage.on_silence(last_ns + 4 * SECOND) == []
    (silent,) = stage.on_silence(last_ns + 6 * SECOND)
    assert (silent.state, silent.reason) == (
        "WAITING", "no price of any instrument for 6 s: these portfolios are of before",
    )  # fmt: skip
    assert silent.absent == dict.fromkeys(TWO, "no price for 6 s")
    assert stage.on_silence(last_ns + 60 * SECOND) == []
    after = play(stage, rows[80:])
    assert [*before, *(replace(one, seq=one.seq - 1) for one in after)] == truth
    assert PortfolioStage(config).on_silence(last_ns) == []


def test_a_market_of_seldom_prices_is_not_silent_between_them() -> None:
    rows = [(v, s, p, 7 * ts) for v, s, p, ts in seconds(40, TWO)]
    stage = PortfolioStage(replace(SMALL, stale=5))
    play(stage, rows)
    assert stage.on_silence(rows[-1][3] + 20 * SECOND) == []
    assert len(stage.on_silence(rows[-1][3] + 40 * SECOND)) == 1


QUOTES = {"A-USD": Quote("v:A-USD", 1.0, 1, 0)}


def expected(told: Expectations, now_ns: int) -> float | None:
    mean, missing = told.mean(["A-USD"], QUOTES, now_ns)
    return None if missing else round(float(mean[0]) * 1e4, 6)


def test_of_the_views_that_still_count_the_nearest_horizon_is_taken() -> None:
    told = Expectations(SECOND, 0.5)
    told.take(prediction("A-USD", 0, 30.0, horizon_ns=30 * SECOND))
    told.take(prediction("A-USD", SECOND, 2.0, horizon_ns=2 * SECOND))
    assert expected(told, 2 * SECOND) == 1.0
    assert expected(told, 3 * SECOND) == 1.0
    assert expected(told, 4 * SECOND) == 1.0 * 30 / 30  # the nearer has fallen silent
    told.take(prediction("A-USD", 5 * SECOND, 60.0, horizon_ns=30 * SECOND))
    assert expected(told, 6 * SECOND) == 2.0
    assert expected(told, 36 * SECOND) is None


def test_a_view_promises_nothing_beyond_its_horizon() -> None:
    """Ten basis points in ten seconds are no sixty in a minute."""
    told = Expectations(60 * SECOND, 0.5)
    told.take(prediction("A-USD", 0, 10.0, horizon_ns=10 * SECOND))
    assert expected(told, SECOND) == 10.0
    told.take(prediction("A-USD", 0, 10.0, horizon_ns=50 * SECOND))
    assert expected(told, SECOND) == 10.0
    told.take(prediction("A-USD", 0, 10.0, horizon_ns=61 * SECOND))
    assert expected(told, SECOND) == round(10.0 * 60 / 61, 6)


def test_what_is_flagged_takes_away_the_view_of_its_own_horizon_alone() -> None:
    told = Expectations(SECOND, 0.5)
    told.take(prediction("A-USD", 0, 60.0, horizon_ns=30 * SECOND))
    told.take(prediction("A-USD", 0, 2.0, horizon_ns=2 * SECOND))
    told.take(prediction("A-USD", 1, 9.0, horizon_ns=2 * SECOND, flag="features from a gap"))
    assert expected(told, SECOND) == 2.0
    again = Expectations(SECOND, 0.5)
    again.load(told.dump())
    assert (expected(again, SECOND), again.dump()) == (2.0, told.dump())
    told.forget("v", "A-USD")
    assert expected(told, SECOND) is None


@st.composite
def markets(draw: st.DrawFn) -> list[Row]:
    """Prices at random times: huge, tiny, still, alike, jumping, none at all; each asset is silent for some time."""
    seed, n = draw(st.integers(0, 10_000)), draw(st.integers(20, 40))
    kinds = [draw(st.sampled_from(["plain", "huge", "tiny", "still", "twin", "wild"])) for _ in range(4)]
    rng = np.random.default_rng(seed)
    common, rows = np.cumsum(rng.normal(0, 1e-3, n)), list[Row]()
    for j, kind in enumerate(kinds):
        scale = {"wild": 5.0, "still": 0.0, "twin": 0.0}.get(kind, 1e-3)
        path = np.cumsum(rng.normal(0, 1.0, n)) * scale + (common if kind != "still" else 0.0)
        level = {"huge": 1e15, "tiny": 1e-15}.get(kind, 100.0)
        values = level * np.exp(np.clip(path, -80.0, 80.0))
        start, end = sorted(rng.integers(0, n, 2).tolist())
        bad = np.where(rng.random(n) < 0.05, rng.choice([np.nan, 0.0, -1.0, np.inf, 1e300], n), values)
        rows += [
            ("v", f"{'ABCD'[j]}-USD", float(bad[i]), (1_000 + i) * SECOND + int(rng.integers(SECOND)))
            for i in range(n)
            if not start <= i < end
        ]
    return sorted(rows, key=lambda row: row[3])


BUDGETS = st.sampled_from([Constraints(), Constraints(budget=0.7, cap=0.5), Constraints(floor=-0.2, cap=0.8)])


@pytest.mark.parametrize("clock", get_args(Clock))
@given(rows=markets(), constraints=BUDGETS, mean=st.sampled_from(["ewm", "james-stein"]), stale=st.integers(0, 12))
@settings(max_examples=12, deadline=None)
def test_whatever_prices_come_weights_sum_to_the_budget_and_who_is_away_is_told(
    clock: Clock, rows: list[Row], constraints: Constraints, mean: str, stale: int
) -> None:
    config: PortfolioConfig = replace(
        SMALL, clock=clock, constraints=constraints, mean=mean, stale=stale, leave=8, halflife=30.0
    )
    names = {row[1] for row in rows}
    for one in play(PortfolioStage(config), rows):
        if one.state == "LIVE":
            assert {*one.assets, *one.absent} <= names
            assert not set(one.assets) & set(one.absent)
        for pick in one.picks.values():
            assert sum(pick.weights) == pytest.approx(constraints.budget, abs=1e-9)
            told = [pick.mean_bps, pick.risk_bps, pick.sharpe, pick.mean_low_bps, pick.sharpe_low, pick.sharpe_high]
            assert np.isfinite([value for value in [*told, *pick.weights] if value is not None]).all()
        for weights in one.frontier_weights:
            assert sum(weights) == pytest.approx(constraints.budget, abs=1e-9)
        assert np.isfinite(np.array(one.frontier)).all()
        assert np.isfinite(np.array(one.cloud)).all()
        assert np.isfinite(np.array(one.correlation)).all()


@pytest.mark.parametrize("clock", get_args(Clock))
@given(seed=st.integers(0, 999), start=st.integers(1_015, 1_030), pause=st.integers(12, 25))
@settings(max_examples=3, deadline=None)
def test_an_asset_that_stops_leaves_visibly_and_returns(clock: Clock, seed: int, start: int, pause: int) -> None:
    rows = without(seconds(90, THREE, seed), "B-USD", start, start + pause)
    frontiers = play(PortfolioStage(replace(SMALL, clock=clock, stale=4, leave=8)), rows)
    out = [one for one in frontiers if start + 9 <= one.ts_event_ns // SECOND <= start + pause]
    assert {tuple(one.assets) for one in good(out)} == {("A-USD", "C-USD")}
    assert all("B-USD" in one.absent for one in out)
    assert frontiers[-1].assets == THREE
    assert frontiers[-1].absent == {}
