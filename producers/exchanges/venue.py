"""The registry of venues: every module of this package that has a ``VENUE`` is one; the others are ccxt's."""

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from producers.exchanges.base import Parser, Reject
from producers.exchanges.ccxt_exchange import PREFIX, exchange_ids
from producers.exchanges.ccxt_feed import CcxtFeed
from producers.exchanges.ccxt_parser import CcxtParser
from producers.exchanges.feed import Feed
from producers.exchanges.listings import suggestion
from quicksilver.errors import InputError

SIMULATED = "sim"  # the venue's name of simulated data: it must never be taken for a real exchange's


class Venue(NamedTuple):
    """A venue's name, how its frames are read, and where they come from.

    ``others`` are feeds of the same books by another channel, asked for as ``NAME/WHICH``: ``orders`` order by order.
    """

    name: str
    parser: type[Parser]
    feed: type[Feed]
    others: Mapping[str, type[Feed]] = {}


@cache
def venues() -> dict[str, Venue]:
    """Return by name the venues that have a file of their own."""
    package = __name__.rpartition(".")[0]
    path = import_module(package).__path__
    modules = (import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path))
    known = [module.VENUE for module in modules if hasattr(module, "VENUE")]
    return {venue.name: venue for venue in known}


def venue_named(name: str) -> Venue:
    """Return a venue of our own, or one of ccxt's; ``ccxt:NAME`` or ``ccxt-NAME`` is ccxt's in any case.

    Raises:
        InputError: no such venue.
    """
    known = venues().get(name)
    if known is not None:
        return known
    through_ccxt = name.replace(":", "-")  # a colon would part venue and symbol in a topic's key
    if through_ccxt.removeprefix(PREFIX) in exchange_ids():
        return Venue(through_ccxt, CcxtParser, CcxtFeed)
    near = suggestion(through_ccxt.removeprefix(PREFIX), {*venues(), *exchange_ids()})
    all_ours = f"; there are {', '.join(sorted(venues()))}, and all that ccxt.pro has"
    raise InputError(f"unknown venue {name!r}{near or all_ours}")


def parser_of(name: str, reject: Reject) -> Parser:
    """Return a new parser for a venue, or for the built-in exchange, which speaks Kraken's protocol.

    Raises:
        InputError: no such venue.
    """
    return venue_named("kraken" if name == SIMULATED else name).parser(name, reject)


def feed_of(name: str, symbols: Sequence[str], url: str = "", rest_url: str = "") -> Feed:
    """Return a new feed of ``NAME``, or ``NAME/WHICH`` of its others, such as ``bitstamp/orders``.

    Its addresses are the venue's own where none is given.

    Raises:
        InputError: no such venue, or it has no such feed.
    """
    venue_name, slash, which = name.partition("/")
    venue = venue_named(venue_name)
    feed = venue.others.get(which) if slash else venue.feed
    if feed is None:
        there = sorted(f"{one.name}/{other}" for one in venues().values() for other in one.others)
        raise InputError(f"{venue.name} has no feed {which!r}; there are {', '.join(there)}")
    return feed(venue.name, symbols, url or None, rest_url or None)
