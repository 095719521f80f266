"""Spans of time and names as users write them in the files that say what is computed."""

import re

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

UNITS_NS = {
    "ms": SECOND_NS // 1000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS, "d": 86_400 * SECOND_NS,
}  # fmt: skip
MOST_NS = 3_660 * UNITS_NS["d"]  # ten years: a time so much later than any of an event is still a number of 64 bits
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def span_ns(text: str) -> int:
    """Return a span of time in nanoseconds.

    >>> span_ns("250ms"), span_ns("1m")
    (250000000, 60000000000)

    Raises:
        InputError: it is none, or longer than ten years.
    """
    found = _SPAN.fullmatch(text.strip())
    span = float(found[1]) * UNITS_NS[found[2]] if found else 0.0
    if span > MOST_NS:
        raise InputError(f"{text!r} is too long a span of time: {MOST_NS // UNITS_NS['d']}d is the most")
    if round(span) <= 0:
        raise InputError(f"{text!r} is no span of time: write 250ms, 5s, 1m, 1h or 1d")
    return round(span)


def require_name(text: str) -> None:
    """Make sure that a name can be that of a folder, and part of a message's key and of an address.

    Raises:
        InputError: it cannot.
    """
    if not _NAME.fullmatch(text):
        raise InputError(f"{text!r} is no name: letters, digits, '.', '_' and '-' make one, 64 at most")
