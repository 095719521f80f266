"""What several venues' messages are read with: JSON, numbers, addresses; what cannot be read is a ``FrameError``.

Whole books are read elsewhere, many numbers at a time: levels in ``producers/levels.py``, orders beside their parsers.
"""

import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from producers.decimals import float_of, plain
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError
from quicksilver.orders import units_of

T = TypeVar("T")


def decoded(decode: Callable[[bytes], T], payload: bytes, what: str = "") -> T:
    """Return what a message's bytes say; ``what`` they are to be, such as "Kraken's AssetPairs", says the error.

    Raises:
        FrameError: they cannot be read.
    """
    try:
        return decode(payload)
    except UNREADABLE as error:
        raise FrameError(f"not {what}: {error}" if what else str(error)) from error


def text_of(raw: bytes | msgspec.Raw) -> str:
    """Return the text of a JSON string or number: venues write prices as either.

    Raises:
        FrameError: it is no UTF-8.
    """
    try:
        return bytes(raw).strip(b'"').decode()
    except UnicodeDecodeError as error:
        raise FrameError(f"not a text: {bytes(raw)[:40]!r}") from error


def integer_of(text: str | bytes, what: str = "number") -> int:
    """Return a whole number, of any sign; ``what`` it is to be says the error.

    Raises:
        FrameError: it is none.
    """
    try:
        return int(text if plain(text) else "")
    except ValueError as error:
        raise FrameError(f"not a {what}: {text[:40]!r}") from error


def decimal_of(text: str | bytes | float) -> float:
    """Return a price or a size, 0 included.

    Raises:
        FrameError: it is no number, negative or not finite.
    """
    number = float_of(text)
    if number < 0:
        raise FrameError(f"not a price: {text!r:.40}")
    return number


def price_of(text: str | bytes) -> float:
    """Return a price, in the quote currency.

    Raises:
        FrameError: it is no number, not positive or not finite.
    """
    price = decimal_of(text)
    if not price:
        raise FrameError(f"not a price: {text!r:.40}")
    return price


def size_of(text: str | bytes) -> int:
    """Return a size in units, of 10^-18 of the base currency (``quicksilver/orders.py``).

    Raises:
        FrameError: it is none.
    """
    try:
        return units_of(text if isinstance(text, str) else text.decode())
    except ValueError as error:
        raise FrameError(str(error)) from error


def naming(text: bytes) -> Callable[[str], bool]:
    """Return what tells whether the text has a name: in any case, and not as a part of a longer one.

    >>> [naming(b'{"s":"BTCUSDT_270326","stream":"ethusdt@depth"}')(name) for name in ("BTCUSDT", "ETHUSDT")]
    [False, True]
    """
    lower = text.lower()

    def has(name: str) -> bool:
        """Whether the text has the name."""
        wanted = name.lower().encode()
        if wanted not in lower:  # of thousands of names nearly all are not there
            return False
        return re.search(rb"(?<![a-z0-9])" + re.escape(wanted) + rb"(?![a-z0-9:/_-])", lower) is not None

    return has


def split_address(url: str) -> SplitResult:
    """Return the parts of an address; empty ones if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
