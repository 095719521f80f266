"""The live stage: a frontier a tick, whoever comes and goes, and a sentence where there is none."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quicksilver import codec
from quicksilver.errors import StateError
from quicksilver.portfolio.config import Clock, LiveCovariance, LiveMean, PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.estimators import Estimators, estimate
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import Frontier, Prediction
from tests.quicksilver.portfolio.ticks import CONFIG, SECOND, Row, good, play, prices, seconds

TWO, THREE = ["A-USD", "B-USD"], ["A-USD", "B-USD", "C-USD"]


def test_a_frontier_each_tick_once_enough_is_known() -> None:
    frontiers = play(PortfolioStage(CONFIG), prices(100, THREE))
    assert [one.seq for one in frontiers] == list(range(1, len(frontiers) + 1))
    begin, first, last = frontiers[1], frontiers[2], frontiers[-1]
    assert (begin.state, begin.assets, begin.picks, begin.ts_computed_ns) == ("WAITING", [], {}, 0)
    assert begin.reason == (
        "a frontier needs two assets or more with 5 returns; none of 3 has them: not before 1970-01-01 00:16:46 UTC"
    )
    assert first.ts_event_ns == (16 * 60 + 46) * SECOND
    assert begin.absent == dict.fromkeys(THREE, "0 of 5 returns")
    assert first.n_observations == 5
    assert last.assets == THREE
    assert set(last.picks) >= {"min_variance", "equal_weight"}
    assert last.ts_event_ns == last.ts_computed_ns
    assert last.ts_event_ns % SECOND == 0
    assert len(last.frontier) == len(last.frontier_weights)
    assert len(last.cloud) == 50
    assert len(good(frontiers)) == len(frontiers) - 2


def test_a_frontier_says_what_it_is_of() -> None:
    rows = seconds(20, TWO)
    constraints = Constraints(cap=0.9, current={"B-USD": 0.4})
    config = replace(
        CONFIG, covariance="denoised", mean="james-stein", constraints=constraints, costs=Costs(1.0, 2.0, 3.0), hold=7,
        band=0.1, cash=1e-6, aversion=2.0, window=40,
    )  # fmt: skip
    last = play(PortfolioStage(config), rows)[-1]
    assert last.prices == [rows[-4][2], rows[-3][2]]  # of before the tick
    assert last.ages_ns == [SECOND - 1000, SECOND - 2000]
    assert last.held == [0.0, 0.4]
    assert last.estimators == {"covariance": "denoised", "mean": "james-stein", "clock": "previous-tick"}
    assert (last.halflife, last.risk, last.absent, last.reason) == (300.0, "variance", {}, "")
    assert last.sources == ["v:A-USD", "v:B-USD"]
    assert (last.costs, last.hold, last.band) == (config.costs, 7, 0.1)
    assert (last.constraints, last.cash, last.aversion, last.window) == (constraints, 1e-6, 2.0, 40)


@pytest.mark.parametrize("covariance", get_args(LiveCovariance))
def test_the_correlations_are_those_of_the_same_returns_at_once(covariance: LiveCovariance) -> None:
    rows = seconds(80, THREE)
    config = replace(CONFIG, covariance=covariance, halflife=1e9)
    last = play(PortfolioStage(config), rows)[-1]
    grid = np.array([price for _, _, price, _ in rows]).reshape(80, 3)[:-1]
    found = estimate(np.diff(np.log(grid), axis=0), Estimators(covariance, halflife=1e9))
    deviations = np.sqrt(np.diag(found.covariance))
    np.testing.assert_allclose(last.correlation, found.covariance / np.outer(deviations, deviations), atol=2e-6)
    weight = np.full(3, 1 / 3)
    risk = float(np.sqrt(weight @ found.covariance @ weight)) * 1e4
    assert last.picks["equal_weight"].risk_bps == pytest.approx(risk, rel=1e-6)
    assert last.n_observations == 78


configs = st.builds(
    lambda clock, covariance, mean, halflife: replace(
        CONFIG, clock=clock, covariance=covariance, mean=mean, halflife=halflife, leave=8, window=16, n_portfolios=60
    ),
    st.sampled_from(get_args(Clock)), st.sampled_from(get_args(LiveCovariance)),
    st.sampled_from(get_args(LiveMean)), st.sampled_from([1.0, 30.0, 86_400.0]),
)  # fmt: skip


def shaken(rows: list[Row], seed: int) -> list[Row]:
    """Prices that stop for some time, come from another venue, or are none."""
    rng, out = np.random.default_rng(seed), list[Row]()
    away = {symbol: sorted(rng.integers(0, len(rows), 2).tolist()) for symbol in THREE}
    for i, (venue, symbol, price, ts) in enumerate(rows):
        start, end = away[symbol]
        if start <= i < end:
            continue
        told = price
        match rng.integers(40):
            case 0:
                told = float(rng.choice([np.nan, 0.0, -3.0, np.inf, 1e300, 1e-300]))
            case 1:
                told = price * float(rng.choice([1e-9, 1e9]))
        out.append(("w" if rng.random() < 0.05 else venue, symbol, told, ts))
    return out


@given(config=configs, seed=st.integers(0, 10_000), cut=st.integers(0, 150))
@settings(max_examples=12, deadline=None)
def test_dump_and_load_go_on_to_the_bit(config: PortfolioConfig, seed: int, cut: int) -> None:
    rows = shaken(seconds(50, THREE, seed), seed)
    whole = play(PortfolioStage(config), rows)
    first, second = PortfolioStage(config), PortfolioStage(config)
    before = play(first, rows[:cut])
    second.load(first.dump())
    assert second.dump() == first.dump()
    assert [codec.encode(one) for one in before + play(second, rows[cut:])] == [codec.encode(one) for one in whole]


def test_a_state_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StateError, match="another configuration"):
        PortfolioStage().load(PortfolioStage(CONFIG).dump())
    with pytest.raises(StateError, match="not a saved"):
        PortfolioStage().load(b"junk")


@given(config=configs, seed=st.integers(0, 10_000), twin=st.booleans(), stable=st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_update_ever_yields_weights_that_do_not_sum_to_the_budget(
    config: PortfolioConfig, seed: int, twin: bool, stable: bool
) -> None:
    rows = shaken(seconds(60, THREE, seed), seed)
    rows += [(v, "A2-USD", p, ts + 5) for v, s, p, ts in rows if s == "A-USD" and twin]
    rows += [(v, "USDT-USD", 1.0, ts + 7) for v, s, _, ts in rows if s == "B-USD" and stable]
    frontiers = play(PortfolioStage(config), sorted(rows, key=lambda row: row[3]))
    for one in frontiers:
        assert one.reason or one.state == "LIVE"
        assert not set(one.assets) & set(one.absent) or one.state == "WAITING"
        for pick in one.picks.values():
            assert sum(pick.weights) == pytest.approx(1.0, abs=1e-9)
            assert min(pick.weights) >= 0.0
            assert np.isfinite([pick.mean_bps, pick.risk_bps, pick.sharpe]).all()
        for weights in one.frontier_weights:
            assert sum(weights) == pytest.approx(1.0, abs=1e-5)
        assert np.isfinite(one.frontier).all()
        assert np.isfinite(np.array(one.correlation)).all()


def test_a_tick_reads_no_price_of_its_own_time_or_later() -> None:
    rows = prices(60, TWO)
    changed = [(v, s, p * (3.0 if i == len(rows) - 1 else 1.0), ts) for i, (v, s, p, ts) in enumerate(rows)]
    assert play(PortfolioStage(CONFIG), rows) == play(PortfolioStage(CONFIG), changed)


def test_bad_prices_silence_and_time_going_back_are_harmless() -> None:
    stage = PortfolioStage(CONFIG)
    rows = prices(60, TWO)
    last = good(play(stage, rows))[-1]
    for price in (float("nan"), -1.0, 0.0, float("inf")):
        stage.on_price("v", "A-USD", price, rows[-1][3] + SECOND, 0)
    assert play(stage, [("v", "A-USD", 100.0, 1)]) == []
    late_ns = rows[-1][3] + 10_000 * SECOND
    (after,) = play(stage, [("v", symbol, 100.0, late_ns) for symbol in TWO])
    assert (after.state, after.ts_computed_ns, after.picks) == ("WAITING", last.ts_event_ns + SECOND, after.picks)
    assert after.absent["B-USD"] == "no price for 2.78 h"
    assert after.absent["A-USD"].endswith("3 that came were none, such as inf")
    assert after.n_observations < 100  # ten thousand silent seconds are a break, not ten thousand zero returns


def test_one_symbol_on_several_venues_is_an_asset_each_until_there_are_two_symbols() -> None:
    stage = PortfolioStage(CONFIG)
    rows = [(venue, s, p, ts) for _, s, p, ts in prices(90, ["A-USD"]) for venue in ("x", "y")]
    assert play(stage, rows)[-1].assets == ["x:A-USD", "y:A-USD"]
    later = [("x", s, p, ts + 400 * SECOND) for _, s, p, ts in prices(60, TWO)]
    assert play(stage, later)[-1].assets == TWO


def test_one_asset_only_is_told_once() -> None:
    _, only = play(PortfolioStage(CONFIG), seconds(50, ["A-USD"]))
    assert (only.state, only.reason) == ("WAITING", "a frontier needs two assets or more; there is v:A-USD")


def test_an_asset_that_is_awaited_and_unknown_says_so() -> None:
    stage = PortfolioStage(replace(CONFIG, assets=(*TWO, "DOGE-USD")))
    frontiers = play(stage, seconds(30, THREE))
    assert frontiers[-1].assets == TWO
    assert frontiers[-1].absent == {"DOGE-USD": "no price yet"}


def test_a_broken_feed_is_no_asset_without_risk() -> None:
    """While a price is in doubt nothing is computed, which is told once; the return across the doubt is not taken."""
    stage, rows = PortfolioStage(CONFIG), seconds(60, TWO)
    before = play(stage, rows)[-1]
    stage.forget("v", "B-USD")
    alone = [row for row in seconds(20, TWO, 2, start_s=1_060) if row[1] == "A-USD"]
    (waiting,) = play(stage, alone)
    assert waiting.state == "WAITING"
    assert waiting.reason.startswith("B-USD has no price for 1 s: all others wait for it")
    assert "after 60 s, out" in waiting.reason
    assert (waiting.picks, waiting.ts_computed_ns) == (before.picks, before.ts_event_ns)
    assert waiting.absent == {"B-USD": "no price for 1 s"}
    after = play(stage, [(v, s, p * (2.0 if s == "B-USD" else 1.0), ts) for v, s, p, ts in seconds(30, TWO, 3, 1_080)])
    assert good(after)[0].assets == TWO
    assert good(after)[0].n_observations <= before.n_observations + 1  # none across the pause
    risks = [one.picks["equal_weight"].risk_bps for one in (before, after[-1])]
    assert risks[1] == pytest.approx(risks[0], rel=0.2)


def test_another_venue_stands_in_and_its_other_price_is_no_return() -> None:
    stage = PortfolioStage(CONFIG)
    both = [(v, s, p * (1.05 if v == "w" else 1.0), ts) for _, s, p, ts in prices(60, TWO) for v in "vw"]
    before = play(stage, both)[-1]
    stage.forget("v", "A-USD")
    later = [(v, s, p, ts + 60 * SECOND) for v, s, p, ts in both if (v, s) != ("v", "A-USD")]
    after = good(play(stage, later))
    assert after[-1].assets == before.assets
    assert (before.sources, after[-1].sources) == (["v:A-USD", "v:B-USD"], ["w:A-USD", "v:B-USD"])
    assert after[-1].n_observations > before.n_observations
    assert max(one.picks["equal_weight"].risk_bps for one in after) < 2 * before.picks["equal_weight"].risk_bps


def test_an_asset_that_stops_leaves_visibly_and_returns_and_the_others_go_on_untouched() -> None:
    """No word of the book's: its prices just stop. After ``leave`` periods it is out, and back after a warm-up."""
    config = replace(CONFIG, leave=10)
    rows = seconds(120, THREE)
    with_pause = [row for row in rows if row[1] != "C-USD" or not 1_040 <= row[3] // SECOND < 1_080]
    frontiers = {one.ts_event_ns // SECOND: one for one in play(PortfolioStage(config), with_pause)}
    assert all(one.state == "LIVE" for s, one in frontiers.items() if s > 1_010)
    assert frontiers[1_049].assets == THREE
    assert frontiers[1_049].ages_ns[2] == 10 * SECOND - 3000
    assert frontiers[1_050].absent == {"C-USD": "no price for 11 s"}
    assert frontiers[1_080].absent == {"C-USD": "no price for 41 s"}
    assert [frontiers[s].absent.get("C-USD") for s in (1_081, 1_082, 1_085)] == [
        "0 of 5 returns", "1 of 5 returns", "4 of 5 returns",
    ]  # fmt: skip
    assert frontiers[1_086].assets == THREE
    alone = {
        one.ts_event_ns // SECOND: one
        for one in play(PortfolioStage(config), [row for row in rows if row[1] != "C-USD"])
    }
    for s in (1_055, 1_085):
        assert frontiers[s].assets == TWO
        assert frontiers[s].picks == alone[s].picks
    pair = [frontiers[1_119].correlation[0][1], alone[1_119].correlation[0][1]]
    assert pair[0] == pytest.approx(pair[1], abs=0.05)  # but for the intensity of shrinkage, which is of all three


def test_a_new_asset_waits_and_the_others_keep_all_that_is_known_of_them() -> None:
    rows = [row for row in seconds(100, THREE) if row[1] != "C-USD" or row[3] >= 1_080 * SECOND]
    config = replace(CONFIG, covariance="ewm")
    frontiers = {one.ts_event_ns // SECOND: one for one in play(PortfolioStage(config), rows)}
    assert (frontiers[1_083].assets, frontiers[1_083].absent) == (TWO, {"C-USD": "2 of 5 returns"})
    assert frontiers[1_083].n_observations == 82
    joined = frontiers[1_086]
    assert (joined.assets, joined.absent, joined.n_observations) == (THREE, {}, 5)
    alone = {one.ts_event_ns // SECOND: one for one in play(PortfolioStage(config), [r for r in rows if r[1] in TWO])}
    assert joined.correlation[0][1] == pytest.approx(alone[1_086].correlation[0][1], abs=0.02)


def test_with_refresh_time_a_slow_asset_sets_the_pace() -> None:
    """C has a price every third second: then there is one frontier in three seconds, and means are still of one."""
    rows = [row for row in seconds(100, THREE) if row[1] != "C-USD" or row[3] // SECOND % 3 == 0]
    frontiers = good(play(PortfolioStage(replace(CONFIG, clock="refresh-time", halflife=1e9)), rows))
    ticks = [one.ts_event_ns // SECOND for one in frontiers]
    assert set(np.diff(ticks)) == {3}
    last = frontiers[-1]
    began = {"A-USD": 1_001, "B-USD": 1_001, "C-USD": 1_003}  # C's first price is of second 1,002
    path = {s: [p for _, symbol, p, ts in rows if symbol == s and ts < last.ts_event_ns] for s in THREE}
    means = [np.log(path[s][-1] / path[s][0]) * 1e4 / (ticks[-1] - began[s]) for s in THREE]
    assert last.picks["equal_weight"].mean_bps == pytest.approx(np.mean(means), rel=1e-6)
    calm = good(play(PortfolioStage(replace(CONFIG, halflife=1e9)), seconds(100, THREE)))[-1]
    assert last.picks["equal_weight"].risk_bps == pytest.approx(calm.picks["equal_weight"].risk_bps, rel=0.3)


def test_constraints_that_exclude_each_other_are_named_and_end_nothing() -> None:
    config = replace(CONFIG, constraints=Constraints(cap=0.4))
    rows = seconds(60, THREE)
    without = [row for row in rows if row[1] != "C-USD" or row[3] >= 1_030 * SECOND]
    frontiers = play(PortfolioStage(config), without)
    assert [one.reason for one in frontiers[1:3]] == [
        "a frontier needs two assets or more with 5 returns; none of 2 has them: not before 1970-01-01 00:16:46 UTC",
        "no portfolio of 2 assets keeps all of these: budget 1, cap 0.4; the caps sum to 0.8: allow 0.5 or more of"
        " each",
    ]  # fmt: skip
    assert good(frontiers)[0].assets == THREE
    assert frontiers[-1].state == "LIVE"


def test_prices_in_several_currencies_are_told() -> None:
    last = play(PortfolioStage(CONFIG), seconds(30, ["BTC-USD", "ETH-EUR", "SOL-USD"]))[-1]
    assert last.state == "LIVE"
    assert last.reason == "prices are in EUR and USD, whose moves against each other no return here has"


def test_what_constraints_ask_of_an_absent_asset_is_left_out_visibly() -> None:
    constraints = Constraints(
        floors={"C-USD": 0.1, "A": 0.05}, caps={"C-USD": 0.5}, current={"C-USD": 0.3, "B-USD": 0.2},
        groups={"top": Group(("B-USD", "C-USD"), floor=0.3), "gone": Group(("C-USD",), floor=0.1)},
    )  # fmt: skip
    config = replace(CONFIG, assets=tuple(THREE), constraints=constraints)
    last = play(PortfolioStage(config), seconds(30, TWO))[-1]
    assert last.state == "LIVE"
    assert last.reason == "C-USD is absent: its constraints do not count"
    assert last.held == [0.0, 0.2]


def test_a_universe_of_hours_says_from_its_first_price_on_that_it_is_there_and_until_when_it_waits() -> None:
    hour, start_s = 3600, 1_600_000_000 - 1_600_000_000 % 3600
    stage = PortfolioStage(replace(CONFIG, period_ns=hour * SECOND))
    at_ns = [(start_s + 600 + i * hour) * SECOND for i in range(8)]
    (said,) = stage.on_price("v", "A-USD", 100.0, at_ns[0], at_ns[0] + 1)
    assert (said.state, said.seq, said.ts_event_ns, said.ts_recv_ns) == ("WAITING", 1, at_ns[0], at_ns[0] + 1)
    assert said.reason == (
        "the first period of 60 min ends at 2020-09-13 13:00:00 UTC; a frontier needs two assets or more with 5"
        " returns: not before 2020-09-13 18:00:00 UTC"
    )
    assert (said.assets, said.picks, said.ts_computed_ns) == ([], {}, 0)
    again = PortfolioStage(stage.config)
    again.load(stage.dump())  # as after a restart within that hour
    later = [("v", symbol, 100.0 + i % 3, ts) for i, ts in enumerate(at_ns) for symbol in TWO]
    (waits, *found) = play(again, later)
    assert waits.reason == (
        "a frontier needs two assets or more with 5 returns; none of 2 has them: not before 2020-09-13 18:00:00 UTC"
    )
    assert (found[0].state, found[0].ts_event_ns) == ("LIVE", (start_s + 6 * hour) * SECOND)  # 18:00


@pytest.mark.parametrize(("period_s", "needed"), [(0.001, 2), (366 * 86_400, 10**9)])
def test_the_shortest_and_the_longest_wait_can_be_told(period_s: float, needed: int) -> None:
    config = replace(CONFIG, period_ns=round(period_s * SECOND), min_observations=needed)
    for ts_ns in (0, 2**63 - 1):
        (said,) = play(PortfolioStage(config), [("v", "A-USD", 1.0, ts_ns)])
        assert "not before " in said.reason


@pytest.mark.parametrize("period_s", [1, 60, 3600, 86_400])
@pytest.mark.parametrize("halflife", [1.0, 300.0, 86_400.0])
def test_any_period_and_halflife_work(period_s: int, halflife: float) -> None:
    config = replace(CONFIG, period_ns=period_s * SECOND, halflife=halflife)
    rows = [(v, s, p, 1_600_000_000 * SECOND + (ts - 1_000 * SECOND) * period_s) for v, s, p, ts in seconds(40, THREE)]
    frontiers = good(play(PortfolioStage(config), rows))
    assert len(frontiers) == 34
    assert frontiers[-1].period_ns == period_s * SECOND
    assert 0.2 < frontiers[-1].picks["equal_weight"].risk_bps < 2.0


def prediction(symbol: str, ts: int, move_bps: float | None, p_up: float = 0.3, **changes: object) -> Prediction:
    one = Prediction(
        "v", symbol, 1, ts, ts, 2 * SECOND, "m", "1", 0.7 - p_up, 0.3, p_up, 0, 0.0, "live", "", move_bps
    )  # fmt: skip
    return replace(one, **changes)


def test_expected_returns_from_predictions_are_of_one_period() -> None:
    config = replace(CONFIG, mean="predictions")
    stage, rows = PortfolioStage(config, threshold_bps=0.5), seconds(40, THREE)
    play(stage, rows[:-3])
    now = rows[-3][3] - 2 * SECOND // 2
    stage.take(prediction("A-USD", now, 3.0))
    stage.take(prediction("A-USD", now, 9.0, horizon_ns=30 * SECOND))  # further from a period
    stage.take(prediction("A-USD", now, 9.0, role="shadow"))
    stage.take(prediction("B-USD", now, None, p_up=0.6))
    stage.take(prediction("C-USD", now - 2 * SECOND, 5.0))  # old
    (one,) = play(stage, rows[-3:])
    assert one.reason == "no live prediction of C-USD: a mean of 0 stands in"
    expected = np.array([3.0, (0.6 - 0.1) * 0.5, 0.0]) / 2
    for pick in one.picks.values():
        assert pick.mean_bps == pytest.approx(float(expected @ pick.weights), rel=1e-9)
    assert one.estimators["mean"] == "predictions"


def test_without_predictions_all_means_are_nothing_and_it_says_so() -> None:
    stage, rows = PortfolioStage(replace(CONFIG, mean="predictions")), seconds(40, TWO)
    play(stage, rows[:-2])
    stage.take(prediction("A-USD", rows[-3][3], 3.0))
    stage.take(prediction("A-USD", rows[-3][3] + 1, 3.0, flag="features from a gap"))
    last: Frontier = play(stage, rows[-2:])[-1]
    assert last.reason == "no live prediction of A-USD, B-USD: a mean of 0 stands in"
    assert "max_sharpe_fallback" in last.picks


def test_a_stage_goes_on_with_its_moments_under_other_constraints() -> None:
    rows = seconds(60, THREE)
    capped = replace(CONFIG, constraints=Constraints(floor=0.0, cap=0.9))
    stage = PortfolioStage(CONFIG)
    play(stage, rows[:90])
    changed = stage.reconfigured(capped)
    truth = play(PortfolioStage(capped), rows)
    assert changed.config == capped
    assert [one.picks for one in play(changed, rows[90:])] == [one.picks for one in truth[-30:]]


def test_the_frontier_begins_at_the_exact_least_variance() -> None:
    last = play(PortfolioStage(CONFIG), prices(100, THREE))[-1]
    calm = last.picks["min_variance"]
    assert last.frontier[0] == (round(calm.risk_bps, 6), round(calm.mean_bps, 6))
    assert last.frontier_weights[0] == pytest.approx(calm.weights, abs=1e-6)
    means = [mean for _, mean in last.frontier]
    assert means == sorted(means)


def test_other_constraints_that_exclude_each_other_too_are_told_anew() -> None:
    rows = seconds(60, TWO)
    stage = PortfolioStage(replace(CONFIG, constraints=Constraints(cap=0.3)))
    play(stage, rows[:80])
    (word,) = play(stage.reconfigured(replace(CONFIG, constraints=Constraints(cap=0.4))), rows[80:])
    assert (word.state, "the caps sum to 0.8" in word.reason) == ("WAITING", True)
