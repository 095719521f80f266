"""Orders that lead from holdings to a pick of a frontier."""

from decimal import Decimal

from fastapi import HTTPException

from api import order_checks as checks
from api.order_forms import Order, Orders, Wanted
from api.picks import PickRow
from api.prices import Lot, Quote, Quotes
from quicksilver.errors import InputError
from quicksilver.portfolio.rebalancing import Position, Rebalanced, Trade, rebalance


def ordered(row: PickRow, wanted: Wanted, quotes: Quotes, now_ns: int) -> Orders:
    """Return the orders; HTTP 409 where the state of things forbids any, 422 where what is asked is wrong."""
    allowed_s, age_s = checks.required_age(row, wanted, now_ns)
    target, note = checks.target_of(row, wanted)
    held = {name: checks.amount(value, f"holdings of {name}") for name, value in wanted.holdings.items()}
    for what, named in (("holdings", held), ("prices", wanted.prices), ("lot_sizes", wanted.lot_sizes)):
        checks.require_assets(row, named, what)
    checks.require_prices(wanted)
    checks.require_lots(wanted)
    cash = float(checks.amount(wanted.cash, "cash"))
    used = [name for name in row.assets if target[name] or held.get(name)]
    checks.require_one_currency(name for name in used if name not in wanted.prices)
    prices = {name: checks.price(row, wanted, quotes, name, now_ns, allowed_s) for name in used}
    lots = {name: checks.lot(row, wanted, quotes, name) for name in used}
    positions = [
        Position(name, held.get(name, Decimal(0)), target[name], prices[name].price, lots[name].size, lots[name].least)
        for name in used
    ]
    costs = checks.costs(row, wanted)
    try:
        done = rebalance(positions, cash, costs, wanted.band, wanted.min_trade)
    except InputError as error:
        raise HTTPException(422, str(error)) from error
    none = dict.fromkeys(row.assets, 0.0)
    return Orders(
        universe=row.universe, pick=None if wanted.weights is not None else wanted.pick, seq=row.seq, age_s=age_s,
        note=note, orders=[_order(one, prices[one.asset], lots[one.asset], now_ns) for one in done.trades],
        not_traded=done.left, weights_before=none | done.before, weights_after=none | done.after,
        weights_target=target, value=done.value, turnover=_turnover(done), cost=done.cost,
        cost_bps=done.cost / done.value * 1e4, cash_left=done.cash,
        costs={"fee_bps": costs.fee_bps, "spread_bps": costs.spread_bps, "impact_bps": costs.impact_bps},
    )  # fmt: skip


def _turnover(done: Rebalanced) -> float:
    return sum(one.notional for one in done.trades) / done.value


def _order(one: Trade, quote: Quote, lot: Lot, now_ns: int) -> Order:
    age_s = None if quote.source == "given" else round((now_ns - quote.ts_ns) / 1e9, 3)
    return Order(
        **one._asdict(), price=quote.price, price_of=quote.source, price_age_s=age_s, lot_size=float(lot.size),
        lot_of=lot.source,
    )  # fmt: skip
