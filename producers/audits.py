"""Stand-in for the audits (another part of the issue): it compares nothing, and has their interface."""

from collections.abc import Sequence
from typing import Any

import msgspec

from producers.exchanges.base import Parser
from quicksilver.events import AnyEvent


class AuditCounts(msgspec.Struct):
    """How many full books were compared, and how many had the same best prices."""

    compared: int = 0
    best_bid_equal: int = 0
    best_ask_equal: int = 0

    def add(self, other: "AuditCounts") -> None:
        """Add ``other``'s numbers to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Auditor:
    """Compares; ``skip_ns`` of receive time, from the first event on, are left out."""

    def __init__(self, skip_ns: int = 0) -> None:
        self.counts: dict[tuple[str, str], AuditCounts] = {}
        self.skip_ns = skip_ns

    def attach(self, parser: Parser) -> None:
        """Look at every whole book that this parser reads."""

    def event(self, event: AnyEvent) -> None:
        """Take in an event of an attached parser."""

    def finish(self) -> None:
        """Compare what still waits."""

    def audits(self) -> Sequence[Any]:
        """Return the audits made since this was last asked."""
        return ()

    def doubts(self) -> Sequence[Any]:
        """Return the books that have come into doubt since this was last asked."""
        return ()
