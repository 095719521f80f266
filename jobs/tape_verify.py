"""``quicksilver tape verify``: what a tape proves of its books, by each venue's own rules."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from jobs.parsers import Parsers
from jobs.tape_letters import Letters
from producers.audits import AuditCounts, Auditor
from producers.exchanges.instrument import Counts
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.book import CROSSED_BOOK, Book
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap
from quicksilver.records import DeadLetter

SHOWN = ("frames", "events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "crossed", "rejected")
UNCHECKED = "no book could be checked: the tape holds not one whole book to begin with"
COMPARED = ("compared", "best_bid_equal", "best_ask_equal")


class Verification:
    """One pass over a tape: parsers with all their checks, books, and comparisons with the books on the tape itself."""

    def __init__(self, skip_ns: int = 0) -> None:
        self.letters = Letters()
        self._parsers = Parsers(self.letters)
        self._parsers.auditor = Auditor(skip_ns=skip_ns)
        self._books: dict[tuple[str, str], Book] = {}
        self._events = 0
        self._books_begun = False

    def run(self, frames: Iterable[Frame]) -> dict[str, Any]:
        """Take in all frames; returns what was found, whole and by venue and symbol.

        Raises:
            InputError: not one frame could be read.
        """
        for frame in frames:
            for event in self._parsers.parse(frame):
                self._events += 1
                self._take(event)
            self._parsers.audits()  # they are counted; each by itself is of no use here
        self._parsers.finish()
        if not sum(self._parsers.frames.values()) or (self.letters.count and not self._events):
            raise InputError(": ".join(["nothing could be read", *self.letters.reasons[:1]]))
        return self._found()

    def unreadable(self, letter: DeadLetter) -> None:
        """Count a line of the tape that holds no frame."""
        self._parsers.unreadable += 1
        self.letters(letter)

    def _take(self, event: AnyEvent) -> None:
        """Keep the book; one that is crossed after a whole message, or too large, is none, which no parser can see."""
        self._books_begun = self._books_begun or isinstance(event, BookSnapshot)
        if isinstance(event, BookDelta | BookSnapshot | Gap):
            book = self._books.setdefault((event.venue, event.symbol), Book())
            reason = book.take(event)
            if reason:
                book.gap()
                self._parsers.doubt(event.venue, event.symbol)
                if reason != CROSSED_BOOK:  # which the book counts itself
                    self._parsers.by_venue[event.venue].instruments[event.symbol].counts.gaps += 1

    def _found(self) -> dict[str, Any]:
        total, audits, venues = Counts(rejected=self._parsers.unreadable), AuditCounts(), {}
        for name, parser in sorted(self._parsers.by_venue.items()):
            counts, compared, symbols = Counts(), AuditCounts(), {}
            counts.add(parser.counts)
            for symbol, one in sorted(parser.instruments.items()):
                book = self._books.get((name, symbol))
                one.counts.crossed = book.crossed if book else 0
                audit = self._parsers.auditor.counts.get((name, symbol), AuditCounts())
                symbols[symbol] = _shown(one.counts, audit)
                counts.add(one.counts)
                compared.add(audit)
            counts.frames = self._parsers.frames.get(name, 0)
            venues[name] = {**_shown(counts, compared), "symbols": symbols}
            total.add(counts)
            audits.add(compared)
        total.frames = sum(self._parsers.frames.values())
        return {**_shown(total, audits), "torn": self.letters.torn, "checked": self._books_begun, "venues": venues}


def _shown(counts: Counts, audits: AuditCounts) -> dict[str, Any]:
    return {**{name: getattr(counts, name) for name in SHOWN}, "audits": msgspec.structs.asdict(audits)}


def verify(tape: Path, venue: str | None, skip_ns: int) -> tuple[dict[str, Any], Letters]:
    """Verify a tape; returns what was found, and the lines and frames that could not be read.

    Raises:
        InputError: the tape cannot be read, or nothing in it.
    """
    run = Verification(skip_ns)
    try:
        found = run.run(read_frames(tape, venue=venue, reject=run.unreadable))
        if venue is not None and not found["events"]:
            raise InputError(f"nothing could be read as {venue}'s: no frame of it says anything of a market")
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(tape)) else f"{tape}: {error}") from error
    return found, run.letters


def has_faults(found: dict[str, Any]) -> bool:
    """Whether the tape shows that something was lost, changed or cannot be read.

    A book that differs from a whole one on the tape is no such fault: the two may be of different moments. An
    instrument of which most differ is.
    """
    audits = [one["audits"] for venue in found["venues"].values() for one in venue["symbols"].values()]
    worst = any(2 * min(one["best_bid_equal"], one["best_ask_equal"]) < one["compared"] for one in audits)
    return worst or any(found[name] for name in ("gaps", "checksums_failed", "crossed", "rejected"))


def table_of(found: dict[str, Any]) -> Table:
    """Return what was found as a table, a row for each venue and symbol.

    A frame may hold messages of several symbols, or several of one: those are what is counted of a symbol.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("venue", "symbol"):
        table.add_column(name)
    for name in ("frames", "messages", *SHOWN[1:], *COMPARED):
        table.add_column(name.replace("checksums", "sums").replace("best_", "").replace("_", " "), justify="right")
    for venue, one in found["venues"].items():
        messages = sum(counts["frames"] for counts in one["symbols"].values())
        for symbol, counts in one["symbols"].items():
            table.add_row(venue, symbol, "", *_numbers(counts["frames"], counts))
        table.add_row(venue, "all", f"{one['frames']:,}", *_numbers(messages, one))
    return table


def _numbers(messages: int, counts: dict[str, Any]) -> list[str]:
    shown = [counts[name] for name in SHOWN[1:]] + [counts["audits"][name] for name in COMPARED]
    return [f"{number:,}" for number in (messages, *shown)]


def encoded(found: dict[str, Any]) -> str:
    """Return an answer as the JSON that the commands end with."""
    return msgspec.json.encode(found).decode()
