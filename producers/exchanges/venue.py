"""The registry of venues: every module of this package that has a ``VENUE`` is one."""

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from producers.exchanges.base import Parser, Reject
from producers.exchanges.feed import Feed
from quicksilver.errors import InputError


class Venue(NamedTuple):
    """A venue's name, how its frames are read, and where they come from."""

    name: str
    parser: type[Parser]
    feed: type[Feed]


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
    """Return a new feed of a venue, of its own REST address if none is given.

    Raises:
        InputError: no such venue.
    """
    if name not in venues():
        raise InputError(f"unknown venue {name!r}; there are {', '.join(sorted(venues()))}")
    return venues()[name].feed(name, symbols, rest_url=rest_url)
