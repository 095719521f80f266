"""Kraken's list of pairs: https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs (2026-11).

REST writes some coins otherwise than websocket v2 does (https://docs.kraken.com/api/docs/guides/spot-ws-intro: v2 has
BTC where REST and v1 have XBT).
"""

import msgspec

from producers.exchanges.listings import Listing, Listings, decimals, once, step
from producers.exchanges.reading import decoded
from quicksilver.errors import FrameError

COINS = {"XBT": "BTC", "XDG": "DOGE"}


class _Pair(msgspec.Struct):
    wsname: str = ""
    lot_decimals: int | None = None
    ordermin: str | None = None
    tick_size: str | None = None
    pair_decimals: int | None = None
    status: str = "online"


class _Body(msgspec.Struct):
    error: list[str] = []
    result: dict[str, _Pair] = {}


_decode = msgspec.json.Decoder(_Body).decode


def read_asset_pairs(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of an ``AssetPairs`` body.

    Raises:
        FrameError: it is none.
    """
    read = decoded(_decode, body, "Kraken's AssetPairs")
    if read.error:
        raise FrameError(f"Kraken refuses: {', '.join(read.error)}")
    return once(_listing(one, venue) for one in read.result.values() if one.wsname.count("/") == 1)


def _listing(pair: _Pair, venue: str) -> Listing:
    coins = [COINS.get(coin, coin) for coin in pair.wsname.split("/")]
    tick_size = step(pair.tick_size) or decimals(pair.pair_decimals)
    lot_size, active = decimals(pair.lot_decimals), pair.status == "online"
    return Listing(venue, "-".join(coins).upper(), "/".join(coins), tick_size, lot_size, step(pair.ordermin), active)


ASSET_PAIRS = Listings("/0/public/AssetPairs", read_asset_pairs)
