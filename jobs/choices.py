"""What the options of batch jobs name: spans of time and instruments."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

LEAST, MOST = -(2**63), 2**63 - 1


class Span(NamedTuple):
    """Event time ``[since_ns, until_ns)``, nanoseconds since 1970."""

    since_ns: int = LEAST
    until_ns: int = MOST

    @classmethod
    def of(cls, since: str | None, until: str | None, options: tuple[str, str] = ("--since", "--until")) -> "Span":
        """Return the span between two times, which the user has given by these options.

        Raises:
            InputError: one is no time, or nothing is between.
        """
        span = cls(
            LEAST if since is None else time_ns(options[0], since),
            MOST if until is None else time_ns(options[1], until),
        )
        if span.since_ns >= span.until_ns:
            raise InputError(f"{options[0]} {since} is not before {options[1]} {until}")
        return span


def time_ns(option: str, text: str) -> int:
    """Return a time as nanoseconds since 1970, UTC where it names no zone.

    >>> time_ns("--since", "1970-01-02"), time_ns("--since", "1970-01-01T01:00:00.5+01:00")
    (86400000000000, 500000000)

    Raises:
        InputError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{option} {text}: not a time such as 2026-08-09T05:00") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_1970.days * 86_400 + since_1970.seconds) * SECOND_NS + since_1970.microseconds * 1_000


def seconds_ns(option: str, seconds: float) -> int:
    """Return a number of seconds as nanoseconds.

    Raises:
        InputError: it is no span of time.
    """
    if not (math.isfinite(seconds) and 1e-9 <= seconds < 1e9):
        raise InputError(f"{option} {seconds:g} is no number of seconds")
    return round(seconds * SECOND_NS)


def names_of(venues: Sequence[str], symbols: Sequence[str]) -> list[str]:
    """Return what both lists choose together, as ``chosen`` reads it; a symbol may name its venue itself.

    >>> names_of(["kraken"], ["BTC-USD", "coinbase:ETH-USD"])
    ['kraken:BTC-USD', 'coinbase:ETH-USD']
    """
    if not venues or not symbols:
        return [*venues, *symbols]
    bare = [symbol for symbol in symbols if ":" not in symbol]
    return [*(f"{venue}:{symbol}" for venue in venues for symbol in bare), *(one for one in symbols if ":" in one)]


def chosen(known: Sequence[str], wanted: Sequence[str], what: str) -> list[str]:
    """Return the topic keys among ``known`` that are wanted: by ``venue:symbol``, symbol or venue; without any, all.

    >>> chosen(["kraken:BTC-USD", "kraken:ETH-USD"], ["ETH-USD"], "candles")
    ['kraken:ETH-USD']

    Raises:
        InputError: one names nothing, or there is nothing.
    """
    if not known:
        raise InputError(f"Cassandra has no {what}")
    found = set() if wanted else set(known)
    for name in wanted:
        some = [key for key in known if name in {key, *key.split(":", 1)}]
        if not some:
            raise InputError(f"Cassandra has no {what} of {name}; it has {', '.join(known)}")
        found.update(some)
    return sorted(found)
