"""The compiled feature kernel: one call takes a book message in and writes one feature vector out."""

import math
from typing import Any

from quicksilver.book import ASKS, BIDS, CAPACITY, N_ASKS, N_BIDS, apply_delta, best, best_size, side_start
from quicksilver.compiled import jit
from quicksilver.events import FloatArray
from quicksilver.features.clock import BPS, advance, close_bar, vpin
from quicksilver.features.state import (
    BAR_RING,
    MACD_SIGNAL,
    MACD_SLOW,
    MOMENTUM_BARS,
    RING,
    RSI_BARS,
)

# Positions in a feature vector, in the order of records.Features.
(
    MID, SPREAD, MICROPRICE, IMBALANCE_1, IMBALANCE_5, IMBALANCE_10, OFI_1S, OFI_10S, SLOPE_BID, SLOPE_ASK,
    TRADE_IMBALANCE, VOLUME_10S, VOLUME_60S, VPIN, UPTICKS, DOWNTICKS, UPTICK_NOTIONAL, DOWNTICK_NOTIONAL,
    RETURN_1S, RETURN_10S, RETURN_60S, VOLATILITY_10S, VOLATILITY_60S, VOLATILITY_300S, RSI, MACD, SIGNAL,
    MOMENTUM,
) = range(28)  # fmt: skip
N_FEATURES = MOMENTUM + 1
READ_LEVELS = 10
FULL, BROKEN, BREAK, OK = -3, -2, -1, 0


@jit
def take_top(s: Any, bid: float, bid_size: float, ask: float, ask_size: float) -> None:
    """Take in new best levels: order-flow imbalance, ticks and the mid."""
    mid = 0.5 * (bid + ask)
    if not math.isnan(s.bid):
        flow = 0.0
        if bid >= s.bid:
            flow += bid_size
        if bid <= s.bid:
            flow -= s.bid_size
        if ask <= s.ask:
            flow -= ask_size
        if ask >= s.ask:
            flow += s.ask_size
        s.ofi += flow
        if mid > s.mid:
            s.upticks += 1.0
            s.uptick_notional += s.ask * s.ask_size
            s.full_upticks += 1.0
            s.full_uptick_notional += s.ask * s.ask_size
        elif mid < s.mid:
            s.downticks += 1.0
            s.downtick_notional += s.bid * s.bid_size
            s.full_downticks += 1.0
            s.full_downtick_notional += s.bid * s.bid_size
    s.bid, s.bid_size, s.ask, s.ask_size = bid, bid_size, ask, ask_size
    take_mid(s, mid)


@jit
def take_mid(s: Any, mid: float) -> None:
    """Take in a new price."""
    s.mid = mid
    if s.first_mid_grid == 0:
        s.first_mid_grid = s.grid
        s.bar_close = mid


@jit
def _side_depth(block: FloatArray, side: int, mid: float) -> tuple[float, float, float, float]:
    """Size of the best 1, 5 and 10 levels, and the slope of cumulative size on distance from ``mid`` in bps."""
    start = side_start(int(block[CAPACITY]), side)
    at = start + 2 * int(block[N_BIDS + side]) - 2
    k, size_1, size_5, total, xy, xx = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    while k < READ_LEVELS and at >= start:
        size = block[at + 1]
        if size > 0.0:
            k += 1
            total += size
            if k == 1:
                size_1 = total
            if k <= 5:
                size_5 = total
            x = abs(mid - block[at]) / mid * BPS
            xy += x * total
            xx += x * x
        at -= 2
    return size_1, size_5, total, xy / xx


@jit
def write_depth(block: FloatArray, out: FloatArray) -> None:
    """Write the features that read the book's levels: spread, microprice, imbalances, slopes."""
    bid, ask = best(block, BIDS), best(block, ASKS)
    mid = 0.5 * (bid + ask)
    bids, bids_5, bids_10, out[SLOPE_BID] = _side_depth(block, BIDS, mid)
    asks, asks_5, asks_10, out[SLOPE_ASK] = _side_depth(block, ASKS, mid)
    out[MID] = mid
    out[SPREAD] = (ask - bid) / mid * BPS
    out[MICROPRICE] = (bid * asks + ask * bids) / (bids + asks)
    out[IMBALANCE_1] = (bids - asks) / (bids + asks)
    out[IMBALANCE_5] = (bids_5 - asks_5) / (bids_5 + asks_5)
    out[IMBALANCE_10] = (bids_10 - asks_10) / (bids_10 + asks_10)


@jit
def _window(s: Any, column: int, total: float, cells: int, first: int) -> float:
    """A cumulative sum's growth over the last ``cells`` grid cells; NaN until as many passed since ``first``."""
    if first == 0 or s.grid - first < cells:
        return math.nan
    return total - s.ring[(s.grid - cells) % RING, column]


@jit
def _return_bps(s: Any, cells: int) -> float:
    if s.first_mid_grid == 0 or s.grid - s.first_mid_grid < cells:
        return math.nan
    return math.log(s.mid / s.mid_ring[(s.grid - cells) % RING]) * BPS


@jit
def _volatility_bps(s: Any, bars: int) -> float:
    if s.n_bars <= bars:
        return math.nan
    return math.sqrt(max(s.squared_returns - s.bar_ring[(s.n_bars - 1 - bars) % BAR_RING, 1], 0.0)) * BPS


@jit
def write_flow(s: Any, out: FloatArray) -> None:
    """Write the features of order flow and trades."""
    out[OFI_1S] = _window(s, 0, s.ofi, 10, s.first_mid_grid)
    out[OFI_10S] = _window(s, 0, s.ofi, 100, s.first_mid_grid)
    n_buy, n_sell = _window(s, 3, s.n_buy, 100, s.first_grid), _window(s, 4, s.n_sell, 100, s.first_grid)
    out[TRADE_IMBALANCE] = (n_buy - n_sell) / (n_buy + n_sell) if n_buy + n_sell > 0.0 else math.nan
    out[VOLUME_10S] = _window(s, 5, s.volume, 100, s.first_grid)
    out[VOLUME_60S] = _window(s, 5, s.volume, 600, s.first_grid)
    out[VPIN] = vpin(s)
    out[UPTICKS], out[DOWNTICKS] = s.upticks, s.downticks
    out[UPTICK_NOTIONAL], out[DOWNTICK_NOTIONAL] = s.uptick_notional, s.downtick_notional


@jit
def write_price(s: Any, out: FloatArray) -> None:
    """Write the features of the price path."""
    out[RETURN_1S], out[RETURN_10S], out[RETURN_60S] = _return_bps(s, 10), _return_bps(s, 100), _return_bps(s, 600)
    out[VOLATILITY_10S], out[VOLATILITY_60S], out[VOLATILITY_300S] = (
        _volatility_bps(s, 10),
        _volatility_bps(s, 60),
        _volatility_bps(s, 300),
    )
    out[RSI] = out[MACD] = out[SIGNAL] = out[MOMENTUM] = math.nan
    if s.n_bars > RSI_BARS:
        moved = s.gain + s.loss
        out[RSI] = 100.0 * s.gain / moved if moved > 0.0 else 50.0
    if s.n_bars >= MACD_SLOW:
        out[MACD] = (s.ema_fast - s.ema_slow) / s.mid * BPS
    if s.n_bars >= MACD_SLOW + MACD_SIGNAL:
        out[SIGNAL] = s.macd_signal / s.mid * BPS
    if s.n_bars > MOMENTUM_BARS:
        out[MOMENTUM] = math.log(s.mid / s.bar_ring[(s.n_bars - 1 - MOMENTUM_BARS) % BAR_RING, 0]) * BPS


@jit
def on_book(block: FloatArray, state: Any, ts_ns: int, out: FloatArray) -> int:
    """Compute the vector of a book that has just changed; ``BREAK`` asks for a reset and a second call."""
    s = state[0]
    if advance(s, ts_ns, True):
        return BREAK
    if block[N_BIDS] == 0.0 or block[N_ASKS] == 0.0:
        out[:OFI_1S] = math.nan
        out[SLOPE_BID] = out[SLOPE_ASK] = math.nan
    else:
        take_top(s, best(block, BIDS), best_size(block, BIDS), best(block, ASKS), best_size(block, ASKS))
        write_depth(block, out)
    write_flow(s, out)
    write_price(s, out)
    return OK


@jit
def on_delta(block: FloatArray, state: Any, bids: FloatArray, asks: FloatArray, ts_ns: int, out: FloatArray) -> int:
    """Apply one message's level changes, then ``on_book``.

    ``FULL``: nothing was done, the block has no room for them; ``BROKEN``: the book is now crossed.
    """
    if max(block[N_BIDS] + len(bids), block[N_ASKS] + len(asks)) > block[CAPACITY]:
        return FULL
    if apply_delta(block, bids, asks):
        return BROKEN
    return on_book(block, state, ts_ns, out)


@jit
def on_price(state: Any, ts_ns: int, price: float, volume: float, out: FloatArray) -> None:
    """Compute the vector of a price series' row, which is a bar of its own."""
    s = state[0]
    advance(s, ts_ns, False)
    out[:] = math.nan
    out[MID] = price
    if not math.isnan(volume):
        s.volume += volume
    take_mid(s, price)
    close_bar(s, price)
    if not math.isnan(volume):
        out[VOLUME_10S] = _window(s, 5, s.volume, 100, s.first_grid)
        out[VOLUME_60S] = _window(s, 5, s.volume, 600, s.first_grid)
    write_price(s, out)
