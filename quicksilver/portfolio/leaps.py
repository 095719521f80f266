"""Which times a universe's clock follows: one that is far from its own is believed when others tell it too."""

import math

import msgspec

from quicksilver.events import SECOND_NS
from quicksilver.portfolio.prices import spoken
from quicksilver.records import Prediction

APART_NS, APART_PERIODS = 60 * SECOND_NS, 3  # what is further from the clock than either is far
MOST_HELD = 10_000  # what one instrument tells alone: more of it is believed


class Told(msgspec.Struct):
    """What was told at a time, of one ``venue:symbol``: a price (NaN: none), a ``doubt``, or a prediction."""

    venue: str
    symbol: str
    ts_event_ns: int
    ts_recv_ns: int
    price: float = math.nan
    doubt: bool = False
    prediction: Prediction | None = None

    @property
    def source(self) -> tuple[str, str]:
        """Whose word it is."""
        return self.venue, self.symbol


class SavedLeaps(msgspec.Struct):
    """The state of ``Leaps``; ``refused`` are numbers of prices, and the time of the last, by instrument."""

    now_ns: int = 0
    first: tuple[str, str] | None = None
    several: bool = False
    held: list[Told] = []
    off: list[tuple[str, str]] = []
    refused: list[tuple[str, str, int, int]] = []
    refused_at_ns: int = 0


class Leaps:
    """Holds what is told of a time far ahead until it is known whether that is a gap or a wrong clock.

    It is a gap, and nothing of it is lost, when another instrument tells that time or a later one before any tells one
    near the clock; one that is alone is believed when it tells a second time, one whose others are silent when it has
    gone on for as long as would be far. Else it was a wrong time: the prices are left out, and counted.

    A time far behind is late, and taken as it is, for it moves no clock. When another instrument tells such a time too
    before any tells one near the clock, it is another recording's, and all begins anew. An instrument that has told
    wrong times confirms none before it has told a right one.

    What is held when a stream ends stays held, for nothing tells what it was: the frontiers of ticks that only one
    instrument has told of, after a gap, are not made. It is in the saved state, and goes on with the stream.
    """

    def __init__(self, period_ns: int) -> None:
        self.apart_ns = max(APART_NS, APART_PERIODS * period_ns)
        self.now_ns = 0
        self._first: tuple[str, str] | None = None
        self._several = False
        self._held: list[Told] = []
        self._off: dict[tuple[str, str], None] = {}
        self._refused: dict[tuple[str, str], tuple[int, int]] = {}
        self._refused_at_ns = 0

    def near(self, ts_ns: int) -> bool:
        """Whether a time is one that the clock may follow by itself."""
        return not self.now_ns or -self.apart_ns <= ts_ns - self.now_ns <= self.apart_ns

    def take(self, one: Told) -> tuple[list[Told], bool]:
        """Return what is to be taken in now, in its order, and whether all begins anew before."""
        if self._first is None:
            self._first = one.source
        self._several = self._several or one.source != self._first
        if self.near(one.ts_event_ns):
            if self._held or self._off:
                self._refuse()
                self._off.pop(one.source, None)
            self.now_ns = max(self.now_ns, one.ts_event_ns)
            return [one], False
        return self._far(one)

    def doubted(self, one: Told) -> None:
        """Keep a doubt in its place behind what is held of its instrument."""
        if self._held:
            self._held.append(one)

    def _far(self, one: Told) -> tuple[list[Told], bool]:
        ahead = one.ts_event_ns > self.now_ns
        if self._held and not self._goes_on(one):
            self._refuse()
        if not self._confirms(one):
            self._held.append(one)
            return [] if ahead else [one], False
        held, self._held = self._held, []
        self.now_ns = max(each.ts_event_ns for each in held if not each.doubt)
        for each in held:
            self._off.pop(each.source, None)
        more, _ = self.take(one)  # it may be as far from those as they were from the clock
        return held + more, not ahead

    def _goes_on(self, one: Told) -> bool:
        """Whether it is of the same side of the clock as what is held, and no earlier."""
        held = max(each.ts_event_ns for each in self._held if not each.doubt)
        same = (one.ts_event_ns > self.now_ns) == (held > self.now_ns)
        return same and one.ts_event_ns >= held - self.apart_ns

    def _confirms(self, one: Told) -> bool:
        if not self._held:
            return False
        if not self._several or len(self._held) >= MOST_HELD:
            return True
        if one.source not in self._off and any(one.source != each.source for each in self._held if not each.doubt):
            return True
        first_ns = self._held[0].ts_event_ns
        return first_ns > self.now_ns and one.ts_event_ns - first_ns > self.apart_ns

    def _refuse(self) -> None:
        """What is held was told of a wrong time; what was late has been taken in as that."""
        for one in self._held:
            if one.doubt:
                continue
            self._off[one.source] = None
            if one.ts_event_ns > self.now_ns and one.prediction is None:
                n, _ = self._refused.get(one.source, (0, 0))
                self._refused[one.source] = n + 1, one.ts_event_ns - self.now_ns
                self._refused_at_ns = self.now_ns
        self._held = []

    def note(self, ts_ns: int) -> str:
        """Say what was left out, if any of it was so a short time ago."""
        if not self._refused or ts_ns - self._refused_at_ns > self.apart_ns:
            return ""
        return "; ".join(
            f"{n} {'price' if n == 1 else 'prices'} of {venue}:{symbol} left out, the last of a time {spoken(far_ns)}"
            " ahead of the others'"
            for (venue, symbol), (n, far_ns) in sorted(self._refused.items())
        )

    def dump(self) -> SavedLeaps:
        """Return the state."""
        refused = [(*source, *numbers) for source, numbers in self._refused.items()]
        return SavedLeaps(
            self.now_ns, self._first, self._several, self._held, list(self._off), refused, self._refused_at_ns
        )

    def load(self, saved: SavedLeaps) -> None:
        """Take over a dumped state."""
        self.now_ns, self._first, self._several, self._held = saved.now_ns, saved.first, saved.several, saved.held
        self._off = dict.fromkeys(saved.off)
        self._refused = {(venue, symbol): (n, far_ns) for venue, symbol, n, far_ns in saved.refused}
        self._refused_at_ns = saved.refused_at_ns
