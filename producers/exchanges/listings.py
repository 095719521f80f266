"""What a venue lists: the names of its symbols, and the steps in which they are priced and sized.

Each venue says it by REST, in its own words; a pure function beside the venue's parser reads them. The feed learns from
it which symbols there are, feed and parser what they are called. Where it cannot be had, names are guessed.
"""

from collections.abc import Callable, Collection, Iterable
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from quicksilver.errors import FrameError

NEAR = 3  # names that are offered in place of one that there is not
LIKE = 0.7  # how like they must be, from 0 to 1


class Listing(msgspec.Struct, frozen=True):
    """One symbol of a venue.

    ``native`` is what its websocket calls it. ``tick_size`` is the step of prices, in the quote currency; ``lot_size``
    that of sizes and ``min_size`` the least size of an order, in the base currency; None: the venue sets none, or not
    in these terms. ``active``: orders are matched now.
    """

    venue: str
    symbol: str
    native: str
    tick_size: Decimal | None
    lot_size: Decimal | None
    min_size: Decimal | None
    active: bool


class Listings(NamedTuple):
    """Where a venue's list is, below its REST address, and how its bytes are read (they, and the venue's name).

    ``read`` raises FrameError for bytes that are no such list.
    """

    path: str
    read: Callable[[bytes, str], list[Listing]]


def unlisted(venue: str, symbol: str, listed: Collection[str]) -> str:
    """Return what to say of a symbol that the venue does not list: what it may have been meant for.

    >>> unlisted("kraken", "BTC-USDX", ["BTC-USD", "BTC-USDT", "DOGE-EUR"])
    'kraken lists no BTC-USDX; did you mean BTC-USD or BTC-USDT?'
    """
    turned = "-".join(reversed(symbol.upper().split("-")))
    meant = f"; did you mean {turned}?" if turned in listed else suggestion(symbol.upper(), listed)
    return f"{venue} lists no {symbol}{meant or f'; `quicksilver symbols {venue}` prints what it lists'}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the question whether a name like it was meant, to be put behind a sentence; nothing if none is like it.

    >>> suggestion("BTC-UDST", ["BTC-USDT", "BTC-USD", "ETH-EUR"]), suggestion("btc", ["BTC-USD"])
    ('; did you mean BTC-USD or BTC-USDT?', '')
    """
    near = sorted(get_close_matches(name, list(known), NEAR, LIKE))
    if not near:
        return ""
    *others, last = near
    return f"; did you mean {', '.join(others) + ' or ' if others else ''}{last}?"


def once(listings: Iterable[Listing]) -> list[Listing]:
    """Return the listings, each symbol once: the active one of two that share a name, else the first.

    Raises:
        FrameError: there is none at all.
    """
    found: dict[str, Listing] = {}
    for one in listings:
        known = found.get(one.symbol)
        if known is None or (one.active and not known.active):
            found[one.symbol] = one
    if not found:
        raise FrameError("a list of symbols without one")
    return list(found.values())


def step(text: str | float | None) -> Decimal | None:
    """Return a step of prices or sizes, as the venue writes it; None where it writes none, or 0.

    >>> step("0.010"), step("0"), step(None)
    (Decimal('0.010'), None, None)

    Raises:
        FrameError: it is no number.
    """
    if text is None or text == "":
        return None
    try:
        found = Decimal(str(text))
    except InvalidOperation as error:
        raise FrameError(f"not a step of prices or sizes: {str(text)[:40]!r}") from error
    if not found.is_finite() or found < 0:
        raise FrameError(f"not a step of prices or sizes: {str(text)[:40]!r}")
    return found or None


def decimals(places: int | None) -> Decimal | None:
    """Return the step of numbers with so many decimal places.

    >>> decimals(2), decimals(0)
    (Decimal('0.01'), Decimal('1'))

    Raises:
        FrameError: no number has so many.
    """
    if places is None:
        return None
    if not -30 <= places <= 30:
        raise FrameError(f"{places} decimal places")
    return Decimal(1).scaleb(-places)
