"""Venue time stamps to integer nanoseconds, exactly (no float, no datetime on the hot path), and which can be true."""

from datetime import UTC, datetime
from functools import lru_cache

from producers.frames import Frame
from quicksilver.errors import FrameError
from quicksilver.events import SECOND_NS

MS_NS = 1_000_000
WALL_CLOCK_NS = 100_000_000_000_000_000  # smaller receive times (1973) are ordinals of tapes without a clock
MAX_AHEAD_NS = 60_000_000_000  # an event that far ahead of its arrival would stop all windows until time is there
MAX_BEHIND_NS = 86_400_000_000_000
MAX_NS = 1 << 62  # the year 2116; leaves room for horizons in 64 bits
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


def check_time(frame: Frame, ts_event_ns: int) -> int:
    """Return the event time if it can be true.

    Raises:
        FrameError: it lies a minute after the receive time, or a day before, or is of no year that there is.
    """
    if not 0 < ts_event_ns < MAX_NS:
        short = ts_event_ns.bit_length() < 1024  # Python makes no text of a number of 4,300 digits
        raise FrameError(f"not a time: {str(ts_event_ns)[:40] if short else 'a number without end'} ns")
    if frame.ts_recv_ns > WALL_CLOCK_NS and not -MAX_BEHIND_NS < ts_event_ns - frame.ts_recv_ns < MAX_AHEAD_NS:
        ahead_s = (ts_event_ns - frame.ts_recv_ns) / 1e9
        raise FrameError(
            f"an event {abs(ahead_s):,.0f} s {'after' if ahead_s > 0 else 'before'} its arrival: a corrupt time,"
            " or this machine's clock is wrong"
        )
    return ts_event_ns
