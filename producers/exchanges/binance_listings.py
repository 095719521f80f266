"""Binance's lists of symbols, of the spot market and the USD-M futures.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints#exchange-information and
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Exchange-Information
(2026-11). A quarterly future has the coins of the perpetual one; what its name has more is kept.
"""

import msgspec

from producers.exchanges.listings import Listing, Listings, once, step
from producers.exchanges.reading import decoded


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None
    min_qty: str | None = None


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    status: str = "TRADING"
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_decode = msgspec.json.Decoder(_ExchangeInfo).decode


def read_exchange_info(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of an ``exchangeInfo`` body.

    Raises:
        FrameError: it is none.
    """
    symbols = decoded(_decode, body, "Binance's exchangeInfo").symbols
    return once(_listing(one, venue) for one in symbols)


def _listing(one: _Symbol, venue: str) -> Listing:
    coins = f"{one.base_asset}{one.quote_asset}"
    more = one.symbol.removeprefix(coins) if one.symbol.startswith(coins) else ""
    filters = {found.filter_type: found for found in one.filters}
    none = _Filter("")
    price, lot = filters.get("PRICE_FILTER", none), filters.get("LOT_SIZE", none)
    return Listing(
        venue, f"{one.base_asset}-{one.quote_asset}{more}".upper(), one.symbol, step(price.tick_size),
        step(lot.step_size), step(lot.min_qty), one.status == "TRADING",
    )  # fmt: skip


EXCHANGE_INFO = Listings("/api/v3/exchangeInfo", read_exchange_info)
FUTURES_INFO = Listings("/fapi/v1/exchangeInfo", read_exchange_info)
ANY_INFO = Listings("/exchangeInfo", read_exchange_info)  # for tapes have it from other versions of the API as well
