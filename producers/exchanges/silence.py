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
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LEAST_S = 30.0
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
