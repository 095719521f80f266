"""Prices for the tests of live portfolios."""

from collections.abc import Iterable

import numpy as np

from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import Frontier

SECOND = 1_000_000_000
CONFIG = PortfolioConfig(min_observations=5, n_portfolios=500, n_cloud=50, n_frontier=20)
Row = tuple[str, str, float, int]


def prices(n: int, symbols: list[str], seed: int = 1, start_s: int = 1_000) -> list[Row]:
    """Return ``n`` rounds of prices of all symbols, a seventh of a second from one to the next."""
    rng, out, ts = np.random.default_rng(seed), [], start_s * SECOND
    levels = dict.fromkeys(symbols, 100.0)
    for _ in range(n):
        for symbol in symbols:
            ts += SECOND // 7
            levels[symbol] *= float(np.exp(rng.normal(0, 1e-4)))
            out.append(("v", symbol, levels[symbol], ts))
    return out


def play(stage: PortfolioStage, rows: Iterable[Row]) -> list[Frontier]:
    """Return all that a stage tells of these prices."""
    return [one for venue, symbol, price, ts in rows for one in stage.on_price(venue, symbol, price, ts, ts)]


def good(frontiers: list[Frontier]) -> list[Frontier]:
    """Return those that were computed."""
    return [one for one in frontiers if one.state == "LIVE"]


def seconds(n: int, symbols: list[str], seed: int = 1, start_s: int = 1_000) -> list[Row]:
    """Return ``n`` prices of each symbol, one a second, within the second."""
    rng = np.random.default_rng(seed)
    paths = 100.0 * np.exp(np.cumsum(rng.normal(0, 1e-4, (n, len(symbols))), axis=0))
    return [
        ("v", symbol, float(paths[i, j]), (start_s + i) * SECOND + (j + 1) * 1000)
        for i in range(n)
        for j, symbol in enumerate(symbols)
    ]
