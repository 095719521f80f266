"""Orders from holdings: what they are in known cases, and what must hold in all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksilver.errors import InputError
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.rebalancing import Position, Trade, rebalance

FREE = Costs(0.0, 0.0, 0.0)
LOT = Decimal("0.001")


def position(asset: str, units: str, target: float, price: float, lot: Decimal = LOT, least: str = "0") -> Position:
    return Position(asset, Decimal(units), target, price, lot, Decimal(least))


def test_sells_come_first_and_pay_for_what_is_bought() -> None:
    done = rebalance([position("A", "0", 0.5, 10.0), position("B", "10", 0.5, 20.0)], 0.0, FREE)
    assert [(one.asset, one.side, one.units) for one in done.trades] == [
        ("B", "sell", Decimal("5.000")),
        ("A", "buy", Decimal("9.999")),  # a billionth stays, so a lot is not bought
    ]
    assert done.before == {"A": 0.0, "B": 1.0}
    assert done.after == {"A": pytest.approx(0.49995), "B": pytest.approx(0.5)}
    assert done.cash == pytest.approx(0.01)
    assert done.cost == 0.0


def test_costs_are_those_of_the_cost_model_and_come_out_of_the_cash() -> None:
    costs = Costs(fee_bps=10.0, spread_bps=4.0, impact_bps=20.0)
    done = rebalance([position("A", "0", 0.25, 1.0, Decimal("1e-6"))], 1000.0, costs)
    (trade,) = done.trades
    assert trade.units == Decimal("250")
    assert trade.cost == pytest.approx(250.0 * (10.0 + 2.0 + 20.0 * 0.25) / 1e4)
    assert done.cash == pytest.approx(750.0 - trade.cost)
    assert done.cost == trade.cost


def test_a_whole_portfolio_is_bought_with_what_costs_leave() -> None:
    done = rebalance([position("A", "0", 1.0, 1.0, Decimal("1e-6"))], 1000.0, Costs(100.0, 0.0, 0.0))
    (trade,) = done.trades
    assert float(trade.units) == pytest.approx(1000.0 / 1.01, abs=2e-6)
    assert 0.0 <= done.cash < 1e-5


def test_what_is_no_longer_wanted_is_sold_but_for_a_rest_below_a_lot() -> None:
    done = rebalance([position("A", "0.3005", 0.0, 7.0), position("B", "0.3", 0.0, 7.0, Decimal("0.1"))], 0.0, FREE)
    assert done.trades == [
        Trade("A", "sell", Decimal("0.300"), 0.3 * 7.0, 0.0),
        Trade("B", "sell", Decimal("0.3"), 0.3 * 7.0, 0.0),
    ]
    assert done.after["A"] == pytest.approx(0.0005 * 7.0 / done.value)


def test_what_is_within_the_band_is_sold_as_far_as_purchases_need_it() -> None:
    """Ten assets a point over, by a little more each, and one far under, without any cash."""
    over = [position(f"A{i}", f"{9.9 + i / 100:.2f}", (9.9 + i / 100) / 100.0 - 0.01 - i / 1e4, 1.0) for i in range(10)]
    rest = 100.0 - sum(one.value for one in over)
    far = position("B", f"{rest:.2f}", 1.0 - sum(one.target for one in over), 1.0)
    done = rebalance([*over, far], 0.0, FREE, band=0.02)
    assert [one.asset for one in done.trades] == [*(one.asset for one in over), "B"]
    assert done.left == {}
    assert done.after["B"] == pytest.approx(far.target, abs=1e-4)
    less = far._replace(target=far.target - 0.05)  # the rest is to be cash
    half = rebalance([*over, less], 0.0, FREE, band=0.02)
    assert {one.asset for one in half.trades} == {"B", *(f"A{i}" for i in range(4, 10))}
    assert all("less than the band" in half.left[f"A{i}"] for i in range(4))


@pytest.mark.parametrize(
    ("one", "band", "min_trade", "why"),
    [
        (position("A", "1", 0.6, 1.0, Decimal("1")), 0.0, 0.0, "less than one lot of 1"),
        (position("A", "1", 0.6, 1.0, LOT, "0.5"), 0.0, 0.0, "0.2 is less than the least order of 0.5"),
        (position("A", "1", 0.6, 1.0), 0.0, 0.3, "an order of 0.20 is less than the least of 0.30"),
        (position("A", "1", 0.51, 1.0), 0.02, 0.0, "the weight is off by 1.000%, less than the band of 2.000%"),
    ],
)
def test_what_is_not_traded_says_why(one: Position, band: float, min_trade: float, why: str) -> None:
    done = rebalance([one], 1.0, FREE, band, min_trade)
    assert done.trades == []
    assert done.left == {"A": why}
    assert done.cash == 1.0


def test_a_purchase_that_shrank_below_a_lot_says_that_cash_is_short() -> None:
    held = position("B", "9", 0.1, 1.0, Decimal("100"))  # too coarse to be sold
    done = rebalance([position("A", "0", 0.9, 1.0, Decimal("2")), held], 1.0, FREE)
    assert done.left == {"B": "less than one lot of 100", "A": "less than one lot of 2, for there is not enough cash"}


def test_nothing_to_invest_is_refused() -> None:
    with pytest.raises(InputError, match="worth 0 together"):
        rebalance([position("A", "0", 1.0, 1.0)], 0.0, FREE)


lots = st.sampled_from([Decimal("1e-8"), Decimal("0.0001"), Decimal("0.1"), Decimal("1"), Decimal("25")])
holdings = st.one_of(st.just(0.0), st.floats(0.0, 1e6)).map(lambda one: Decimal(repr(one)))
prices = st.floats(1e-4, 1e6)


@st.composite
def portfolios(draw: st.DrawFn) -> list[Position]:
    n = draw(st.integers(1, 8))
    raw = [draw(st.one_of(st.just(0.0), st.floats(1e-3, 1.0))) for _ in range(n)]
    total = sum(raw) / draw(st.sampled_from([1.0, 1.0, 0.7])) or 1.0
    least = st.sampled_from([Decimal(0), Decimal("0.5")])
    return [Position(f"A{i}", draw(holdings), raw[i] / total, draw(prices), draw(lots), draw(least)) for i in range(n)]


@given(
    portfolios(),
    st.floats(0.0, 1e6),
    st.builds(Costs, st.floats(0.0, 200.0), st.floats(0.0, 200.0), st.floats(0.0, 200.0)),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.0, 10.0]),
)
def test_no_order_overspends_oversells_or_leads_away(
    positions: list[Position], cash: float, costs: Costs, band: float, min_trade: float
) -> None:
    if cash + sum(one.value for one in positions) <= 1e-6:
        return
    done = rebalance(positions, cash, costs, band, min_trade)
    by_name = {one.asset: one for one in positions}
    units = {one.asset: one.units for one in positions}
    assert done.cash >= 0.0
    purse = cash
    for trade in done.trades:  # given one after another, each can be paid for
        one = by_name[trade.asset]
        assert trade.units > 0
        assert trade.units % one.lot == 0
        assert trade.units >= one.least
        assert trade.notional >= min_trade
        units[trade.asset] += trade.units if trade.side == "buy" else -trade.units
        purse += (trade.notional if trade.side == "sell" else -trade.notional) - trade.cost
        assert purse >= -1e-12 * done.value
        assert units[trade.asset] >= 0
    assert purse == pytest.approx(done.cash, abs=1e-9 * done.value)
    assert not {trade.asset for trade in done.trades} & set(done.left)
    assert sum(done.after.values()) <= 1.0 + 1e-9
    off = [sum(abs(weights[one.asset] - one.target) for one in positions) for weights in (done.before, done.after)]
    traded = sum(trade.notional for trade in done.trades) / done.value
    assert off[1] <= off[0] - 0.9 * traded + 1e-9  # what costs take is at most a tenth of what is won


def test_units_are_told_in_a_double_as_they_are_and_are_never_more_than_is_held() -> None:
    held = "123456789012.12345678"  # the nearest double is 123456789012.12346
    (trade,) = rebalance([position("A", held, 0.0, 1e-6, Decimal("1e-8"))], 0.0, FREE).trades
    assert Decimal(repr(float(trade.units))) == trade.units == Decimal("123456789012.123")
    odd = Decimal("0.30000000000000004")
    (trade,) = rebalance([position("A", "0", 1.0, 1.0, odd)], 3.0, FREE).trades
    assert trade.units == 9 * odd
