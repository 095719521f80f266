"""A search that is small enough for tests: two random walks, models that take milliseconds."""

from pathlib import Path

import numpy as np

from quicksilver.events import SECOND_NS
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.search import SearchConfig

MINUTE_NS = 60 * SECOND_NS
SYMBOLS = ("BTC-USD", "ETH-USD")
N = 700
CONFIG = SearchConfig(
    types=("lda", "naive-bayes"), granularities=("1m", "2m"), datasetinputs=(1, 2), fee_bps=1.0, folds=2
)
TOML = """[search]
types = ["lda", "naive-bayes"]
granularities = ["1m", "2m"]
datasetinputs = [1, 2]
fee_bps = 1.0
folds = 2
"""


def prices(seed: int, n: int = N) -> list[float]:
    moves = np.random.default_rng(seed).normal(0.0, 8e-4, n)
    return np.round(100.0 * np.exp(np.cumsum(moves)), 4).tolist()


def history(symbol: str, seed: int, features: int = 0, n: int = N) -> FeatureHistory:
    values = np.random.default_rng(seed + 100).normal(size=(n, features))
    return FeatureHistory(
        "test", symbol, np.arange(n) * MINUTE_NS, np.array(prices(seed, n)), values, np.zeros(n, bool),
        np.full(n, np.nan),
    )  # fmt: skip


def histories(features: int = 0) -> list[FeatureHistory]:
    return [history(symbol, seed, features) for seed, symbol in enumerate(SYMBOLS)]


def files(folder: Path) -> list[Path]:
    """Write the same as CSV files."""
    found = []
    for seed, symbol in enumerate(SYMBOLS):
        path = folder / f"{symbol}.csv"
        rows = (f"{1_700_000_000 + 60 * row},{price}\n" for row, price in enumerate(prices(seed)))
        path.write_text("time,close\n" + "".join(rows))
        found.append(path)
    return found
