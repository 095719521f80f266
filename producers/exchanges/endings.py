"""Which books we have asked a venue to end: it may end others by itself, and those are lost.

That can be told where a stream holds what was sent, as our own feeds' do. Other tapes hold what came alone; there a
book that has ended becomes old, not wrong.
"""

from collections import Counter
from collections.abc import Iterable

UNASKED = "the venue has ended the book's subscription, and was not asked to"


class Endings:
    """What was asked for on each connection, and not answered yet."""

    def __init__(self) -> None:
        self._asked: dict[str, Counter[str]] = {}  # by connection: how often for each symbol

    def sent(self, conn: str, symbols: Iterable[str]) -> None:
        """Take note of a message that was sent, and of whose books it asks to end: of none, in most messages."""
        self._asked.setdefault(conn, Counter()).update(symbols)

    def forget(self, conn: str) -> None:
        """Forget a connection that has ended, or has just begun."""
        self._asked.pop(conn, None)

    def heard(self, conn: str) -> bool:
        """Return whether the stream holds what was sent on that connection."""
        return conn in self._asked

    def answered(self, conn: str, symbol: str) -> bool:
        """Take note that a book has ended; returns whether that was asked for, once for each time it was."""
        asked = self._asked.get(conn)
        if asked is None or not asked[symbol]:
            return False
        asked[symbol] -= 1
        return True
