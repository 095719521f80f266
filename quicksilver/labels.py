"""Labels: what the price became, joined by time to the features that existed then, released only when known."""

import math
from collections import deque
from typing import NamedTuple

import msgspec

from quicksilver.records import Direction, Label

BPS = 1e4


class LabelConfig(msgspec.Struct, frozen=True):
    """Horizons, and the fee of one trade in basis points.

    A move is ``down`` or ``up`` only beyond ``2 * fee_bps``, the fees of going in and out. The default of 0.25 is a
    market maker's; with a retail fee of 20 nearly every label below a minute is flat, which is the honest answer.
    """

    horizons_ns: tuple[int, ...] = (1_000_000_000, 5_000_000_000, 30_000_000_000)
    fee_bps: float = 0.25

    @property
    def threshold_bps(self) -> float:
        """Absolute return that covers the fees of going in and out."""
        return 2.0 * self.fee_bps


def uniqueness(every_ns: int, horizon_ns: int) -> float:
    """Return how much of an outcome is news: those of a horizon that is longer than the time between them overlap.

    ``horizon_ns / every_ns`` of them hold the news of one (Lopez de Prado, Advances in Financial Machine Learning,
    2018, chapter 4: average uniqueness).

    >>> uniqueness(1, 4), uniqueness(4, 1)
    (0.25, 1.0)
    """
    return min(1.0, every_ns / horizon_ns)


def round_trip_bps(fee_bps: float, spread_bps: float | None) -> float:
    """Return what a decision that is not flat costs: the fees of going in and out, and half the spread each way.

    Outcomes are from mid to mid, and who trades at once pays half the spread on top. That of the way out is not known
    when one decides, and taken to be as wide as then; a price series has none (None), and of it the fees alone are
    counted. Nothing is counted for latency or for the size of a trade.

    >>> round_trip_bps(0.25, 1.5), round_trip_bps(0.25, None)
    (2.0, 0.5)
    """
    return 2.0 * fee_bps + (0.0 if spread_bps is None else spread_bps)


class _Pending(NamedTuple):
    seq: int
    ts_event_ns: int
    mid: float


class _Saved(msgspec.Struct):
    ts_ns: int
    mid: float | None
    dropped: int
    pending: list[list[_Pending]]


class LabelQueue:
    """The features of one instrument that wait for their outcome.

    The price at t + h is the last mid of an event at or before t + h; it is known once an event after t + h is seen.
    Entries wait in order of time, so each event costs O(labels released). After a gap all that wait are dropped and
    counted in ``dropped``: an outcome across a gap cannot be known.
    """

    def __init__(self, venue: str, symbol: str, config: LabelConfig) -> None:
        self.config = config
        self.dropped = 0
        self._venue, self._symbol = venue, symbol
        self._pending: list[deque[_Pending]] = [deque() for _ in config.horizons_ns]
        self._ts_ns = 0
        self._mid = math.nan

    def on_features(self, seq: int, ts_event_ns: int, mid: float) -> None:
        """Let the features of ``seq`` wait for their labels; call ``on_price`` of the same event first."""
        entry = _Pending(seq, max(ts_event_ns, self._ts_ns), mid)
        for queue in self._pending:
            queue.append(entry)

    def on_price(self, ts_event_ns: int, ts_recv_ns: int, mid: float) -> list[Label]:
        """Take in a mid and return the labels that are known now, by horizon and then by ``seq``."""
        labels: list[Label] = []
        ts_ns = max(ts_event_ns, self._ts_ns)
        for horizon_ns, queue in zip(self.config.horizons_ns, self._pending, strict=True):
            while queue and queue[0].ts_event_ns + horizon_ns < ts_ns:
                labels.append(self._label(queue.popleft(), horizon_ns, ts_ns, ts_recv_ns))
        self._ts_ns, self._mid = ts_ns, mid
        return labels

    def _label(self, then: _Pending, horizon_ns: int, known_ns: int, ts_recv_ns: int) -> Label:
        return_bps = math.log(self._mid / then.mid) * BPS
        threshold = self.config.threshold_bps
        direction: Direction = 1 if return_bps > threshold else -1 if return_bps < -threshold else 0
        return Label(
            self._venue, self._symbol, then.seq, then.ts_event_ns, ts_recv_ns, horizon_ns, known_ns, then.mid,
            self._mid, return_bps, direction,
        )  # fmt: skip

    def gap(self) -> None:
        """Drop all that waits."""
        self.dropped += sum(map(len, self._pending))
        for queue in self._pending:
            queue.clear()
        self._mid = math.nan
        self._ts_ns = 0  # what lies before the gap may have had a wrong clock

    def dump(self) -> bytes:
        """Return the state."""
        mid = None if math.isnan(self._mid) else self._mid
        return msgspec.msgpack.encode(_Saved(self._ts_ns, mid, self.dropped, [list(queue) for queue in self._pending]))

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._ts_ns, self.dropped = saved.ts_ns, saved.dropped
        self._mid = math.nan if saved.mid is None else saved.mid
        self._pending = [deque(queue) for queue in saved.pending]
