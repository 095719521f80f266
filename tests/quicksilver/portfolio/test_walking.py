"""The walk forward as a sceptic would try it: the future, the delay, assets that come and go, ruin, the interval."""

from typing import Any

import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.backtest import HOLD, Track, stood_in, walk
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.history import History
from quicksilver.portfolio.judging import judged, periods_a_year
from quicksilver.portfolio.listing import Plan, not_all_along
from quicksilver.portfolio.research import Question
from tests.quicksilver.portfolio.test_research import DAY_NS, market

FREE = Costs(0.0, 0.0, 0.0)


def without(history: History, asset: int, rows: slice) -> History:
    prices = history.prices.copy()
    prices[rows, asset] = np.nan
    return history._replace(prices=prices)


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_a_decision_reads_nothing_after_its_last_price_and_trades_after_the_delay(delay: int) -> None:
    """What is learnt ends at 60; the price there may change everything, any later one nothing that was decided."""
    history = market(4, 90)
    plan = Plan(60, 24, delay=delay, costs=FREE)
    before = walk(history, Question(), plan)
    traded = 60 + delay
    later = history.prices.copy()
    later[61:] *= np.random.default_rng(1).uniform(0.9, 1.1, later[61:].shape)
    after = walk(history._replace(prices=later), Question(), plan)
    for name, track in before.items():
        assert len(track.returns) == 89 - traded
        weights = []
        for prices, one in ((history.prices, track), (later, after[name])):
            grown = (prices[traded + 1 :] / prices[traded])[:24]
            weights.append(np.linalg.lstsq(grown, np.cumprod(1 + one.returns)[:24], rcond=None)[0])
        np.testing.assert_allclose(weights[0], weights[1], atol=1e-9)  # the same portfolio was bought in both
        assert weights[0].sum() == pytest.approx(1.0, abs=1e-9)


def test_a_delisted_asset_is_cash_from_its_last_price_on_and_the_test_goes_on() -> None:
    history = without(market(3, 140), 1, slice(85, None))
    tracks = walk(history, Question(), Plan(60, 20, costs=FREE))
    held = np.vstack([history.prices[:85], np.tile(history.prices[84], (55, 1))])
    held[:, [0, 2]] = history.prices[:, [0, 2]]
    grown = (held / held[60]).mean(axis=1)[61:]
    np.testing.assert_allclose(np.cumprod(1 + tracks[HOLD].returns), grown, rtol=1e-12)
    equal = tracks["equal_weight"]
    assert len(equal.returns) == 79
    assert np.isfinite(equal.returns).all()
    two = (history.prices[121:] / history.prices[120])[:, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(np.cumprod(1 + equal.returns[60:]), two, rtol=1e-12)
    lost = walk(history, Question(), Plan(60, 20, costs=FREE, delisted=1.0))[HOLD]
    assert np.cumprod(1 + lost.returns)[-1] == pytest.approx((grown[-1] * 3 - held[84, 1] / held[60, 1]) / 3)
    assert not_all_along(history, Plan(60, 20)) == [
        "A1-USD has no price after 1970-03-27T00:00:00: what is held of it is cash from then on"
    ]


def test_what_is_left_of_it_earns_what_cash_earns() -> None:
    """An asset that has stood still and is delisted is worth no other than cash from then on."""
    prices = market(2, 140).prices
    prices[:, 1] = prices[0, 1]
    prices[85:, 1] = np.nan
    history = market(2, 140)._replace(prices=prices)
    track = walk(history, Question(cash=1e-3), Plan(60, 20, costs=FREE))[HOLD]
    grown = prices[61:, 0] / prices[60, 0] + 1.001 ** np.maximum(np.arange(61, 140) - 85, 0)
    np.testing.assert_allclose(np.cumprod(1 + track.returns), grown / 2, rtol=1e-12)


def test_a_pick_that_stands_in_for_another_is_told() -> None:
    """Prices that rise for some time and fall thereafter: there is no Sharpe ratio above 0 any more."""
    history, plan = market(3, 200), Plan(60, 20, costs=FREE)
    slope = np.where(np.arange(200) < 120, 0.01, -0.03)[:, None]
    falling = history._replace(prices=history.prices * np.exp(slope.cumsum(axis=0)))
    fallen = [bool((falling.prices[at] <= falling.prices[at - 60]).all()) for at in range(60, 199, 20)]
    assert (sum(fallen), fallen[0], fallen[-1]) == (3, False, True)
    assert stood_in(walk(falling, Question(), plan), Question()) == [
        "max_sharpe: at 3 of 7 rebalancings no feasible mean was above cash, and min_variance stood in"
    ]
    assert stood_in(walk(history, Question(cash=-0.5), plan), Question()) == []


def test_its_sale_is_paid_for_at_the_next_rebalancing() -> None:
    history = without(market(3, 140), 1, slice(85, None))
    track = walk(history, Question(), Plan(60, 20, costs=Costs(10.0, 0.0, 0.0)))["equal_weight"]
    drifted = (1 + np.zeros(3)) / 3 * history.prices[80] / history.prices[60]
    drifted /= drifted.sum()
    rebalanced = np.full(3, 1 / 3)
    ended = rebalanced * np.array([history.prices[100, i] if i != 1 else history.prices[84, 1] for i in range(3)])
    ended /= history.prices[80]
    ended /= ended.sum()
    assert track.turnover[1] == pytest.approx(np.abs(rebalanced - drifted).sum())
    assert track.turnover[2] == pytest.approx(np.abs(np.array([0.5, 0.0, 0.5]) - ended).sum())
    assert track.costs[2] == pytest.approx(track.turnover[2] * 1e-3)


def test_a_late_asset_joins_with_a_window_of_prices_and_changes_nothing_before() -> None:
    whole, late = market(4, 200), without(market(4, 200), 3, slice(None, 70))
    three = History(whole.assets[:3], whole.times_ns, whole.prices[:, :3])
    plan = Plan(60, 20)
    found, alone = walk(late, Question(), plan), walk(three, Question(), plan)
    joins = 140  # the first rebalancing with 61 prices of it
    for name, track in found.items():
        ours, theirs = track.returns[: joins - 60], alone[name].returns[: joins - 60]
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)
    assert (found["equal_weight"].returns[joins - 60 :] != alone["equal_weight"].returns[joins - 60 :]).all()
    assert len(not_all_along(late, plan)) == 1
    limits = Constraints(floors={"A3": 0.3}, groups={"g": Group(("A0", "A3"), None, 0.8)}, turnover=0.5)
    assert np.isfinite(walk(late, Question(constraints=limits), plan)["min_variance"].returns).all()
    with pytest.raises(InputError, match="no asset 'A9'"):
        walk(late, Question(constraints=Constraints(floors={"A9": 0.3})), plan)
    with pytest.raises(InputError, match=r"at 1970-03-03T00:00:00: no portfolio of 3 assets keeps all of these"):
        walk(late, Question(constraints=Constraints(cap=0.3)), plan)


def test_assets_that_are_never_listed_together_are_refused() -> None:
    history = without(without(market(2, 200), 0, slice(80, None)), 1, slice(None, 80))
    with pytest.raises(InputError, match="no two assets have prices at 62 moments in a row"):
        walk(history, Question(), Plan(60, 20))


def test_who_is_ruined_stays_ruined() -> None:
    """Short of what rises twentyfold, the money is gone, though the price falls back."""
    history = market(3, 130)
    prices = history.prices.copy()
    prices[70:75, 0] *= 20.0
    question = Question(constraints=Constraints(floor=-0.5, cap=1.5, floors={"A0": -0.5}, caps={"A0": -0.4}))
    track = walk(history._replace(prices=prices), question, Plan(60, 20))["min_variance"]
    wealth = np.cumprod(1 + track.returns)
    assert len(wealth) == 69
    assert (wealth[:9] > 0.0).all()
    assert (wealth[9:] == 0.0).all()
    assert (track.returns[10:] == 0.0).all()
    one = judged("x", track, 0.0, 365.0, 1)
    assert (one.total_return, one.annual_return, one.max_drawdown) == (-1.0, -1.0, 1.0)


def figures(returns: FloatArray, a_year: float) -> Any:
    return judged("x", Track(returns, np.array([1.0]), np.array([0.0])), 0.0, a_year, seed=3)


def test_a_year_of_minutes_and_of_a_lucky_hour_is_a_number() -> None:
    one = figures(np.full(60, 0.01), 525_960.0)
    assert np.isfinite(one.annual_return)
    assert np.isfinite(figures(np.array([0.01]), 365.0).annual_return)


@pytest.mark.parametrize("n", [1, 60, 61, 1000])
@pytest.mark.parametrize("gain", [0.01, 0.003, -1e-4])
def test_what_always_gains_the_same_has_no_sharpe_ratio(n: int, gain: float) -> None:
    """Rounding leaves a deviation of 1e-18 of such returns, by which the ratio would be 10^15."""
    wealth = np.cumprod(np.full(n, 1.0 + gain))
    for returns in (np.full(n, gain), wealth / np.append(1.0, wealth[:-1]) - 1.0):
        one = figures(returns, 365.0)
        assert (one.sharpe, one.sharpe_low, one.sharpe_high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(np.arange(731), 365.25), (np.array([d for d in range(1461) if d % 7 < 5]), 365.25 * 5 / 7)],
)
def test_a_year_has_as_many_periods_as_there_are(days: Any, expected: float) -> None:
    history = History(["A", "B"], DAY_NS * (days + 1), np.ones((len(days), 2)))
    assert periods_a_year(history) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("persistence", [0.0, 0.3])
def test_the_interval_holds_the_true_sharpe_ratio_about_as_often_as_it_says(persistence: float) -> None:
    rng, held, n = np.random.default_rng(0), 0, 30
    for _ in range(n):
        noise = rng.normal(0.0, 0.01, 500)
        for i in range(1, 500):
            noise[i] += persistence * noise[i - 1]
        deviation = 0.01 / np.sqrt(1 - persistence**2)
        one = figures(0.1 * deviation + noise, 1.0)
        held += one.sharpe_low <= 0.1 <= one.sharpe_high
    assert held >= 0.8 * n  # 95 % is the promise of long samples; without blocks the second would be far below
