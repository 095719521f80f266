"""A recording that is played like a tape in a machine: paused, gone on with, stepped through, faster or slower."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from producers.pacing import Pacer, parse_speed
from quicksilver.events import SECOND_NS


class Playback(Pacer):
    """A pacer that somebody may hold up at any time, in the midst of a wait too.

    Recorded time goes on from where it was when it was held up: a pause is not made up for. ``position_ns`` is the last
    moment that was let through, ``played`` how many messages were. A message here is one that says something of the
    market; heartbeats and the like are neither waited for nor stepped to.
    """

    def __init__(self, speed: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(speed, clock)
        self.paused = self.ended = False
        self.position_ns: int | None = None
        self.played = 0
        self._held_ns: int | None = None  # recorded time while paused; None: it has not begun
        self._steps = 0
        self._changed, self._held = asyncio.Event(), asyncio.Event()

    async def wait(self, ts_ns: int) -> None:
        """Return when the moment is due, and nobody holds it up."""
        while not self._let_through(ts_ns):
            self._changed.clear()
            if self.paused:
                self._held.set()  # who asks for the next message has taken in those before
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.paused else self.due_in_s(ts_ns)):
                    await self._changed.wait()
        self.position_ns = ts_ns
        self.played += 1

    def _let_through(self, ts_ns: int) -> bool:
        if not self.paused:
            return self.due_in_s(ts_ns) <= 0.0
        if self._steps == 0:
            return False
        self._steps -= 1
        self._held_ns = ts_ns
        return True

    def pause(self) -> None:
        """Let nothing through from now on."""
        if not self.paused:
            self._held_ns = self._moment_ns()
        self.paused, self._steps = True, 0
        self._changed.set()

    def resume(self) -> None:
        """Go on from where it is."""
        if self.paused:
            self.paused = False
            self._held.set()
            self._go_on(self._held_ns)

    def step(self, n: int) -> None:
        """Pause, and let the next ``n`` messages through."""
        if not self.paused:
            self.pause()
        self._steps += n
        if not self.ended:
            self._held.clear()
        self._changed.set()

    async def held(self) -> None:
        """Return when all steps are done and taken in, or the recording goes on or has ended."""
        await self._held.wait()

    def end(self) -> None:
        """Note that nothing more comes."""
        self.ended = True
        self._held.set()

    def set_speed(self, text: str) -> None:
        """Go on at another speed, as ``parse_speed`` reads it.

        Raises:
            InputError: it is none.
        """
        speed, moment_ns = parse_speed(text), self._moment_ns()
        self.speed = speed
        if not self.paused:
            self._go_on(moment_ns)

    def state(self) -> dict[str, object]:
        """Return whether it is paused or has ended, its speed, and where it is."""
        return {
            "paused": self.paused, "ended": self.ended, "speed": "max" if self.speed is None else self.speed,
            "played": self.played, "position_ns": self.position_ns,
        }  # fmt: skip

    def _moment_ns(self) -> int | None:
        """Recorded time now; None before it begins."""
        if self._start is None or self.speed is None:
            return self.position_ns
        first_ns, started = self._start
        return first_ns + int((self._clock() - started) * self.speed * SECOND_NS)

    def _go_on(self, moment_ns: int | None) -> None:
        self._start = None if moment_ns is None else (moment_ns, self._clock())
        self._changed.set()
