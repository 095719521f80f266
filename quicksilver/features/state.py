"""The state behind the features: one structured numpy record, which is its own checkpoint.

Windows are differences of cumulative sums. A ring holds the sums at each boundary of a 100 ms grid of event time, so a
window over the last h costs one subtraction, nothing is re-scanned, and nothing drifts by adding and taking away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID_NS = 100_000_000  # window edges lie on this grid: "the last 10 s" is 10.0 to 10.1 s
GRID_PER_BAR = 10  # bars of 1 s carry volatility, RSI, MACD and momentum
RING = 601  # grid boundaries kept: the longest window is 60 s
BAR_RING = 301  # bars kept: the longest window is 300 s
BREAK_GRID = BAR_RING * GRID_PER_BAR  # a silence this long (301 s) starts every window anew
VPIN_BUCKETS = 20  # buckets averaged; Easley et al. use 50 of 1/50 day: these warm up within minutes
VPIN_TRADES = 20  # a bucket is as large as 20 mean trades
RSI_BARS = 14
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
MOMENTUM_BARS = 30

TICKS = ("upticks", "downticks", "uptick_notional", "downtick_notional")
SUMS = ("ofi", "buy", "sell", "n_buy", "n_sell", "volume")

STATE_DTYPE = np.dtype(
    [
        ("ts_ns", "i8"),  # largest event time seen
        ("grid", "i8"),  # its grid cell; 0: nothing seen yet
        ("first_grid", "i8"),  # cell of the first event after a start or gap
        ("first_mid_grid", "i8"),  # cell of the first price; 0: none yet
        ("mid", "f8"),  # NaN: none yet
        ("bid", "f8"), ("bid_size", "f8"), ("ask", "f8"), ("ask_size", "f8"),  # the last best levels; NaN: none yet
        *((name, "f8") for name in SUMS),  # cumulative sums since the start
        *((name, "f8") for name in TICKS),  # moves of the mid since the last top
        *((f"full_{name}", "f8") for name in TICKS),  # the same since the last full book
        ("n_bars", "i8"), ("bar_close", "f8"), ("squared_returns", "f8"),
        ("gain", "f8"), ("loss", "f8"), ("ema_fast", "f8"), ("ema_slow", "f8"), ("macd_signal", "f8"),
        ("n_trades", "f8"), ("bucket_size", "f8"), ("bucket_buy", "f8"), ("bucket_sell", "f8"), ("n_buckets", "i8"),
        ("ring", "f8", (RING, len(SUMS))),
        ("mid_ring", "f8", (RING,)),
        ("bar_ring", "f8", (BAR_RING, 2)),  # close, cumulative squared returns
        ("vpin_ring", "f8", (VPIN_BUCKETS, 2)),  # |buy - sell|, size
    ]
)  # fmt: skip

FeatureState = NDArray[Any]


def reset(state: FeatureState) -> None:
    """Forget everything, as after a gap."""
    state[:] = np.zeros(1, STATE_DTYPE)
    for name in ("mid", "bid", "bid_size", "ask", "ask_size", "bar_close"):
        state[name] = np.nan


def new_state() -> FeatureState:
    """Return a fresh state, a structured array of shape ``(1,)``."""
    state = np.zeros(1, STATE_DTYPE)
    reset(state)
    return state
