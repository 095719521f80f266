"""What a venue allows one address: connections, messages, channels, REST requests; and waiting for one's turn.

A venue's numbers are data on its feed, beside the page that says them. They are kept for all of this process's
connections to a host together: that satisfies limits for each connection and limits for each address.
"""

import asyncio
import math
import time
from collections import deque
from typing import NamedTuple
from urllib.parse import urlsplit

MOST_BYTES = 64 << 20  # of a message, by socket or by REST; a full Coinbase book is 5 MB


class Rate(NamedTuple):
    """At most ``n`` (requests, or their weight) within any ``per_s`` seconds."""

    n: float
    per_s: float


UNLIMITED = Rate(math.inf, 1.0)


class Limits(NamedTuple):
    """A venue's limits; ``source`` is where it says them, and what is not said there is not limited.

    ``channels`` are those of one connection, and ``channels_each`` what a symbol's book and trades take of them;
    ``lifetime_s`` is how long the venue lets a connection live. ``rest`` counts weights: ``audit_weight`` is that of a
    book to compare ours with, ``listings_weight`` that of the venue's list of symbols; see ``Feed.book_weight`` too.
    """

    source: str = ""
    connections: Rate = UNLIMITED
    messages: Rate = UNLIMITED
    channels: int = 0
    channels_each: int = 2
    lifetime_s: float = math.inf
    rest: Rate = UNLIMITED
    audit_weight: float = 1
    listings_weight: float = 1

    @property
    def symbols(self) -> int:
        """How many symbols one connection may carry; 0 if the venue sets no limit."""
        return max(1, self.channels // self.channels_each) if self.channels else 0


class Pace:
    """Gives turns in the order in which they are asked for, never more of them than a rate allows."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._turns: deque[tuple[float, float]] = deque()  # when, and the weight
        self._used = 0.0
        self._not_before = 0.0

    def pause(self, wait_s: float) -> None:
        """Give no turn for so long: the venue has asked for that."""
        self._not_before = max(self._not_before, time.monotonic() + wait_s)

    async def turn(self, weight: float = 1) -> None:
        """Wait for a turn."""
        await asyncio.sleep(self.reserve(weight, time.monotonic()))
        while (left_s := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    def reserve(self, weight: float, now_s: float) -> float:
        """Take the next turn and return how long it is until then (seconds), by the clock ``time.monotonic``."""
        if self._rate.n == math.inf:
            return 0.0
        weight = min(weight, self._rate.n)  # else a single heavy request would wait for ever
        at_s = max(now_s, self._turns[-1][0] if self._turns else now_s)
        while self._turns and self._turns[0][0] + self._rate.per_s <= at_s:
            self._used -= self._turns.popleft()[1]
        while self._turns and self._used + weight > self._rate.n:
            first_s, its_weight = self._turns.popleft()
            at_s = max(at_s, first_s + self._rate.per_s)
            self._used -= its_weight
        self._turns.append((at_s, weight))
        self._used += weight
        return at_s - now_s


_paces: dict[tuple[str, str], Pace] = {}


def pace_of(what: str, url: str, rate: Rate) -> Pace:
    """Return the pace that everything in this process keeps which does that at the URL's host."""
    return _paces.setdefault((what, urlsplit(url).netloc), Pace(rate))
