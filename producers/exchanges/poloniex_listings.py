"""Poloniex's list of markets.

https://api-docs.poloniex.com/spot/api/public/reference-data#symbol-information (2026-11)
"""

import msgspec

from producers.exchanges.listings import Listing, Listings, decimals, once, step
from producers.exchanges.reading import decoded


class _Limit(msgspec.Struct, rename="camel"):
    price_scale: int | None = None
    quantity_scale: int | None = None
    min_quantity: str | None = None


class _Market(msgspec.Struct, rename="camel"):
    symbol: str
    state: str = "NORMAL"
    symbol_trade_limit: _Limit = msgspec.field(default_factory=_Limit)


_decode = msgspec.json.Decoder(list[_Market]).decode


def read_markets(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of a body of markets.

    Raises:
        FrameError: it is none.
    """
    markets = decoded(_decode, body, "Poloniex's markets")
    return once(_listing(one, venue) for one in markets if "_" in one.symbol)


def _listing(market: _Market, venue: str) -> Listing:
    limit = market.symbol_trade_limit
    tick_size, lot_size = decimals(limit.price_scale), decimals(limit.quantity_scale)
    symbol, active = market.symbol.replace("_", "-").upper(), market.state == "NORMAL"
    return Listing(venue, symbol, market.symbol, tick_size, lot_size, step(limit.min_quantity), active)


MARKETS = Listings("/markets", read_markets)
