"""Every feature a second time, from ``spec.py``'s formulas and the papers: slow, over lists of all that happened.

``Reference`` keeps lists of what it was told and shares no code with the kernels. Its own tests are worked by hand.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import TypeAlias, TypeVar

import numpy as np
import pytest

from quicksilver.records import Features, Record

S = 1_000_000_000
GRID = S // 10
BREAK = 301 * S
BPS = 1e4
FIELDS = Features.__struct_fields__[len(Record.__struct_fields__) :]

Row: TypeAlias = dict[str, float | None]
Level: TypeAlias = tuple[float, float]
T = TypeVar("T")


def floor(ts: int, step: int) -> int:
    return ts - ts % step


def since(edge: int, timed: Sequence[tuple[int, T]]) -> list[T]:
    """What happened after ``edge``."""
    return [what for _, what in timed[bisect_right(timed, edge, key=itemgetter(0)) :]]


def at(edge: int, timed: Sequence[tuple[int, float]]) -> float | None:
    """The last value at or before ``edge``: previous-tick sampling."""
    i = bisect_right(timed, edge, key=itemgetter(0))
    return timed[i - 1][1] if i else None


class Reference:
    """One instrument's features; its book comes as sorted lists of ``(price, size)``, best first."""

    def __init__(self) -> None:
        self.gap()

    def gap(self) -> None:
        self.times: list[int] = []
        self.tops: list[tuple[float, float, float, float]] = []
        self.mids: list[tuple[int, float]] = []
        self.flows: list[tuple[int, float]] = []
        self.trades: list[tuple[int, tuple[float, int]]] = []
        self.volumes: list[tuple[int, float]] = []
        self.rows_as_bars: list[float] = []
        self.top()

    def top(self) -> None:
        """Ticks are counted from here on."""
        self.ups: list[float] = []
        self.downs: list[float] = []

    @property
    def now(self) -> int:
        return self.times[-1]

    def _clock(self, ts: int, breaks: bool) -> None:
        """Time never runs backwards; a silence beyond 301 s starts everything anew."""
        if breaks and self.times and floor(ts, GRID) - floor(self.now, GRID) > BREAK:
            self.gap()
        self.times.append(max(ts, self.times[-1]) if self.times else ts)

    def trade(self, ts: int, size: float, sign: int) -> None:
        self._clock(ts, True)
        self.trades.append((self.now, (size, sign)))
        self.volumes.append((self.now, size))

    def book(self, ts: int, bids: Sequence[Level], asks: Sequence[Level]) -> Row:
        self._clock(ts, True)
        row: Row = dict.fromkeys(FIELDS)
        if bids and asks:
            self._best((*bids[0], *asks[0]))
            row |= depth(bids, asks)
        row |= {
            "ofi_1s": self._ofi(1), "ofi_10s": self._ofi(10),
            "trade_imbalance_10s": self._trade_imbalance(10), "vpin": vpin([trade for _, trade in self.trades]),
            "upticks": float(len(self.ups)), "downticks": float(len(self.downs)),
            "uptick_notional": sum(self.ups), "downtick_notional": sum(self.downs),
            "volume_10s": self._volume(10), "volume_60s": self._volume(60),
        }  # fmt: skip
        first = self.mids[0][0] if self.mids else self.now
        closes = [at(end, self.mids) for end in range(-(-first // S) * S, self.now, S)]
        return row | self._price([close for close in closes if close is not None])

    def price(self, ts: int, price: float, volume: float | None) -> Row:
        """A row of a price series is a bar."""
        self._clock(ts, False)
        self.mids.append((self.now, price))
        self.rows_as_bars.append(price)
        row: Row = dict.fromkeys(FIELDS)
        if volume is not None:
            self.volumes.append((self.now, volume))
            row |= {"volume_10s": self._volume(10), "volume_60s": self._volume(60)}
        return row | {"mid": price} | self._price(self.rows_as_bars)

    def _best(self, top: tuple[float, float, float, float]) -> None:
        """Cont, Kukanov, Stoikov 2014, eq. 10; a move of the mid is a tick."""
        b1, qb1, a1, qa1 = top
        mid = (b1 + a1) / 2
        if self.tops:
            b0, qb0, a0, qa0 = self.tops[-1]
            flow = (b1 >= b0) * qb1 - (b1 <= b0) * qb0 - (a1 <= a0) * qa1 + (a1 >= a0) * qa0
            self.flows.append((self.now, flow))
            if mid > (b0 + a0) / 2:
                self.ups.append(a0 * qa0)
            if mid < (b0 + a0) / 2:
                self.downs.append(b0 * qb0)
        self.tops.append(top)
        self.mids.append((self.now, mid))

    def _edge(self, seconds: int) -> int:
        """Where the window of that length begins."""
        return floor(self.now, GRID) - seconds * S

    def _seen(self, seconds: int, first: int) -> bool:
        return floor(first, GRID) <= self._edge(seconds)

    def _ofi(self, seconds: int) -> float | None:
        """Known once the book has been known for that long."""
        if not self.mids or not self._seen(seconds, self.mids[0][0]):
            return None
        return sum(since(self._edge(seconds), self.flows))

    def _volume(self, seconds: int) -> float | None:
        return sum(since(self._edge(seconds), self.volumes)) if self._seen(seconds, self.times[0]) else None

    def _trade_imbalance(self, seconds: int) -> float | None:
        signs = [sign for _, sign in since(self._edge(seconds), self.trades) if sign]
        return sum(signs) / len(signs) if signs and self._seen(seconds, self.times[0]) else None

    def _price(self, closes: list[float]) -> Row:
        row: Row = {}
        mid = self.mids[-1][1] if self.mids else math.nan
        for seconds in (1, 10, 60):
            before = at(self._edge(seconds), self.mids)
            row[f"return_{seconds}s_bps"] = None if before is None else math.log(mid / before) * BPS
        for bars in (10, 60, 300):
            row[f"volatility_{bars}s_bps"] = volatility(closes, bars)
        fast, slow = ema(closes, 12), ema(closes, 26)
        macd = [a - b for a, b in zip(fast, slow, strict=True)]
        return row | {
            "rsi_14": rsi(closes, 14),
            "macd_bps": macd[-1] / mid * BPS if len(closes) >= 26 else None,
            "macd_signal_bps": ema(macd, 9)[-1] / mid * BPS if len(closes) >= 26 + 9 else None,
            "momentum_bps": math.log(mid / closes[-31]) * BPS if len(closes) > 30 else None,
        }


def depth(bids: Sequence[Level], asks: Sequence[Level]) -> Row:
    (bid, q_b), (ask, q_a) = bids[0], asks[0]
    mid = (bid + ask) / 2
    row: Row = {"mid": mid, "spread_bps": (ask - bid) / mid * BPS}
    row["microprice"] = (bid * q_a + ask * q_b) / (q_b + q_a)
    for k in (1, 5, 10):
        b, a = sum(size for _, size in bids[:k]), sum(size for _, size in asks[:k])
        row[f"imbalance_{k}"] = (b - a) / (b + a)
    for name, side in (("depth_slope_bid", bids[:10]), ("depth_slope_ask", asks[:10])):
        distance = np.array([abs(price - mid) / mid * BPS for price, _ in side])[:, None]
        row[name] = float(np.linalg.lstsq(distance, np.cumsum([size for _, size in side]), rcond=None)[0][0])
    return row


def vpin(trades: Sequence[tuple[float, int]]) -> float | None:
    """Easley, Lopez de Prado, O'Hara 2012, on the axis of signed volume: buckets are intervals of it.

    A bucket is as large as 20 trades, by the mean of all trades up to the one that began it.
    """
    if not any(size and sign for size, sign in trades):
        return None
    sizes, signs = np.array(trades).T
    end = np.cumsum(sizes * (signs != 0))  # where each trade ends on the axis
    bought = np.cumsum(sizes * (signs > 0))
    mean = np.cumsum(sizes) / np.arange(1, len(sizes) + 1)
    edges, width = [0.0], 20 * mean[np.flatnonzero(end)[0]]
    while edges[-1] + width <= end[-1] * (1 + 1e-11):
        edges.append(edges[-1] + width)
        width = 20 * mean[np.searchsorted(end * (1 + 1e-11), edges[-1])]
    if len(edges) <= 20:
        return None
    volume = np.diff(edges)[-20:]
    buys = np.diff(np.interp(edges, [0.0, *end], [0.0, *bought]))[-20:]
    return float(np.abs(buys - (volume - buys)).sum() / volume.sum())


def volatility(closes: Sequence[float], bars: int) -> float | None:
    """Andersen, Bollerslev 1998: the root of the realised variance of as many returns, which take one bar more."""
    if len(closes) < bars + 1:
        return None
    return math.sqrt(sum(math.log(b / a) ** 2 for a, b in pairwise(closes[-bars - 1 :]))) * BPS


def wilder(values: Iterable[float], n: int) -> float:
    """Wilder 1978: the plain mean of the first ``n``; then each new value counts 1 / n, the mean before it the rest."""
    listed = list(values)
    mean = sum(listed[:n]) / n
    for value in listed[n:]:
        mean = (mean * (n - 1) + value) / n
    return mean


def rsi(closes: Sequence[float], n: int) -> float | None:
    """100 - 100 / (1 + RS), RS = mean gain / mean loss; a price that never moved is at 50."""
    if len(closes) < n + 1:
        return None
    gain = wilder((max(b - a, 0.0) for a, b in pairwise(closes)), n)
    loss = wilder((max(a - b, 0.0) for a, b in pairwise(closes)), n)
    if loss == 0.0:
        return 100.0 if gain else 50.0
    return 100.0 - 100.0 / (1.0 + gain / loss)


def ema(values: Sequence[float], n: int) -> list[float]:
    """Appel 1979: smoothing 2 / (n + 1), begun at the first value."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else 2 / (n + 1) * value + (1 - 2 / (n + 1)) * out[-1])
    return out


def differences(ours: Row, theirs: Sequence[float]) -> list[str]:
    """Fields in which a vector differs from the reference's row; NaN is None."""
    wrong = []
    for name, value in zip(FIELDS, theirs, strict=True):
        expected = ours[name]
        if expected is None or math.isnan(value):
            same = expected is None and math.isnan(value)
        else:
            same = math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-6)
        if not same:
            wrong.append(f"{name}: {value}, the reference says {expected}")
    return wrong


def test_vpin_by_hand() -> None:
    """20 trades of 1 fill a bucket; a trade that crosses an edge is divided."""
    assert vpin([(1.0, 1)] * 399) is None
    assert vpin([(1.0, 1)] * 400) == 1.0
    assert vpin([(1.0, 1), (1.0, -1)] * 200) == 0.0
    assert vpin([(1.0, 1)] * 300 + [(1.0, -1)] * 115) == 1.0
    # buckets of 20, the last full one 15 bought and 5 sold
    assert vpin([(1.0, 1)] * 395 + [(1.0, -1)] * 5) == pytest.approx((19 * 20 + 10) / 400)
    # one bucket of 20; the trade of 420 then makes the mean 440 / 21, so it goes on into one of 419.05: not filled
    assert vpin([(1.0, 1)] * 19 + [(421.0, -1)]) is None


def test_indicators_by_hand() -> None:
    assert ema([1.0, 2.0, 4.0], 3) == [1.0, 1.5, 2.75]
    assert wilder([2.0, 4.0, 6.0], 2) == 4.5
    assert rsi([float(x) for x in range(15)], 14) == 100.0
    assert rsi([1.0, 2.0] * 7 + [1.0], 14) == pytest.approx(50.0)
    assert rsi([5.0] * 20, 14) == 50.0
    assert volatility([1.0, math.e, 1.0], 2) == pytest.approx(math.sqrt(2.0) * BPS)
    assert volatility([1.0, math.e, 1.0], 3) is None


def test_rsi_of_a_published_example() -> None:
    """The closes and the first values of StockCharts' RSI spreadsheet, "ChartSchool: Relative Strength Index"."""
    closes = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
        45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222,
    ]  # fmt: skip
    values = [rsi(closes[:n], 14) for n in range(15, 20)]
    assert values == pytest.approx([70.53, 66.32, 66.55, 69.41, 66.36], abs=0.01)
