"""When to try again: later each time, never all together, and not before the other side has said."""

import random
import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

RETRY_AFTER_MOST_S = 3600.0  # a wrong header must not end a connection or a book for good


def backoff(first_s: float, most_s: float) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt: twice as long each time up to ``most_s``, with jitter."""
    wait_s = first_s
    while True:
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s = min(2 * wait_s, most_s)


def retry_after_s(*headers: str) -> float:
    """Return the seconds that ``Retry-After`` asks for, a number or a date (RFC 9110, 10.2.3); 0 if it is neither.

    It is an hour at most; where the header stands more than once the longest wait counts. ccxt gives it with a decimal
    point.
    """
    return max(map(_asked_s, headers), default=0.0)


def _asked_s(header: str) -> float:
    try:
        number = re.fullmatch(r"\d+(\.\d+)?", header, re.ASCII)
        wait_s = float(header) if number else parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), RETRY_AFTER_MOST_S)
