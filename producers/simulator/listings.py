"""What the simulated exchange lists, with Kraken's own decimal places."""

from collections.abc import Sequence
from random import Random

import msgspec

from quicksilver.errors import InputError

MIN_TICKS = 5_000  # a coarser price could not hold a thousand levels below it


class Listing(msgspec.Struct, frozen=True):
    """One symbol: ``volatility`` is a year's, of log returns; ``beta`` the correlation with the common factor.

    ``order_usd`` is the median value of an order. Decimal places are Kraken's of 2026-08
    (https://docs.kraken.com/api/docs/websocket-v2/instrument).

    Raises:
        InputError: the numbers do not make a market.
    """

    symbol: str
    price: float
    price_decimals: int
    qty_decimals: int
    volatility: float
    beta: float
    order_usd: float

    def __post_init__(self) -> None:
        if not self.price * 10**self.price_decimals >= MIN_TICKS:
            raise InputError(f"{self.symbol}: a price of {self.price} has fewer than {MIN_TICKS} ticks")
        if not (self.volatility > 0 and 0 <= self.beta <= 1 and self.order_usd > 0 and self.qty_decimals >= 0):
            raise InputError(f"{self.symbol}: volatility and order_usd must be above 0, beta in [0, 1]")


LISTINGS: dict[str, Listing] = {
    listing.symbol: listing
    for listing in (
        Listing("BTC/USD", 64_000.0, 1, 8, 0.50, 0.92, 5_000.0),
        Listing("ETH/USD", 3_200.0, 2, 8, 0.65, 0.88, 4_000.0),
        Listing("SOL/USD", 150.0, 2, 8, 0.85, 0.80, 2_500.0),
        Listing("XRP/USD", 0.52, 5, 8, 0.80, 0.70, 2_000.0),
        Listing("ADA/USD", 0.45, 6, 8, 0.85, 0.72, 1_500.0),
        Listing("DOGE/USD", 0.12, 7, 8, 0.95, 0.72, 1_500.0),
    )
}


def listed(symbols: Sequence[str | Listing] | None) -> list[Listing]:
    """Return the listings meant by names or given as such; all of ``LISTINGS`` for None.

    Raises:
        InputError: a name is not listed, is there twice, or there is none.
    """
    if symbols is None:
        return list(LISTINGS.values())
    unknown = [one for one in symbols if isinstance(one, str) and one not in LISTINGS]
    if unknown:
        raise InputError(f"the simulator does not list {unknown[0]}; it lists {', '.join(LISTINGS)}")
    found = [LISTINGS[one] if isinstance(one, str) else one for one in symbols]
    if not found or len({one.symbol for one in found}) < len(found):
        raise InputError("the simulator needs one or more symbols, each once")
    return found


def listing_of(symbol: str) -> Listing:
    """Return a listing of any ``BASE-QUOTE``: that of the same coin if there is one, else one that is made up from it.

    >>> listing_of("BTC-USDT").price, listing_of("btc/usd") is LISTINGS["BTC/USD"]
    (64000.0, True)

    Raises:
        InputError: it is not two names.
    """
    name = symbol.strip().upper().replace("-", "/")
    base, slash, quote = name.partition("/")
    if not (base.isalnum() and slash and quote.isalnum()):
        raise InputError(f"not a symbol: {symbol!r}; write BASE-QUOTE, such as BTC-USD")
    if name in LISTINGS:
        return LISTINGS[name]
    same = next((one for one in LISTINGS.values() if one.symbol.startswith(f"{base}/")), None)
    if same is not None:
        return msgspec.structs.replace(same, symbol=name)
    rng = Random(base)
    return Listing(name, round(10 ** rng.uniform(0.0, 3.0), 4), 4, 6, rng.uniform(0.6, 1.2), 0.7, 1_500.0)
