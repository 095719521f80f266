"""Every exchange that ccxt has and we have not: the frames that the ccxt adapter's feed writes.

Rules (https://docs.ccxt.com/#/ccxt.pro.manual, 2026-11):

1. ``book`` is a whole book, ``change`` what differs since the message before, ``trades`` are new trades.
2. ``n`` rises by one with each message about a symbol's book; else frames were lost on their way here.
3. A ``book`` is repeated each minute: one that is live has it already, a tape that begins in the middle takes it.
4. ``lost`` is what ccxt found itself: a number or a checksum of the venue that does not fit. It is a gap.
5. Trades carry the venue's id where it has one; one seen before is a repetition. One from before its connection is
   history.

What can be proved: that nothing was lost between ccxt and us, and that the book is what ccxt made of the venue's
messages. Whether ccxt has seen all of those is its own to check, and it does for some venues only: for the others
nothing but a crossed book shows a loss. A venue whose books must be proved deserves a file of its own.
"""

import re
from collections.abc import Iterable

import msgspec

from producers.exchanges.base import Parser, Reject, ignore
from producers.exchanges.ccxt_wire import AnyMessage, Book, Change, Execution, Lost, Refused, Trades
from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decoded
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import MAX_BEHIND_NS, MS_NS, WALL_CLOCK_NS, check_time
from quicksilver.errors import FrameError, RefusalError
from quicksilver.events import AnyEvent

KEPT_IDS = 1_000  # trades of a symbol that ccxt keeps, and could say again
_SYMBOL = re.compile(r"[^-:\s]+-[^:\s]+")


class CcxtParser(Parser):
    """The ccxt adapter's frames to events."""

    def __init__(self, venue: str, reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(AnyMessage).decode
        self._scanner = LevelScanner()
        self._last: dict[tuple[str, str], int] = {}  # of connection and symbol
        self._connected_ns: dict[str, int] = {}
        self._ids: dict[str, dict[str, None]] = {}  # by symbol; in order of arrival

    def native(self, symbol: str) -> str:
        """Return what the frames call it: its own name."""
        return symbol

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one message of the feed's.

        Raises:
            FrameError: the frame is unreadable or not of this adapter.
        """
        message = decoded(self._decode, frame.payload)
        if isinstance(message, Refused):
            raise RefusalError(message.reason)
        if not _SYMBOL.fullmatch(message.symbol):
            raise FrameError(f"not a symbol: {message.symbol[:40]!r}")
        one = self.instrument(message.symbol)
        one.counts.frames += 1
        if isinstance(message, Trades):
            self._trades(frame, one, message.trades, events)
        elif self._in_chain(frame, one, message.n, events):
            if isinstance(message, Lost):
                events += one.gap(frame, frame.ts_recv_ns, message.reason)
            elif isinstance(message, Book):
                self._book(frame, one, message, events)
            else:
                self._change(frame, one, message, events)

    def _in_chain(self, frame: Frame, one: Instrument, n: int, events: list[AnyEvent]) -> bool:
        """Apply rule 2; False if the message was seen before."""
        last = self._last.get((frame.conn, one.symbol), 0)
        if n <= last:
            one.counts.duplicates += 1
            return False
        self._last[frame.conn, one.symbol] = n
        if n > last + 1:
            events += one.gap(frame, frame.ts_recv_ns, f"message {n} after {last}: {n - last - 1} lost")
        return True

    def _book(self, frame: Frame, one: Instrument, message: Book, events: list[AnyEvent]) -> None:
        if one.live and one.conn == frame.conn:
            one.counts.skipped += 1
            return
        ts_ns = _time_ns(frame, message.ts)
        if frame.ts_recv_ns > WALL_CLOCK_NS and ts_ns <= frame.ts_recv_ns - MAX_BEHIND_NS:
            ts_ns = frame.ts_recv_ns  # of a quiet market some venues give the time of the last change, days ago
        check_time(frame, ts_ns)
        bids, asks = self._scanner.two(message.bids, message.asks)
        events.append(one.snapshot(frame, ts_ns, bids, asks, message.depth))

    def _change(self, frame: Frame, one: Instrument, message: Change, events: list[AnyEvent]) -> None:
        if not (one.live and one.conn == frame.conn):
            one.counts.skipped += 1  # until a whole book comes; a change is to its own connection's book
            return
        ts_ns = check_time(frame, _time_ns(frame, message.ts))
        bids, asks = self._scanner.two(message.bids, message.asks)
        events.append(one.delta(frame, ts_ns, bids, asks))

    def _trades(self, frame: Frame, one: Instrument, trades: Iterable[Execution], events: list[AnyEvent]) -> None:
        """Apply rule 5."""
        ids = self._ids.setdefault(one.symbol, {})
        since_ns = self._connected_ns.get(frame.conn, 0)
        for trade in trades:
            ts_ns = check_time(frame, _time_ns(frame, trade.ts))
            if ts_ns < since_ns:
                one.counts.skipped += 1
            elif trade.id is not None and trade.id in ids:
                one.counts.duplicates += 1
            else:
                events.append(one.trade(frame, ts_ns, trade.price, trade.size, trade.side, trade.id))
            if trade.id is not None:
                ids[trade.id] = None
                if len(ids) > KEPT_IDS:
                    del ids[next(iter(ids))]

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:  # noqa: ARG002 (the base's signature)
        """Take in nothing: ccxt fetches what it needs itself."""
        self.counts.skipped += 1

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; the numbers of a connection begin anew with it."""
        if frame.direction in {"connect", "disconnect"}:
            self._last = {key: n for key, n in self._last.items() if key[0] != frame.conn}
            self._connected_ns.pop(frame.conn, None)
            if frame.direction == "connect":
                self._connected_ns[frame.conn] = frame.ts_recv_ns
        return super().lost(frame, reason)


def _time_ns(frame: Frame, ts_ms: int | None) -> int:
    return frame.ts_recv_ns if ts_ms is None else ts_ms * MS_NS
