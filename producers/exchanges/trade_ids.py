"""Which trades are new: after a reconnect a venue sends recent ones again, and no trade may count twice, or be lost.

The ids of a symbol's trades rise, by one at most venues, by more at others (Bitfinex). So of a trade

1. whose id is above the last: it is new, and the ids in between are missing;
2. whose id is missing: it comes late, and is new, once;
3. whose id is far below the last, while its time is after those of all others: the venue's ids began anew (after a
   maintenance, or for a symbol listed again), and from here on these are the last and missing ones;
4. whose id is anything else: it was there before, or is from before the first that was heard.

No time alone could tell: trades of one taker share it, and those sent again have that which they had. After 3 a trade
from before that moment, or above the last of the old ids, is still judged by those: one damaged id, or trades sent
again late, make nothing new.
"""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producers.exchanges.instrument import Instrument

FAR = 8  # ids: one that is nearer to the last is its repetition, whatever time it has
KEPT = 100  # ranges of missing ids of a symbol
log = logging.getLogger(__name__)


class _Numbering:
    """The last id of a symbol, the time of the newest trade, and the ranges of ids, end excluded, that are missing."""

    __slots__ = ("last", "missing", "newest_ns")

    def __init__(self, number: int, ts_ns: int) -> None:
        self.last, self.newest_ns = number, ts_ns
        self.missing: list[tuple[int, int]] = []

    def takes(self, number: int, ts_ns: int) -> bool:
        """Take a trade in, if it is new."""
        if number > self.last:
            if number > self.last + 1:
                self.missing.append((self.last + 1, number))
                del self.missing[:-KEPT]
            self.last = number
        elif not self._fills(number):
            return False
        self.newest_ns = max(self.newest_ns, ts_ns)
        return True

    def _fills(self, number: int) -> bool:
        for i, (first, end) in enumerate(self.missing):
            if first <= number < end:
                self.missing[i : i + 1] = [part for part in ((first, number), (number + 1, end)) if part[0] < part[1]]
                del self.missing[:-KEPT]
                return True
        return False


class TradeIds:
    """The ids of the trades of a parser's symbols."""

    def __init__(self) -> None:
        self._now: dict[str, _Numbering] = {}  # by symbol
        self._before: dict[str, _Numbering] = {}  # the ids that were in use until they began anew
        self._said: set[str] = set()

    def new(self, one: "Instrument", number: int, ts_ns: int) -> bool:
        """Take a trade in; one that is not new is counted as a duplicate. ``ts_ns`` is the venue's time of it."""
        now = self._now.get(one.symbol)
        if now is None:
            self._now[one.symbol] = _Numbering(number, ts_ns)
            return True
        before = self._before.get(one.symbol) if self._before else None
        if before is not None and (number > before.last or ts_ns <= before.newest_ns):
            now = before
            if number > before.last:
                self._now[one.symbol] = self._before.pop(one.symbol)
        if now.takes(number, ts_ns):
            return True
        if number <= now.last - FAR and ts_ns > now.newest_ns:
            self._begin(one, now, number, ts_ns)
            return True
        one.counts.duplicates += 1
        return False

    def _begin(self, one: "Instrument", before: _Numbering, number: int, ts_ns: int) -> None:
        """Apply rule 3."""
        self._before[one.symbol], self._now[one.symbol] = before, _Numbering(number, ts_ns)
        one.counts.renumbered += 1
        if one.symbol not in self._said:
            self._said.add(one.symbol)
            log.warning("%s: %s: trade ids began anew: %d after %d", one.venue, one.symbol, number, before.last)
