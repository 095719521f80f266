"""What is refused of an order list that is asked for, each in a sentence, and what the orders then go by."""

import math
from collections.abc import Iterable
from decimal import Decimal

from fastapi import HTTPException

from api.order_forms import Wanted
from api.picks import PickRow
from api.prices import Lot, Quote, Quotes
from producers.exchanges.listings import suggestion
from quicksilver.events import SECOND_NS
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.prices import LEAST_PRICE, currencies, spoken
from quicksilver.portfolio.rebalancing import MOST_MONEY

LEAST_AGE_S = 60.0  # frontiers up to this age are new enough, or up to OLD_PERIODS
OLD_PERIODS = 2
LEAST_LOT = Decimal("1e-12")
ROUNDING = 1e-6  # weights may sum to so much more than 1: they come rounded
STAYS = "these orders lead to what the universe holds: give `wanted` for what would be best without costs"


def required_age(row: PickRow, wanted: Wanted, now_ns: int) -> tuple[float, float]:
    """Return how old frontier and prices may be, and how old the frontier is; HTTP 409 if that is too old."""
    if row.computed_ns is None or not row.assets:
        raise HTTPException(409, f"{row.universe} has no frontier yet: {row.reason or 'it is waiting'}")
    age_s = round((now_ns - row.computed_ns) / 1e9, 3)
    allowed_s = wanted.max_age_s
    if row.state == "WAITING" and allowed_s is None:
        raise HTTPException(
            409,
            f"{row.universe} is waiting ({row.reason}): its last good frontier is {_spoken(age_s)} old;"
            f" give max_age_s of {math.ceil(age_s)} or more to use it",
        )
    if allowed_s is None:
        allowed_s = max(LEAST_AGE_S, OLD_PERIODS * row.period_ns / 1e9)
    if age_s > allowed_s:
        raise HTTPException(
            409,
            f"the frontier of {row.universe} is {_spoken(age_s)} old, more than {_spoken(allowed_s)};"
            f" wait for a newer one, or give max_age_s of {math.ceil(age_s)} or more",
        )
    return allowed_s, age_s


def _spoken(seconds: float) -> str:
    return spoken(round(seconds) * SECOND_NS)


def target_of(row: PickRow, wanted: Wanted) -> tuple[dict[str, float], str]:
    """Return the target weights by asset, and what is to be said of them."""
    if wanted.weights is not None:
        require_assets(row, wanted.weights, "weights")
        given = {name: _share(value, name) for name, value in wanted.weights.items()}
        if sum(given.values()) > 1.0 + ROUNDING:
            raise HTTPException(422, f"the weights sum to {sum(given.values()):g}: at most 1, the rest stays cash")
        return dict.fromkeys(row.assets, 0.0) | given, ""
    pick = row.picks.get(wanted.pick)
    if pick is None:
        stand_in = f"{wanted.pick}_fallback"
        instead = f"; {stand_in} stands in for it now: ask for that by its name" if stand_in in row.picks else ""
        raise HTTPException(422, f"no pick {wanted.pick!r}; there are {', '.join(row.picks)}{instead}")
    invested = sum(pick.weights)
    if invested > 1.0 + ROUNDING:
        raise HTTPException(
            422,
            f"{wanted.pick} invests {invested:g} of the money: orders are made without borrowing, so ask for weights of"
            " at most 1",
        )
    weights, note = pick.weights, pick.note
    if pick.wanted is not None and wanted.wanted:
        weights = pick.wanted
    elif pick.wanted is not None:
        note = "; ".join(filter(None, [note, STAYS]))
    found = dict(zip(row.assets, weights, strict=True))
    short = [name for name, weight in found.items() if weight < -ROUNDING]
    if short:
        raise HTTPException(422, f"{wanted.pick} sells {short[0]} short: orders are made for long-only portfolios only")
    return {name: max(0.0, weight) for name, weight in found.items()}, note


def require_assets(row: PickRow, named: Iterable[str], what: str) -> None:
    """Refuse assets that the universe has not, or has no longer."""
    for name in named:
        if name in row.absent:
            raise HTTPException(
                422, f"{what}: {name} has left {row.universe} ({row.absent[name]}); leave it out, it is not traded"
            )
        if name not in row.assets:
            like = suggestion(name, row.assets)
            there = ", ".join(row.assets)
            raise HTTPException(422, f"{what}: {row.universe} has no asset {name!r}; there are {there}{like}")


def amount(value: Decimal, what: str) -> Decimal:
    """Return an amount of units or money; HTTP 422 if it is none."""
    if not value.is_finite() or not 0 <= value <= Decimal(MOST_MONEY):
        raise HTTPException(422, f"{what}: {value} is no amount; give a number from 0 to {MOST_MONEY:g}")
    return value


def _share(value: Decimal, asset: str) -> float:
    if not value.is_finite() or not 0 <= value <= 1:
        raise HTTPException(422, f"the weight of {asset}: {value} is no share of the money; give a number from 0 to 1")
    return float(value)


def require_one_currency(assets: Iterable[str]) -> None:
    """Refuse to add up money of several currencies."""
    mixed = currencies(assets)
    if len(mixed) > 1:
        raise HTTPException(
            422, f"prices are in {' and '.join(mixed)}, which cannot be added up: give prices of all in one currency"
        )


def require_prices(wanted: Wanted) -> None:
    """Refuse what is no price, also of assets that are not traded now."""
    for asset, given in wanted.prices.items():
        if not given.is_finite() or not Decimal(LEAST_PRICE) <= given <= Decimal(MOST_MONEY):
            raise HTTPException(422, f"prices: {given} is no price of {asset}")


def price(row: PickRow, wanted: Wanted, quotes: Quotes, asset: str, now_ns: int, allowed_s: float) -> Quote:
    """Return the price to go by; HTTP 409 where none is new enough."""
    given = wanted.prices.get(asset)
    if given is not None:
        return Quote(float(given), now_ns, "given")
    found = quotes.newest(row, asset)
    if found is None:
        raise HTTPException(409, f"there is no price of {asset} here: give one in prices")
    age_s = (now_ns - found.ts_ns) / 1e9
    if age_s > allowed_s:
        enough = f"max_age_s of {math.ceil(age_s)} or more"
        raise HTTPException(409, f"the price of {asset} is {_spoken(age_s)} old: give one in prices, or {enough}")
    return found


def require_lots(wanted: Wanted) -> None:
    """Refuse what is no lot, also of assets that are not traded now, and a default that no asset needs now."""
    named = {f"lot_sizes of {asset}": size for asset, size in wanted.lot_sizes.items()}
    for what, size in {**named, "default_lot": wanted.default_lot}.items():
        if not size.is_finite() or not LEAST_LOT <= size <= Decimal(MOST_MONEY):
            raise HTTPException(422, f"{what}: {size} is no lot; give a number from {LEAST_LOT} to {MOST_MONEY:g}")


def lot(row: PickRow, wanted: Wanted, quotes: Quotes, asset: str) -> Lot:
    """Return the lot to go by: the given one, the venue's, or the default."""
    given = wanted.lot_sizes.get(asset)
    found = quotes.lot(row, asset)
    if given is None and found is not None:
        return found
    size = wanted.default_lot if given is None else given
    least = found.least if found else Decimal(0)
    return Lot(size, least, "default" if given is None else "given")


def costs(row: PickRow, wanted: Wanted) -> Costs:
    """Return the costs to go by: the universe's own (the usual ones, of a row from before they were told), or given."""
    own = row.costs or Costs()
    return Costs(
        own.fee_bps if wanted.fee_bps is None else wanted.fee_bps,
        own.spread_bps if wanted.spread_bps is None else wanted.spread_bps,
        own.impact_bps if wanted.impact_bps is None else wanted.impact_bps,
    )
