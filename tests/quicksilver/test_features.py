"""Features against formulas written a second time, straight from the papers, over lists."""

import math

import numpy as np
import pytest

from quicksilver.events import NO_LEVELS, BookDelta, BookSnapshot, Levels, Price, Trade
from quicksilver.features import FEATURES, FeatureEngine, kernel
from quicksilver.records import Features, Record

START = 1_700_000_000_000_000_000
MS = 1_000_000


def test_specs_fields_and_vector_positions_agree() -> None:
    fields = Features.__struct_fields__[len(Record.__struct_fields__) :]
    assert tuple(spec.name for spec in FEATURES) == fields
    assert len(fields) == kernel.N_FEATURES
    assert fields[kernel.VPIN] == "vpin"
    assert fields[kernel.RETURN_1S] == "return_1s_bps"
    assert fields[kernel.MOMENTUM] == "momentum_bps"
    assert all(spec.formula and spec.unit and spec.warm_up for spec in FEATURES)


class Market:
    """A random book of ten levels a side in steps of 37 ms, with trades, remembered in lists."""

    def __init__(self, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        self.engine = FeatureEngine()
        self.tops: list[tuple[int, float, float, float, float]] = []
        self.trades: list[tuple[int, float, int]] = []
        self.rows: list[Features] = []
        ts, middle = START, 10_000
        for seq in range(1, n + 1):
            ts += 37 * MS
            middle += int(rng.integers(-1, 2))
            if rng.random() < 0.5:
                sign = 1 if rng.random() < 0.6 else -1
                size = float(rng.exponential())
                self.trades.append((ts, size, sign))
                side = "buy" if sign > 0 else "sell"
                self.engine.trade(Trade("v", "A-B", seq, ts, ts, 1.0, size, side))  # type: ignore[arg-type]
            self.bids = [(middle - 1 - i, float(rng.integers(1, 50))) for i in range(10)]
            self.asks = [(middle + 1 + i, float(rng.integers(1, 50))) for i in range(10)]
            event = BookSnapshot("v", "A-B", seq, ts, ts, Levels.of(self.bids), Levels.of(self.asks), 10)
            assert self.engine.snapshot(event)
            self.tops.append((ts, self.bids[0][0], self.bids[0][1], self.asks[0][0], self.asks[0][1]))
            self.rows.append(self.engine.features(event))

    def window_start(self, seconds: int) -> int:
        """The grid boundary that a window of that length reaches back to."""
        return self.tops[-1][0] // (100 * MS) * (100 * MS) - seconds * 1000 * MS


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(1, 3000)


def test_depth_features(market: Market) -> None:
    row, bids, asks = market.rows[-1], market.bids, market.asks
    (bid, q_b), (ask, q_a) = bids[0], asks[0]
    mid = (bid + ask) / 2
    assert row.mid == mid
    assert row.spread_bps == pytest.approx((ask - bid) / mid * 1e4)
    assert row.microprice == pytest.approx((bid * q_a + ask * q_b) / (q_a + q_b))
    for k, value in ((1, row.imbalance_1), (5, row.imbalance_5), (10, row.imbalance_10)):
        b, a = sum(size for _, size in bids[:k]), sum(size for _, size in asks[:k])
        assert value == pytest.approx((b - a) / (b + a))
    for side, value in ((bids, row.depth_slope_bid), (asks, row.depth_slope_ask)):
        x = np.array([abs(price - mid) / mid * 1e4 for price, _ in side])
        y = np.cumsum([size for _, size in side])
        assert value == pytest.approx(float(x @ y / (x @ x)))


def test_order_flow_imbalance_of_cont_kukanov_stoikov(market: Market) -> None:
    for seconds, value in ((1, market.rows[-1].ofi_1s), (10, market.rows[-1].ofi_10s)):
        start, total = market.window_start(seconds), 0.0
        for (_, b0, qb0, a0, qa0), (ts, b1, qb1, a1, qa1) in zip(market.tops, market.tops[1:], strict=False):
            if ts >= start:
                total += (b1 >= b0) * qb1 - (b1 <= b0) * qb0 - (a1 <= a0) * qa1 + (a1 >= a0) * qa0
        assert value == pytest.approx(total)


def test_trade_windows(market: Market) -> None:
    row, start = market.rows[-1], market.window_start(10)
    signs = [sign for ts, _, sign in market.trades if ts >= start]
    assert row.trade_imbalance_10s == pytest.approx(sum(signs) / len(signs))
    assert row.volume_10s == pytest.approx(sum(size for ts, size, _ in market.trades if ts >= start))
    assert row.volume_60s == pytest.approx(sum(size for ts, size, _ in market.trades if ts >= market.window_start(60)))
    assert row.vpin is not None
    assert 0.0 < row.vpin < 1.0


def mid_before(market: Market, ts: int) -> float:
    return [(b + a) / 2 for at, b, _, a, _ in market.tops if at < ts][-1]


def test_returns_and_realised_volatility(market: Market) -> None:
    row = market.rows[-1]
    assert row.mid is not None
    for seconds, value in ((1, row.return_1s_bps), (10, row.return_10s_bps), (60, row.return_60s_bps)):
        assert value == pytest.approx(math.log(row.mid / mid_before(market, market.window_start(seconds))) * 1e4)
    second = 1000 * MS
    last = market.tops[-1][0] // second * second
    for bars, value in ((10, row.volatility_10s_bps), (60, row.volatility_60s_bps)):
        closes = [mid_before(market, last - i * second) for i in range(bars + 1)]
        squares = sum(math.log(a / b) ** 2 for a, b in zip(closes, closes[1:], strict=False))
        assert value == pytest.approx(math.sqrt(squares) * 1e4)
    assert row.volatility_300s_bps is None  # 111 s of data


def test_rsi_and_macd_of_a_price_series() -> None:
    """On price series each row is a bar."""
    rng = np.random.default_rng(2)
    closes = (100 * np.exp(np.cumsum(rng.normal(0, 0.01, 80)))).tolist()
    engine = FeatureEngine()
    for i, close in enumerate(closes):
        engine.price(Price("csv", "A-B", i + 1, START + i * 60_000 * MS, 0, close, 2.0))
    row = engine.features(Price("csv", "A-B", 80, START, START, closes[-1]))
    fast = slow = closes[0]
    signal = gain = loss = 0.0
    for n, (before, close) in enumerate(zip(closes, closes[1:], strict=False), 1):
        weight = 1 / min(n, 14)
        gain += weight * (max(close - before, 0) - gain)
        loss += weight * (max(before - close, 0) - loss)
        fast += 2 / 13 * (close - fast)
        slow += 2 / 27 * (close - slow)
        signal += 2 / 10 * (fast - slow - signal)
    assert row.rsi_14 == pytest.approx(100 * gain / (gain + loss))
    assert row.macd_bps == pytest.approx((fast - slow) / closes[-1] * 1e4)
    assert row.macd_signal_bps == pytest.approx(signal / closes[-1] * 1e4)
    assert row.momentum_bps == pytest.approx(math.log(closes[-1] / closes[-31]) * 1e4)
    assert row.spread_bps is None


def test_ticks_are_counted_between_tops(market: Market) -> None:
    mids = [(b + a) / 2 for _, b, _, a, _ in market.tops]
    ups = sum(b > a for a, b in zip(mids, mids[1:], strict=False))
    notional = sum(one[3] * one[4] for one, a, b in zip(market.tops, mids, mids[1:], strict=False) if b > a)
    event = BookDelta("v", "A-B", 9999, market.tops[-1][0], 0, NO_LEVELS, NO_LEVELS)
    top = market.engine.top(event, 5)
    assert top.upticks == ups
    assert top.uptick_notional == pytest.approx(notional)
    assert [level.price for level in top.bids] == [price for price, _ in market.bids[:5]]
    assert market.engine.top(event, 5).upticks == 0


def test_windows_warm_up_and_start_anew_after_a_gap() -> None:
    market = Market(4, 40)
    assert market.rows[0].ofi_1s is None
    assert market.rows[-1].ofi_1s is not None
    market.engine.gap()
    assert np.isnan(market.engine.vector).all()
    event = BookSnapshot("v", "A-B", 41, START + 9_000 * MS, 0, Levels.of(market.bids), Levels.of(market.asks), 10)
    market.engine.snapshot(event)
    row = market.engine.features(event)
    assert row.mid is not None
    assert row.ofi_1s is None
    assert row.return_1s_bps is None


def test_a_long_silence_starts_the_windows_anew() -> None:
    market = Market(4, 40)
    event = BookSnapshot("v", "A-B", 41, START + 400_000 * MS, 0, Levels.of(market.bids), Levels.of(market.asks), 10)
    assert market.engine.snapshot(event)
    row = market.engine.features(event)
    assert row.mid is not None
    assert row.return_1s_bps is None


def test_time_that_goes_back_harms_nothing() -> None:
    market = Market(4, 40)
    event = BookSnapshot("v", "A-B", 41, START - 10**12, 0, Levels.of(market.bids), Levels.of(market.asks), 10)
    assert market.engine.snapshot(event)
    assert market.engine.features(event).ofi_1s is not None


def test_a_crossed_book_gives_no_features() -> None:
    engine = FeatureEngine()
    crossed = BookSnapshot("v", "A-B", 1, START, START, Levels.of([(11, 1)]), Levels.of([(10, 1)]))
    assert not engine.snapshot(crossed)
    assert not engine.book.ready
    assert engine.book.crossed == 1


def test_a_one_sided_book_has_no_mid() -> None:
    engine = FeatureEngine()
    event = BookSnapshot("v", "A-B", 1, START, START, Levels.of([(11, 1)]), NO_LEVELS)
    assert engine.snapshot(event)
    assert engine.features(event).mid is None
