"""Which symbols have been silent far longer than is usual for them, while their venue goes on.

A venue can forget one subscription of a connection whose other symbols go on; its heartbeat then shows nothing. Each
symbol has a rhythm of its own: bitcoin speaks ten times a second, some pairs once an hour. So a symbol is overdue

1. after ``LEAST_S``, whatever its rhythm,
2. and ``TIMES`` its mean interval (of the last hundred messages or so),
3. and ``LONGEST`` times the longest silence that it has ended by itself; that is forgotten slowly.

Who has said less than ``KNOWN`` messages has no rhythm yet. Each time that asking anew is in vain the symbol is given
twice as long: it was simply quiet. Messages that carry no prices count too: Bitfinex sends a heartbeat each 15 s for
each channel (https://docs.bitfinex.com/docs/ws-general), Coinbase Exchange one a second for each product
(https://docs.cdp.coinbase.com/exchange/websocket-feed/channels).

So they hide it if the book alone was forgotten. A book that says nothing may simply not move, for hours, and is left in
peace, unless its symbol is traded: a trade takes from the book, which has to say so. A live book is still

1. after ``LEAST_S`` without a word, whatever else is heard of its symbol,
2. if a trade came ``APART_S`` or more after its last word: what is nearer may belong to that,
3. and ``APART_S`` have passed since, in which the change could still have come.

Asking in vain is done ever more seldom here, too: orders that no book shows are traded as well. Without trades it shows
by audits alone: three in a row that differ put any book in doubt (``producers/audits.py``), and it is asked for anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LEAST_S = 30.0
APART_S = 5.0
TIMES = 20.0
LONGEST = 3.0
KNOWN = 20  # messages
WEIGHT = 0.01  # of one more message in the mean interval
FADES = 0.999  # of the longest silence, with each message


class Overdue(NamedTuple):
    """A symbol that has said nothing for ``silent_s``, when it usually speaks each ``usual_s``."""

    symbol: str
    silent_s: float
    usual_s: float


@dataclass(slots=True)
class _Rhythm:
    messages: int  # so far, as counted by who reads them
    spoke_s: float
    known: int = 0  # messages that the rhythm is made of
    mean_s: float = 0.0
    longest_s: float = 0.0
    asked_s: float = 0.0  # when it was asked anew, since it spoke last
    patience: float = 1.0

    def hear(self, messages: int, now_s: float) -> None:
        """Take in that there were messages since the last look."""
        n, silence_s = messages - self.messages, now_s - self.spoke_s
        kept = (1.0 - WEIGHT) ** n if self.known else 0.0
        self.mean_s = kept * self.mean_s + (1.0 - kept) * silence_s / n
        if not self.asked_s:
            self.longest_s = max(self.longest_s * FADES**n, silence_s)
            self.patience = max(1.0, self.patience * FADES**n)
        self.messages, self.spoke_s, self.asked_s = messages, now_s, 0.0
        self.known += n

    def late(self, now_s: float) -> bool:
        limit_s = self.patience * max(LEAST_S, TIMES * self.mean_s, LONGEST * self.longest_s)
        return self.known >= KNOWN and now_s - max(self.spoke_s, self.asked_s) > limit_s


class Silences:
    """The rhythms of a venue's symbols."""

    def __init__(self) -> None:
        self._rhythms: dict[str, _Rhythm] = {}

    def look(self, messages: Mapping[str, int], now_s: float) -> list[Overdue]:
        """Take in how many messages of each symbol there have been, and return who is overdue; ask them anew.

        Look about each second, and only while the venue goes on: the time of a broken connection is no silence of a
        symbol's (``forget``).
        """
        found = []
        for symbol, n in messages.items():
            rhythm = self._rhythms.get(symbol)
            if rhythm is None:
                self._rhythms[symbol] = _Rhythm(n, now_s)
            elif n > rhythm.messages:
                rhythm.hear(n, now_s)
            elif rhythm.late(now_s):
                found.append(Overdue(symbol, now_s - rhythm.spoke_s, rhythm.mean_s))
                rhythm.asked_s = now_s
                rhythm.patience *= 2.0
        return found

    def forget(self, symbols: Iterable[str]) -> None:
        """Begin anew with these symbols: they were asked for anew, or are no longer."""
        for symbol in symbols:
            self._rhythms.pop(symbol, None)


class Told(NamedTuple):
    """How many words a symbol's book has said so far, and how many trades there were."""

    words: int
    trades: int


@dataclass(slots=True)
class _Still:
    told: Told  # when the book spoke last; the trades also as of ``APART_S`` later
    spoke_s: float
    traded_s: float = 0.0  # when the first trade was seen that the book said nothing of
    asked: bool = False
    patience: float = 1.0

    def hear(self, told: Told, now_s: float) -> None:
        """Take in what there is; the book's first word after it was asked anew is an answer, and proves nothing."""
        if told.words != self.told.words:
            self.patience = self.patience if self.asked else 1.0
            self.told, self.spoke_s, self.traded_s, self.asked = told, now_s, 0.0, False
        elif now_s - self.spoke_s < APART_S:
            self.told = told
        elif told.trades > self.told.trades and not self.traded_s:
            self.traded_s = now_s

    def late(self, now_s: float) -> bool:
        silent = now_s - self.spoke_s >= self.patience * LEAST_S
        return silent and self.traded_s > 0.0 and now_s - self.traded_s >= APART_S


class StillBooks:
    """The live books of a venue that say nothing although their symbols are traded."""

    def __init__(self) -> None:
        self._books: dict[str, _Still] = {}

    def look(self, told: Mapping[str, Told], now_s: float) -> list[tuple[str, float]]:
        """Take in what the live books have said; return those to be asked anew, and for how long they were still.

        Look about each second; a book that is not among them begins anew when it is again.
        """
        self._books = {symbol: one for symbol, one in self._books.items() if symbol in told}
        found = []
        for symbol, said in told.items():
            one = self._books.setdefault(symbol, _Still(said, now_s))
            one.hear(said, now_s)
            if one.late(now_s):
                found.append((symbol, now_s - one.spoke_s))
                one.told, one.spoke_s, one.traded_s, one.asked = said, now_s, 0.0, True
                one.patience *= 2.0
        return found
