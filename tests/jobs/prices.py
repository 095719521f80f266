"""CSV files of prices and TOML files of predictors, small enough for tests."""

from pathlib import Path

import numpy as np

LOGISTIC = """
[predictors.near]
type = "logistic"
granularity = "1m"
datasetinputs = 2
fee_bps = 2.0
"""


def csv_of(path: Path, n: int = 2_400, reverts: float = 0.9, seed: int = 1) -> Path:
    """Minutes of a price whose moves tend to be taken back; more so, the larger ``reverts``."""
    rng, moves, last = np.random.default_rng(seed), [], 0.0
    for _ in range(n):
        last = -reverts * last + rng.normal(0.0, 8e-4)
        moves.append(last)
    prices = 100.0 * np.exp(np.cumsum(moves))
    rows = (f"{1_700_000_000 // 60 * 60 + 60 * row},{price:.8f}" for row, price in enumerate(prices.tolist()))
    path.write_text("time,close\n" + "\n".join(rows) + "\n")
    return path


def toml_of(path: Path, *changes: tuple[str, str], text: str = LOGISTIC) -> Path:
    """A predictor's file, in which some texts are replaced by others."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path
