"""The registry of venues: every module of this package that has a ``VENUE`` is one."""

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from producers.exchanges.base import Parser, Reject
from producers.exchanges.feed import Feed
from quicksilver.errors import InputError

ORDERS = "/orders"
"""Behind a venue's name: its books order by order, as in ``bitstamp/orders``."""


class Venue(NamedTuple):
    """A venue's name, how its frames are read, and where they come from: in price levels, and order by order."""

    name: str
    parser: type[Parser]
    feed: type[Feed]
    orders: type[Feed] | None = None


@cache
def venues() -> dict[str, Venue]:
    """Return all venues by name."""
    package = __name__.rpartition(".")[0]
    path = import_module(package).__path__
    modules = (import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path))
    known = [module.VENUE for module in modules if hasattr(module, "VENUE")]
    return {venue.name: venue for venue in known}


def parser_of(name: str, reject: Reject) -> Parser:
    """Return a new parser for a venue.

    Raises:
        InputError: no such venue.
    """
    try:
        return venues()[name].parser(name, reject)
    except KeyError:
        raise InputError(f"no parser for venue {name!r}; there are {', '.join(sorted(venues()))}") from None


def feed_of(name: str, symbols: Sequence[str], rest_url: str = "") -> Feed:
    """Return a new feed of a venue; of all its orders where ``ORDERS`` follows the name.

    Raises:
        InputError: no such venue, or it has no such feed.
    """
    venue = venues().get(name.removesuffix(ORDERS))
    if venue is None:
        raise InputError(f"unknown venue {name!r}; there are {', '.join(sorted(venues()))}")
    feed = venue.orders if name.endswith(ORDERS) else venue.feed
    if feed is None:
        able = ", ".join(sorted(one.name + ORDERS for one in venues().values() if one.orders))
        raise InputError(f"{venue.name} does not give its books order by order; there are {able}")
    return feed(venue.name, symbols, rest_url=rest_url or None)
