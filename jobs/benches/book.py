"""The book kernel beside sortedcontainers and hftbacktest, on the same updates, best prices read after each."""

import time
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from sortedcontainers import SortedDict

from jobs.benches.measure import Row, rate_row, seconds
from quicksilver.book import Book, apply_stream, new_block

N = 400_000
TICK = 0.1
MIDDLE = 10_000


def updates(seed: int) -> tuple[Any, Any, Any]:
    """Return sides, prices and sizes of random level changes, dense near the touch; 45 % are removals."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(0, 2, N)
    distance = rng.exponential(60, N).astype(np.int64) + 1
    prices = np.where(sides == 0, MIDDLE - distance, MIDDLE + distance) * TICK
    return sides, prices, np.where(rng.random(N) < 0.45, 0.0, rng.random(N))


@njit
def _hftbacktest_loop(backtest: Any) -> float:
    """Feed every event and read both best prices."""
    total = 0.0
    while backtest.wait_next_feed(False, 10**15) == 2:
        depth = backtest.depth(0)
        total += depth.best_bid + depth.best_ask
    return total


def _hftbacktest(sides: Any, prices: Any, sizes: Any) -> Any:
    data = np.zeros(N, event_dtype)
    flags = np.where(sides == 0, BUY_EVENT, SELL_EVENT).astype(np.uint64)
    data["ev"] = np.uint64(DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT) | flags
    data["exch_ts"] = data["local_ts"] = np.arange(1, N + 1) * 1000
    data["px"], data["qty"] = prices, sizes
    asset = (
        BacktestAsset().data([data]).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
        .no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(TICK).lot_size(1e-9)
    )  # fmt: skip
    return HashMapMarketDepthBacktest([asset]), (asset, data)  # it reads the data where it lies: keep it alive


def _sortedcontainers(sides: list[int], prices: list[float], sizes: list[float]) -> None:
    books = (SortedDict(), SortedDict())
    for side, price, size in zip(sides, prices, sizes, strict=True):
        book = books[side]
        if size:
            book[price] = size
        else:
            book.pop(price, None)
        if books[0]:
            books[0].peekitem(-1)
        if books[1]:
            books[1].peekitem(0)


def rows() -> list[Row]:
    """Return the book's rows."""
    sides, prices, sizes = updates(1)
    bests = np.empty((N, 2))

    def ours() -> None:
        """Take all changes into our book, the best prices kept after each."""
        apply_stream(Book(new_block(4096)).block, sides, prices, sizes, bests)

    lists = (sides.tolist(), prices.tolist(), sizes.tolist())
    loop_s: list[float] = []

    def theirs() -> None:
        """Take them into hftbacktest's book; its loop alone is timed, in ``loop_s``."""
        backtest, alive = _hftbacktest(sides, prices, sizes)
        started = time.perf_counter()  # without making the backtest: only its loop is the peer
        _hftbacktest_loop(backtest)
        loop_s.append(time.perf_counter() - started)
        backtest.close()
        del alive

    own_s, _, sorted_s = seconds(ours, theirs, lambda: _sortedcontainers(*lists))
    rate, peer = N / own_s / 1e6, N / float(np.median(loop_s[1:])) / 1e6
    return [
        rate_row("book: level updates, best bid/ask read", "M/s", rate, "sortedcontainers", N / sorted_s / 1e6),
        rate_row("book: level updates, best bid/ask read", "M/s", rate, "hftbacktest numba loop", peer),
    ]
