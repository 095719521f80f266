"""Venue time stamps to integer nanoseconds, exactly: no float and no datetime on the hot path."""

from datetime import UTC, datetime
from functools import lru_cache

from quicksilver.errors import FrameError
from quicksilver.events import SECOND_NS

MS_NS = 1_000_000
_SCALE = tuple(10 ** (9 - digits) for digits in range(10))


@lru_cache(maxsize=1024)
def _seconds_ns(text: str) -> int:
    """``2026-08-09T05:23:43`` to nanoseconds; cached, for thousands of frames share a second."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def iso_to_ns(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 UTC time with up to nine decimals.

    >>> iso_to_ns("1970-01-01T00:00:01.5Z")
    1500000000

    Raises:
        FrameError: the text is not such a time.
    """
    try:
        if text[-1] != "Z":
            raise ValueError("not UTC")
        fraction = text[20:-1]
        return _seconds_ns(text[:19]) + (int(fraction) * _SCALE[len(fraction)] if fraction else 0)
    except (ValueError, IndexError) as error:
        raise FrameError(f"not a time: {text[:40]!r}") from error


def seconds_to_ns(text: str) -> int:
    """Nanoseconds of a decimal text of seconds since 1970, with at most nine decimals.

    >>> seconds_to_ns("1617666423.690142")
    1617666423690142000

    Raises:
        FrameError: the text is not such a number.
    """
    seconds, _, fraction = text.partition(".")
    try:
        return int(seconds) * SECOND_NS + (int(fraction) * _SCALE[len(fraction)] if fraction else 0)
    except (ValueError, IndexError) as error:
        raise FrameError(f"not a time in seconds: {text[:40]!r}") from error


def micros_to_ns(text: str) -> int:
    """Nanoseconds of a decimal text of microseconds since 1970.

    Raises:
        FrameError: the text is not an integer.
    """
    try:
        return int(text) * 1000
    except ValueError as error:
        raise FrameError(f"not a time in microseconds: {text[:40]!r}") from error
