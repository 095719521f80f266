"""How venues write numbers and times; exact, from integers of ticks, lots and nanoseconds."""

from datetime import UTC, datetime
from functools import lru_cache

from producers.simulator.orderflow import Book
from quicksilver.events import SECOND_NS


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def iso(ts_ns: int) -> str:
    """Return RFC 3339 in UTC, with microseconds.

    >>> iso(1_786_253_023_523_084_000)
    '2026-08-09T05:23:43.523084Z'
    """
    seconds, rest = divmod(ts_ns, SECOND_NS)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def decimal(units: int, places: int) -> str:
    """Return ``units`` of the last decimal place as a number with all its places.

    >>> decimal(7725097, 8), decimal(647320, 1)
    ('0.07725097', '64732.0')
    """
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}" if places else str(whole)


def trimmed(units: int, places: int) -> str:
    """Return ``units`` of the last decimal place without trailing zeros.

    >>> trimmed(7725000, 8), trimmed(300, 2), trimmed(0, 8)
    ('0.07725', '3', '0')
    """
    text = decimal(units, places)
    return text.rstrip("0").rstrip(".") if places else text


def javascript(units: int, places: int) -> str:
    """Return a number as JavaScript prints it: trimmed, and below a millionth with an exponent.

    >>> javascript(7, 7), javascript(66, 8), javascript(150, 6), javascript(1, 6)
    ('7e-7', '6.6e-7', '0.00015', '0.000001')
    """
    digits = str(units)
    exponent = len(digits) - 1 - places
    if not units or exponent >= -6:
        return trimmed(units, places)
    digits = digits.rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{exponent}"


def iso_nanos(ts_ns: int) -> str:
    """Return RFC 3339 in UTC with nanoseconds, trailing zeros left out.

    >>> iso_nanos(1_786_253_023_523_084_100)
    '2026-08-09T05:23:43.5230841Z'
    """
    nanos = f"{ts_ns % SECOND_NS:09d}".rstrip("0")
    seconds = iso(ts_ns)[:19]
    return f"{seconds}.{nanos}Z" if nanos else f"{seconds}Z"


def price(book: Book, key: int) -> str:
    """Return a level's price with all its decimal places."""
    return decimal(abs(key), book.listing.price_decimals)


def size(book: Book, lots: int) -> str:
    """Return a size with all its decimal places."""
    return decimal(lots, book.listing.qty_decimals)


def tick(book: Book) -> str:
    """Return the step of prices."""
    return decimal(1, book.listing.price_decimals)


def lot(book: Book) -> str:
    """Return the step of sizes."""
    return decimal(1, book.listing.qty_decimals)


def pair(book: Book, key: int, lots: int) -> str:
    """Return ``["64773.34","1.54364721"]``."""
    return f'["{price(book, key)}","{size(book, lots)}"]'


def short_pair(book: Book, key: int, lots: int) -> str:
    """Return a pair without trailing zeros: ``["3.503","0.36208"]``."""
    listing = book.listing
    return f'["{trimmed(abs(key), listing.price_decimals)}","{trimmed(lots, listing.qty_decimals)}"]'
