"""The decision grid: which features are predicted from, and labelled; full books have a grid of their own."""

MAX_FULL_BOOKS_PER_S = 1_000.0
MAX_FULL_BOOK_LEVELS = 50_000  # a level is at most 100 bytes of JSON, and Kafka takes 16 MiB with both sides


class DecisionGrid:
    """At most one decision in each cell of event time, the first that comes; ``next_ns`` is the state.

    Whoever sees the same times decides at the same ones: labels and predictions may be computed apart.
    """

    def __init__(self, every_ns: int) -> None:
        self.every_ns = every_ns
        self.next_ns = 0

    def due(self, ts_event_ns: int) -> bool:
        """Whether this is a time to decide; if so, the next is in a later cell."""
        if ts_event_ns < self.next_ns:
            return False
        self.next_ns = (ts_event_ns // self.every_ns + 1) * self.every_ns
        return True

    def reset(self) -> None:
        """Decide at the next time, whatever it is: what lies before a gap may have had a wrong clock."""
        self.next_ns = 0
