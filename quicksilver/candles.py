"""Candles from trades, or from mids where a feed has no trades, or from the rows of a price series."""

from typing import Literal, TypeAlias

import msgspec

from quicksilver.events import Price, Trade
from quicksilver.records import Candle

Source: TypeAlias = Literal["trade", "mid", "price"]


class _Forming(msgspec.Struct):
    """The candle that is being built, and when it was last emitted."""

    source: Source
    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    buy_volume: float = 0.0
    trades: int = 0
    emitted_ns: int = 0


class CandleBuilder:
    """One instrument's candles of one interval.

    A candle closes when an event at or beyond its end arrives; an interval without events has none. Closed candles
    are never rewritten: an event that comes after its interval's candle has closed counts into the next one. The
    forming one is emitted at most every ``emit_every_ns``. Candles are of mids until the first trade, of trades from
    the next interval on; that first trade's own candle keeps the prices of mids and takes in the trades' volume.
    """

    def __init__(self, venue: str, symbol: str, interval_ns: int, emit_every_ns: int) -> None:
        self.interval_ns = interval_ns
        self._venue, self._symbol = venue, symbol
        self._emit_every_ns = emit_every_ns
        self._forming: _Forming | None = None
        self._has_trades = False
        self._quiet_until_ns = 0
        self._closed_until_ns = 0

    def on_mid(self, seq: int, ts_event_ns: int, ts_recv_ns: int, mid: float) -> list[Candle]:
        """Take in a book's mid; a few comparisons unless something is to be emitted."""
        forming = self._forming
        if forming is None:
            if self._has_trades:
                return []
        elif ts_event_ns < self._quiet_until_ns:
            if forming.source == "mid":
                if mid > forming.high:
                    forming.high = mid
                elif mid < forming.low:
                    forming.low = mid
                forming.close = mid
            return []
        elif self._has_trades:
            if ts_event_ns >= forming.open_ns + self.interval_ns:
                return self._close(seq, ts_event_ns, ts_recv_ns)
            if forming.source == "trade":
                return []
        return self._take("mid", seq, ts_event_ns, ts_recv_ns, _Forming("mid", 0, mid, mid, mid, mid))

    def on_trade(self, event: Trade) -> list[Candle]:
        """Take in a trade."""
        self._has_trades = True
        bought = event.size if event.side == "buy" else 0.0
        price = event.price
        one = _Forming("trade", 0, price, price, price, price, event.size, bought, 1)
        return self._take("trade", event.seq, event.ts_event_ns, event.ts_recv_ns, one)

    def on_price(self, event: Price) -> list[Candle]:
        """Take in a row of a price series, itself perhaps a candle."""
        price = event.price
        one = _Forming(
            "price",
            0,
            price if event.open is None else event.open,
            price if event.high is None else event.high,
            price if event.low is None else event.low,
            price,
            event.volume or 0.0,
        )
        return self._take("price", event.seq, event.ts_event_ns, event.ts_recv_ns, one)

    def _take(self, source: Source, seq: int, ts_event_ns: int, ts_recv_ns: int, one: _Forming) -> list[Candle]:
        """Fold ``one`` event into the forming candle, or close that and begin anew."""
        closed: list[Candle] = []
        forming = self._forming
        if forming is not None and ts_event_ns >= forming.open_ns + self.interval_ns:
            closed = self._close(seq, ts_event_ns, ts_recv_ns)
            forming = None
        if forming is None:
            one.open_ns = max(ts_event_ns - ts_event_ns % self.interval_ns, self._closed_until_ns)
            forming = self._forming = one
        elif forming.source == source:
            forming.high = max(forming.high, one.high)
            forming.low = min(forming.low, one.low)
            forming.close = one.close
            _add_volume(forming, one)
        else:  # the first trades, within a candle of mids: its prices stay mids
            _add_volume(forming, one)
        if ts_event_ns - forming.emitted_ns < self._emit_every_ns:
            return closed
        forming.emitted_ns = ts_event_ns
        end_ns = forming.open_ns + self.interval_ns
        self._quiet_until_ns = min(ts_event_ns + self._emit_every_ns, end_ns)
        return [*closed, self._record(forming, seq, ts_event_ns, ts_recv_ns, False)]

    def _close(self, seq: int, ts_event_ns: int, ts_recv_ns: int) -> list[Candle]:
        forming, self._forming = self._forming, None
        if forming is None:
            return []
        self._quiet_until_ns = 0
        self._closed_until_ns = forming.open_ns + self.interval_ns
        return [self._record(forming, seq, ts_event_ns, ts_recv_ns, True)]

    def _record(self, one: _Forming, seq: int, ts_event_ns: int, ts_recv_ns: int, closed: bool) -> Candle:
        return Candle(
            self._venue, self._symbol, seq, ts_event_ns, ts_recv_ns, one.open_ns, self.interval_ns, one.open, one.high,
            one.low, one.close, one.volume, one.buy_volume, one.trades, one.source, closed,
        )  # fmt: skip

    def dump(self) -> bytes:
        """Return the state."""
        saved = (self._forming, self._has_trades, self._quiet_until_ns, self._closed_until_ns)
        return msgspec.msgpack.encode(saved)

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=tuple[_Forming | None, bool, int, int])
        self._forming, self._has_trades, self._quiet_until_ns, self._closed_until_ns = saved


def _add_volume(forming: _Forming, one: _Forming) -> None:
    forming.volume += one.volume
    forming.buy_volume += one.buy_volume
    forming.trades += one.trades
