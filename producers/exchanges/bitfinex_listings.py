"""Bitfinex's list of pairs, and what its coins are called.

https://docs.bitfinex.com/reference/rest-public-conf (2026-11):
One request gives three lists: pairs, futures (each with its details, of which the fourth is the least order), and the
coins that the API calls otherwise than people do. Prices have five significant digits, so there is no step of them;
amounts have eight decimal places.
"""

from decimal import Decimal
from typing import Any

import msgspec

from producers.exchanges.listings import Listing, Listings, once, step
from producers.exchanges.reading import decoded
from quicksilver.errors import FrameError

COINS = {"UST": "USDT"}  # where the venue's name is nobody else's, and its list of names is not known
_NATIVE = {ours: theirs for theirs, ours in COINS.items()}
AMOUNTS = Decimal("1e-8")
LEAST = 3  # the place of the least order in a pair's details
_Pair = tuple[str, list[Any]]

_decode = msgspec.json.Decoder(tuple[list[_Pair], list[_Pair], list[tuple[str, str]]]).decode


def read_pairs(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of a body of pairs, futures and names.

    Raises:
        FrameError: it is none.
    """
    pairs, futures, names = decoded(_decode, body, "Bitfinex's pairs")
    coins = COINS | {theirs: ours.upper() for theirs, ours in names if ours.isalnum()}
    return once(_listing(pair, details, coins, venue) for pair, details in (*pairs, *futures))


def _listing(pair: str, details: list[Any], coins: dict[str, str], venue: str) -> Listing:
    native = f"t{pair}"
    least = details[LEAST] if len(details) > LEAST else None
    if not isinstance(least, str | float | int | None):
        raise FrameError(f"not the least order of {pair[:40]!r}: {str(least)[:40]!r}")
    return Listing(venue, symbol_of(native, coins), native, None, AMOUNTS, step(least), True)


def symbol_of(native: str, coins: dict[str, str] = COINS) -> str:
    """Return ``BASE-QUOTE`` of a pair's name.

    >>> symbol_of("tBTCUSD"), symbol_of("tGTXUST"), symbol_of("tETH2X:ETH")
    ('BTC-USD', 'GTX-USDT', 'ETH2X-ETH')

    Raises:
        FrameError: it is none.
    """
    pair = native[1:].upper()
    base, colon, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:])
    if not (base and quote) or (not colon and len(pair) != 6):
        raise FrameError(f"not a Bitfinex pair: {native[:40]!r}")
    return f"{coins.get(base, base)}-{coins.get(quote, quote)}"


def native_of(symbol: str) -> str:
    """Return a pair's name at the venue.

    >>> native_of("BTC-USD"), native_of("GTX-USDT"), native_of("ETH2X-ETH")
    ('tBTCUSD', 'tGTXUST', 'tETH2X:ETH')
    """
    base, _, quote = symbol.partition("-")
    base, quote = _NATIVE.get(base, base), _NATIVE.get(quote, quote)
    return f"t{base}{':' if len(base) > 3 or len(quote) > 3 else ''}{quote}"


PAIRS = Listings("/v2/conf/pub:info:pair,pub:info:pair:futures,pub:map:currency:sym", read_pairs)
