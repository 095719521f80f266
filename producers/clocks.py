"""How far our clock is behind each venue's, told from the events alone.

An event cannot be received before it has happened. Where it seems so our clock is behind the venue's, by as much at
least as the quickest event came too early. If our clock is ahead it cannot be told from a slow way.
"""

from producers.times import WALL_CLOCK_NS
from quicksilver.events import AnyEvent

WINDOW_NS = 60_000_000_000  # of receive time: clocks are set right now and then


class _Quickest:
    """The least of receive time minus event time, in this window and in the one before."""

    __slots__ = ("before_ns", "least_ns", "start_ns")

    def __init__(self, start_ns: int, taken_ns: int) -> None:
        self.start_ns = start_ns
        self.least_ns = self.before_ns = taken_ns


class Clocks:
    """Measures; ``latency_ns`` is what is left of an event's way once the clocks' difference is taken off."""

    def __init__(self) -> None:
        self._quickest: dict[str, _Quickest] = {}

    def latency_ns(self, event: AnyEvent) -> int | None:
        """Take in an event; return how long it was on its way, at least 0; None if it has no time of the venue's."""
        taken_ns = event.ts_recv_ns - event.ts_event_ns
        if taken_ns == 0 or event.ts_recv_ns < WALL_CLOCK_NS:
            return None
        one = self._quickest.get(event.venue)
        if one is None:
            one = self._quickest[event.venue] = _Quickest(event.ts_recv_ns, taken_ns)
        elif event.ts_recv_ns - one.start_ns > WINDOW_NS:
            one.start_ns, one.before_ns, one.least_ns = event.ts_recv_ns, one.least_ns, taken_ns
        elif taken_ns < one.least_ns:
            one.least_ns = taken_ns
        return taken_ns + self.behind_ns(event.venue)

    def behind_ns(self, venue: str) -> int:
        """Return how far our clock is behind the venue's at least; 0 if nothing says that it is."""
        one = self._quickest.get(venue)
        return max(0, -min(one.least_ns, one.before_ns)) if one is not None else 0

    def behind(self) -> dict[str, int]:
        """Return ``behind_ns`` of the venues whose clock ours is behind."""
        found = {venue: self.behind_ns(venue) for venue in sorted(self._quickest)}
        return {venue: ns for venue, ns in found.items() if ns}
