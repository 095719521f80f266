"""A market whose moves revert or go on, as feature vectors: what a predictor can learn, and what makes it useless."""

from collections.abc import Iterator

import numpy as np

from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.records import Features

START_NS = 1_790_000_000 * SECOND_NS
CONFIG = PredictorConfig("logistic", granularity="1s", datasetinputs=2, minutes_back=20.0, fee_bps=0.5)
UNKNOWN = dict.fromkeys(Features.__struct_fields__[5:])


class Market:
    """One vector a second; each move is ``push`` times the last one, and noise of 3 basis points."""

    def __init__(self, seed: int = 1, symbol: str = "BTC-USD") -> None:
        self._rng = np.random.default_rng(seed)
        self.symbol, self.seq, self._log_mid, self._last = symbol, 0, np.log(100.0), 0.0

    def rows(self, n: int, push: float) -> Iterator[Features]:
        for _ in range(n):
            self.seq += 1
            self._last = push * self._last + float(self._rng.normal(0.0, 3e-4))
            self._log_mid += self._last
            ts_ns = START_NS + self.seq * SECOND_NS
            values = {**UNKNOWN, "mid": float(np.exp(self._log_mid))}
            yield Features("kraken", self.symbol, self.seq, ts_ns, ts_ns, **values)
