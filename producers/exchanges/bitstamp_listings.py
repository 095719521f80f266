"""Bitstamp's list of markets: https://www.bitstamp.net/api/#tag/Market-info/operation/GetMarkets (2026-11).

The list that came before it, ``/api/v2/trading-pairs-info/``, is read as well: there ``url_symbol`` is the native name.
"""

import msgspec

from producers.exchanges.listings import Listing, Listings, decimals, once, step
from producers.exchanges.reading import decoded


class _Market(msgspec.Struct):
    name: str
    market_symbol: str = ""
    url_symbol: str = ""
    base_decimals: int | None = None
    counter_decimals: int | None = None
    minimum_order_amount: str | None = None  # in the base currency; ``minimum_order`` is in the other
    trading: str = "Enabled"


_decode = msgspec.json.Decoder(list[_Market]).decode


def read_markets(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of a body of markets.

    Raises:
        FrameError: it is none.
    """
    markets = decoded(_decode, body, "Bitstamp's markets")
    return once(_listing(one, venue) for one in markets if one.market_symbol or one.url_symbol)


def _listing(market: _Market, venue: str) -> Listing:
    symbol, native = market.name.replace("/", "-").upper(), market.market_symbol or market.url_symbol
    tick_size, lot_size = decimals(market.counter_decimals), decimals(market.base_decimals)
    least, active = step(market.minimum_order_amount), market.trading == "Enabled"
    return Listing(venue, symbol, native, tick_size, lot_size, least, active)


MARKETS = Listings("/api/v2/markets/", read_markets)
