"""Compiled kernels that move the windows' clock and take in trades and bar closes."""

import math
from typing import Any

import numpy as np

from quicksilver.compiled import jit
from quicksilver.features.state import (
    BAR_RING,
    BREAK_GRID,
    GRID_NS,
    GRID_PER_BAR,
    MACD_FAST,
    MACD_SIGNAL,
    MACD_SLOW,
    RING,
    RSI_BARS,
    VPIN_BUCKETS,
    VPIN_TRADES,
)

BPS = 1e4


@jit
def _write_boundary(s: Any, cell: int) -> None:
    row = s.ring[cell % RING]
    row[0], row[1], row[2] = s.ofi, s.buy, s.sell
    row[3], row[4], row[5] = s.n_buy, s.n_sell, s.volume
    s.mid_ring[cell % RING] = s.mid


@jit
def close_bar(s: Any, close: float) -> None:
    """Take one bar's close into volatility, RSI (Wilder's smoothing), MACD and momentum."""
    if math.isnan(close):
        return
    change = close - s.bar_close
    if s.n_bars == 0:
        s.ema_fast = s.ema_slow = close
    else:
        log_return = math.log(close / s.bar_close)
        s.squared_returns += log_return * log_return
        weight = 1.0 / min(s.n_bars, RSI_BARS)
        s.gain += weight * (max(change, 0.0) - s.gain)
        s.loss += weight * (max(-change, 0.0) - s.loss)
        s.ema_fast += 2.0 / (MACD_FAST + 1) * (close - s.ema_fast)
        s.ema_slow += 2.0 / (MACD_SLOW + 1) * (close - s.ema_slow)
        s.macd_signal += 2.0 / (MACD_SIGNAL + 1) * (s.ema_fast - s.ema_slow - s.macd_signal)
    row = s.bar_ring[s.n_bars % BAR_RING]
    row[0], row[1] = close, s.squared_returns
    s.bar_close = close
    s.n_bars += 1


@jit
def advance(s: Any, ts_ns: int, clock_bars: bool) -> bool:
    """Move event time to ``ts_ns``; never backwards. True if the silence was a break: the caller must reset.

    ``clock_bars`` is False for price series whose rows are themselves the bars.
    """
    before = (s.ts_ns - 1) // GRID_NS  # a boundary's sums hold what happened at it: it is written by a later event
    s.ts_ns = max(s.ts_ns, ts_ns)
    grid = s.ts_ns // GRID_NS
    if s.grid == 0:
        s.grid = s.first_grid = grid
        _write_boundary(s, grid)
        return False
    if grid - s.grid > BREAK_GRID and clock_bars:
        return True
    passed = (s.ts_ns - 1) // GRID_NS
    first = max(before + 1, passed - (BREAK_GRID if clock_bars else RING))
    for cell in range(first, passed + 1):
        _write_boundary(s, cell)
        if clock_bars and cell % GRID_PER_BAR == 0:
            close_bar(s, s.mid)
    s.grid = grid
    return False


@jit
def add_trade(state: Any, ts_ns: int, size: float, sign: int) -> bool:
    """Take in one trade; ``sign`` is +1 for an aggressive buy, -1 for a sell, 0 where the venue does not say.

    True asks for a reset and a second call.
    """
    s = state[0]
    if advance(s, ts_ns, True):
        return True
    s.volume += size
    s.n_trades += 1.0
    if sign > 0:
        s.buy += size
        s.n_buy += 1.0
    elif sign < 0:
        s.sell += size
        s.n_sell += 1.0
    if sign != 0:
        _fill_buckets(s, size, sign)
    return False


@jit
def _fill_buckets(s: Any, size: float, sign: int) -> None:
    """Fill VPIN's volume buckets; one huge trade fills at most a whole window of them."""
    mean_trade = s.volume / s.n_trades
    if s.bucket_size == 0.0:
        s.bucket_size = VPIN_TRADES * mean_trade
    left = min(size, (VPIN_BUCKETS + 1) * max(s.bucket_size, VPIN_TRADES * mean_trade))
    while left > 0.0:
        part = min(left, s.bucket_size - s.bucket_buy - s.bucket_sell)
        left -= part
        if sign > 0:
            s.bucket_buy += part
        else:
            s.bucket_sell += part
        if s.bucket_buy + s.bucket_sell < s.bucket_size * (1.0 - 1e-12):
            break
        row = s.vpin_ring[s.n_buckets % VPIN_BUCKETS]
        row[0], row[1] = abs(s.bucket_buy - s.bucket_sell), s.bucket_size
        s.n_buckets += 1
        s.bucket_buy = s.bucket_sell = 0.0
        s.bucket_size = VPIN_TRADES * mean_trade


@jit
def vpin(s: Any) -> float:
    """Mean order imbalance of the last buckets by volume, in [0, 1]; NaN until there are enough."""
    if s.n_buckets < VPIN_BUCKETS:
        return np.nan
    imbalance, volume = 0.0, 0.0
    for i in range(VPIN_BUCKETS):
        imbalance += s.vpin_ring[i, 0]
        volume += s.vpin_ring[i, 1]
    return imbalance / volume
