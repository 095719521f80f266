"""Playing recorded times against our clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from quicksilver.errors import InputError

SLOWEST, FASTEST = 1e-6, 1e9  # a second of a tape in twelve days, and thirty years in one: beyond, times overflow
LATE_S = 0.002  # waits shorter than this are not worth a sleep


def parse_speed(text: str) -> float | None:
    """Return the factor that a user wrote, or None for ``max``.

    >>> parse_speed("50"), parse_speed("max")
    (50.0, None)

    Raises:
        InputError: neither a positive number nor ``max``, or one beyond ``SLOWEST`` and ``FASTEST``.
    """
    if text.strip().lower() == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0.0 < speed < float("inf"):
        raise InputError(f"speed {text!r}: give a positive number such as 0.5, 1 or 50, or max")
    if not SLOWEST <= speed <= FASTEST:
        raise InputError(f"speed {text!r}: from {SLOWEST:g} to {FASTEST:g}, or max, which waits for nothing")
    return speed


class Pacer:
    """Waits until recorded moments are due: original spacing divided by ``speed`` (None: no wait at all).

    Deadlines are counted from the first moment, so that delays do not add up.
    """

    def __init__(
        self,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.speed = speed
        self._clock = clock
        self._sleep = sleep
        self._start: tuple[int, float] | None = None

    def due_in_s(self, ts_ns: int) -> float:
        """Return how many seconds of our clock are left until the moment ``ts_ns`` (nanoseconds, any epoch)."""
        if self.speed is None:
            return 0.0
        if self._start is None:
            self._start = (ts_ns, self._clock())
            return 0.0
        first_ns, started = self._start
        wait_s = started + (ts_ns - first_ns) / 1e9 / self.speed - self._clock()
        return wait_s if wait_s > LATE_S else 0.0

    async def wait(self, ts_ns: int) -> None:
        """Return when the moment is due."""
        wait_s = self.due_in_s(ts_ns)
        if wait_s > 0.0:
            await self._sleep(wait_s)
