"""From what is held to the weights of a portfolio: a list of orders in whole lots, and what they will cost.

Sales come first, and purchases get what they bring: are they more than there is, all shrink by the same factor. Each
trade is rounded towards none, so that no order sells more than is held, or buys past its target.
"""

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Literal, NamedTuple

import numpy as np

from quicksilver.errors import InputError
from quicksilver.portfolio.costs import Costs

MOST_MONEY = 1e15  # of a portfolio: beyond, a double has no cents
HEADROOM = 1e-9  # of the cash that stays unspent: sums of doubles err by less
SNAP = 1e-12  # of an amount: 0.19999999999999996 are two lots of 0.1; well within the headroom
DIGITS = 15  # of units: so many of any number does a double keep, in which orders are told
LOT_DIGITS = 6  # of a lot: of one with more, such as 0.30000000000000004, too little of an order might be left
LONG = Context(prec=80)  # digits: the smallest lots of the cheapest coins, in the largest portfolio
HALVINGS = 60  # of the factor that purchases shrink by: then it is known to the last bit


class Position(NamedTuple):
    """One asset: the ``units`` held, the wanted weight ``target``, and how it trades.

    ``price`` is of a unit, in the currency of the cash. Orders are whole multiples of ``lot`` units, and of ``least``
    units at least.
    """

    asset: str
    units: Decimal
    target: float
    price: float
    lot: Decimal
    least: Decimal = Decimal(0)

    @property
    def value(self) -> float:
        """Return what is held, in money."""
        return float(self.units) * self.price


class Trade(NamedTuple):
    """One order that is to be given: ``notional`` and expected ``cost`` are in the currency of the cash."""

    asset: str
    side: Literal["sell", "buy"]
    units: Decimal
    notional: float
    cost: float


class Rebalanced(NamedTuple):
    """Orders, sales first, each side in the order of the positions; what is not traded though it differs, and why.

    Weights, by asset, are shares of all money before and after the orders. ``cash`` is what is left, ``cost`` what the
    orders cost together.
    """

    trades: list[Trade]
    left: dict[str, str]
    before: dict[str, float]
    after: dict[str, float]
    value: float
    cash: float
    cost: float


def rebalance(
    positions: Sequence[Position], cash: float, costs: Costs, band: float = 0.0, min_trade: float = 0.0
) -> Rebalanced:
    """Return the orders that lead from the positions and ``cash`` to the target weights.

    A weight that is off by less than ``band`` stays, unless its sale has to pay for what is bought; those that are off
    by most are sold first then. What would be an order of less than ``min_trade`` money is none.

    Raises:
        InputError: there is no money, or more than can be counted.
    """
    value = cash + sum(one.value for one in positions)
    if not 0.0 < value <= MOST_MONEY:
        raise InputError(f"holdings and cash are worth {value:g} together: give more than 0 and at most {MOST_MONEY:g}")
    wanted = {one.asset: one.target * value - one.value for one in positions}
    left: dict[str, str] = {}
    for one in positions:
        off = abs(wanted[one.asset]) / value
        if 0.0 < off < band:
            left[one.asset] = f"the weight is off by {off:.3%}, less than the band of {band:.3%}"
    for asset in _needed(wanted, left, cash):
        del left[asset]
    free = [one for one in positions if one.asset not in left]
    desk = _Desk(value, costs, min_trade, left)
    sales = desk.trades("sell", [(one, -wanted[one.asset]) for one in free if wanted[one.asset] < 0.0])
    cash += sum(one.notional - one.cost for one in sales)
    purchases = [(one, wanted[one.asset]) for one in free if wanted[one.asset] > 0.0]
    factor = desk.affordable([money for _, money in purchases], cash)
    bought = desk.trades("buy", purchases, factor)
    cash -= sum(one.notional + one.cost for one in bought)
    before = {one.asset: one.value / value for one in positions}
    return Rebalanced([*sales, *bought], left, before, _after(positions, sales, bought, cash), value, cash, desk.cost)


def _needed(wanted: Mapping[str, float], stays: Mapping[str, str], cash: float) -> list[str]:
    """Which of the assets that are to stay have to be sold all the same, for the others' purchases cost more."""
    lacking = sum(money for asset, money in wanted.items() if asset not in stays) - cash
    needed = list[str]()
    for asset in sorted((one for one in stays if wanted[one] < 0.0), key=lambda one: (wanted[one], one)):
        if lacking <= 0.0:
            break
        needed.append(asset)
        lacking += wanted[asset]
    return needed


class _Desk:
    """Makes orders of amounts of money; notes in ``left`` why one is none, adds up what they cost."""

    def __init__(self, value: float, costs: Costs, min_trade: float, left: dict[str, str]) -> None:
        self.cost = 0.0
        self._value, self._costs, self._min_trade, self._left = value, costs, min_trade, left

    def trades(
        self, side: Literal["sell", "buy"], asked: Sequence[tuple[Position, float]], factor: float = 1.0
    ) -> list[Trade]:
        """Return an order for each amount of money, times ``factor``, that makes one."""
        made = list[Trade]()
        for one, money in asked:
            units = _in_lots(one, side, money * factor)
            notional = float(units) * one.price
            why = self._too_little(one, units)
            if why:
                short = factor < 1.0 and not self._too_little(one, _in_lots(one, side, money))
                self._left[one.asset] = why + (", for there is not enough cash" if short else "")
            else:
                made.append(Trade(one.asset, side, units, notional, self.cost_of([notional])))
        self.cost += sum(one.cost for one in made)
        return made

    def _too_little(self, one: Position, units: Decimal) -> str:
        notional = float(units) * one.price
        if units == 0:
            return f"less than one lot of {one.lot.normalize():f}"
        if units < one.least:
            return f"{units.normalize():f} is less than the least order of {one.least.normalize():f}"
        if notional < self._min_trade:
            return f"an order of {notional:.2f} is less than the least of {self._min_trade:.2f}"
        return ""

    def cost_of(self, notionals: Sequence[float]) -> float:
        """Return what orders of so much money cost together."""
        return self._costs.of(np.array(notionals) / self._value) * self._value

    def affordable(self, notionals: Sequence[float], cash: float) -> float:
        """Return the largest factor, at most 1, by which the purchases and their costs are within the cash."""

        def spent(factor: float) -> float:
            scaled = [factor * one for one in notionals]
            return sum(scaled) + self.cost_of(scaled)

        most = max(0.0, cash) * (1.0 - HEADROOM)
        if spent(1.0) <= most:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if spent(middle) <= most else (low, middle)
        return low


def _in_lots(one: Position, side: Literal["sell", "buy"], money: float) -> Decimal:
    """Return the units of an amount of money, rounded down to whole lots; no more than is held, of a sale."""
    units = Decimal(repr(money / one.price * (1.0 + SNAP)))
    if side == "sell":
        units = one.units if one.target == 0.0 else min(units, one.units)
    return _told_exactly(LONG.divide_int(units, one.lot), one.lot)


def _told_exactly(lots: Decimal, lot: Decimal) -> Decimal:
    """Units of so many lots, or of a few less: what a double has no room for it might round up, past what is held."""
    size = LONG.multiply(lots, lot)
    if _digits(lot) > LOT_DIGITS:
        return size
    step = Decimal(1)
    while _digits(size) > DIGITS:
        step = step.scaleb(1)
        size = LONG.multiply(LONG.multiply(LONG.divide_int(lots, step), step), lot)
    return size


def _digits(number: Decimal) -> int:
    return len(number.normalize(LONG).as_tuple().digits)


def _after(
    positions: Sequence[Position], sales: Sequence[Trade], bought: Sequence[Trade], cash: float
) -> dict[str, float]:
    units = {one.asset: one.units for one in positions}
    for trade in sales:
        units[trade.asset] -= trade.units
    for trade in bought:
        units[trade.asset] += trade.units
    values = {one.asset: float(units[one.asset]) * one.price for one in positions}
    total = cash + sum(values.values())
    return {asset: value / total for asset, value in values.items()}
