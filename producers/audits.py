"""Stand-in: compares the books kept from a stream with full books that the stream itself holds."""

from collections import defaultdict

import msgspec

from producers.exchanges.base import Parser
from quicksilver.events import AnyEvent


class AuditCounts(msgspec.Struct):
    """How many full books were compared, and how many had the same best prices."""

    compared: int = 0
    best_bid_equal: int = 0
    best_ask_equal: int = 0


class Auditor:
    """Counts by venue and symbol; observations before the first receive time + ``skip_ns`` are left out."""

    def __init__(self, skip_ns: int = 0) -> None:
        self.skip_ns = skip_ns
        self.counts: dict[tuple[str, str], AuditCounts] = defaultdict(AuditCounts)

    def attach(self, parser: Parser) -> None:
        """Hear what the parser observes."""

    def event(self, event: AnyEvent) -> None:
        """Take in the next event."""
