"""Audits: our books, kept by their changes, beside every whole book that the stream holds meanwhile.

Such a book comes in answer to a request, as a push, or when a venue sends it once more. It is compared when the stream
must have passed its moment (``audit_path.py``): exactly by the venue's number where there is one, by the venue's own
time, or with all that our book was within ``BEFORE_NS`` and ``AFTER_NS`` of its arrival.

A difference is reported, and is no gap by itself: what a venue answers may come from a cache. If ``PERSISTENT`` answers
to requests in a row differ in the same place, at the best price or at one level, the book is in doubt.

Not so where checksums prove the book and the answers say neither time nor number: those may simply lag. They put it in
doubt if ours has not changed at that level for ``LAG_NS`` before the last of them, for no cache is as old: then what
they say is newer than our level. So a book that has stopped without a word is found, and one that goes on is left.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from producers.audit_path import Path
from producers.audit_sides import BEST, Comparison, Named, prices_of
from producers.exchanges.base import Observation, Parser
from quicksilver.book import ASKS, BIDS
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Price, Trade
from quicksilver.records import Audit

PATIENCE_NS = 2_000_000_000  # of receive time, until the stream must have passed the moment of a book
PERSISTENT = 3
LAG_NS = 60_000_000_000
BESTS = frozenset({(BIDS, BEST), (ASKS, BEST)})  # which checksums prove, and which move with any change
MOST_WAITING = 16  # on a tape without a clock nothing says how long one has waited

Key = tuple[str, str]
"""Venue and symbol."""


class AuditCounts(msgspec.Struct):
    """What the audits of one instrument found, or of many.

    ``undecided``: books that could not be compared, because the stream does not reach to their moment. ``levels`` were
    compared and ``levels_different`` of them differed; ``largest_difference`` is in the base currency.
    """

    compared: int = 0
    best_bid_equal: int = 0
    best_ask_equal: int = 0
    undecided: int = 0
    levels: int = 0
    levels_different: int = 0
    largest_difference: float = 0.0

    def add(self, other: "AuditCounts") -> None:
        """Add ``other``'s numbers to these; of the largest differences the larger stays."""
        largest = max(self.largest_difference, other.largest_difference)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_difference = largest


class Doubt(msgspec.Struct, frozen=True):
    """A book that persistently differs from the venue's."""

    venue: str
    symbol: str
    reason: str


class _Kept:
    """One instrument: its last seconds, the books that wait for their comparison, and what has differed lately."""

    __slots__ = ("path", "seen", "seq", "since_ns", "suspects", "times")

    def __init__(self) -> None:
        self.path: Path | None = None
        self.seen: list[Observation] = []
        self.seq = 0
        self.suspects: frozenset[Named] = frozenset()
        self.times = 0
        self.since_ns = 0  # when the first of them was compared

    def acquit(self, event: BookDelta | BookSnapshot) -> None:
        """Suspect no level that our book has changed meanwhile: an answer that lags differs there."""
        touched = prices_of([event]) if isinstance(event, BookDelta) else None
        self.suspects = frozenset(one for one in self.suspects if touched and one[1] not in touched[one[0]])


class Auditor:
    """Compares; ``skip_ns`` of receive time, from the first event on, are left out."""

    def __init__(self, skip_ns: int = 0) -> None:
        self.counts: dict[Key, AuditCounts] = {}
        self._skip_ns = skip_ns
        self._from_ns: int | None = None
        self._now_ns = 0
        self._due_ns = 0  # when the next comparison is, if any is
        self._parsers: dict[str, Parser] = {}
        self._kept: defaultdict[Key, _Kept] = defaultdict(_Kept)
        self._audits: list[Audit] = []
        self._doubts: list[Doubt] = []

    def attach(self, parser: Parser) -> None:
        """Look at every whole book that this parser reads."""
        self._parsers[parser.venue] = parser
        parser.observers.append(self._observe)

    def event(self, event: AnyEvent) -> None:
        """Take in an event of an attached parser; all of them are to come, in order."""
        if isinstance(event, Price):
            return
        key = (event.venue, event.symbol)
        kept = self._kept[key]
        self._pass(event.ts_recv_ns)
        kept.seq = event.seq
        if isinstance(event, Trade):
            return
        parser = self._parsers[event.venue]
        number = parser.number_of(event.symbol)
        if kept.suspects and parser.proves and not isinstance(event, Gap):
            kept.acquit(event)
        if isinstance(event, BookDelta):
            if kept.path is None:
                return
            if kept.seen and kept.path.full:
                self._compare_all(key, kept)
            try:
                kept.path.add(event, number)
            except StateError:  # more levels than supported, which is told elsewhere
                kept.path = None
            return
        self._compare_all(key, kept)
        kept.path = Path(event, number, parser.keeps_best) if isinstance(event, BookSnapshot) else None
        if isinstance(event, Gap):
            kept.suspects, kept.times = frozenset(), 0

    def finish(self) -> None:
        """Compare what still waits: the stream has ended."""
        for key, kept in self._kept.items():
            self._compare_all(key, kept)

    def audits(self) -> Sequence[Audit]:
        """Return the audits made since this was last asked."""
        found, self._audits = self._audits, []
        return found

    def doubts(self) -> Sequence[Doubt]:
        """Return the books that have come into doubt since this was last asked."""
        found, self._doubts = self._doubts, []
        return found

    def total(self) -> AuditCounts:
        """Return the counts of all instruments together."""
        total = AuditCounts()
        for one in self.counts.values():
            total.add(one)
        return total

    def _observe(self, seen: Observation) -> None:
        key = (seen.one.venue, seen.one.symbol)
        self._pass(seen.frame.ts_recv_ns)
        kept = self._kept[key]
        if kept.path is None or seen.frame.ts_recv_ns < (self._from_ns or 0) + self._skip_ns:
            return
        kept.seen.append(seen)
        self._due_ns = min(self._due_ns or seen.frame.ts_recv_ns + PATIENCE_NS, seen.frame.ts_recv_ns + PATIENCE_NS)
        if len(kept.seen) > MOST_WAITING:
            self._compare(key, kept, kept.seen.pop(0), patient=False)

    def _pass(self, now_ns: int) -> None:
        """Compare the books whose time has come; receive times of several venues may go back a little."""
        if self._from_ns is None:
            self._from_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)
        if not self._due_ns or self._now_ns < self._due_ns:
            return
        waiting = []
        for key, kept in self._kept.items():
            due = [one for one in kept.seen if one.frame.ts_recv_ns + PATIENCE_NS <= self._now_ns]
            kept.seen = kept.seen[len(due) :]
            for one in due:
                self._compare(key, kept, one, patient=True)
            waiting += [one.frame.ts_recv_ns + PATIENCE_NS for one in kept.seen]
        self._due_ns = min(waiting, default=0)

    def _compare_all(self, key: Key, kept: _Kept) -> None:
        seen, kept.seen = kept.seen, []
        for one in seen:
            self._compare(key, kept, one, patient=False)

    def _compare(self, key: Key, kept: _Kept, seen: Observation, patient: bool) -> None:
        counts = self.counts.setdefault(key, AuditCounts())
        found = None
        with suppress(StateError):  # our book has more levels than supported
            found = kept.path.compare(seen, patient) if kept.path is not None else None
        if found is None:
            counts.undecided += 1
            return
        different = sum(price != BEST for _, price in found.wrong)
        bid, ask = found.bests
        counts.add(AuditCounts(1, bid, ask, 0, found.levels, different, found.largest))
        self._audits.append(
            Audit(
                *key, kept.seq, seen.ts_event_ns, seen.frame.ts_recv_ns, found.levels, different, found.largest,
                bid, ask, found.reason,
            )
        )  # fmt: skip
        if seen.frame.direction in {"rest", "audit"}:
            self._suspect(key, kept, found, seen)

    def _suspect(self, key: Key, kept: _Kept, found: Comparison, seen: Observation) -> None:
        """Count how often in a row the same has differed."""
        may_lag = self._parsers[seen.one.venue].proves
        wrong = found.wrong - BESTS if may_lag else found.wrong
        same = kept.suspects & wrong
        kept.times = kept.times + 1 if same else int(bool(wrong))
        kept.since_ns = kept.since_ns if same else self._now_ns
        kept.suspects = same or wrong
        if kept.times >= PERSISTENT and (not may_lag or seen.frame.ts_recv_ns - kept.since_ns >= LAG_NS):
            kept.suspects, kept.times = frozenset(), 0
            self._doubts.append(Doubt(*key, f"{PERSISTENT} audits in a row differ: {found.reason}"))
