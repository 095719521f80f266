"""The registry of venues: every module of this package that has a ``VENUE`` is one."""

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from producers.exchanges.base import Parser, Reject
from producers.exchanges.feed import Feed
from quicksilver.errors import InputError


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
    """Return a new feed of ``NAME``, or ``NAME/WHICH`` of its others, such as ``bitstamp/orders``.

    Its REST address is its own if none is given.

    Raises:
        InputError: no such venue, or it has no such feed.
    """
    venue_name, slash, which = name.partition("/")
    venue = venues().get(venue_name)
    if venue is None:
        raise InputError(f"unknown venue {name!r}; there are {', '.join(sorted(venues()))}")
    feed = venue.others.get(which) if slash else venue.feed
    if feed is None:
        there = sorted(f"{one.name}/{other}" for one in venues().values() for other in one.others)
        raise InputError(f"{venue.name} has no feed {which!r}; there are {', '.join(there)}")
    return feed(venue.name, symbols, rest_url=rest_url or None)
