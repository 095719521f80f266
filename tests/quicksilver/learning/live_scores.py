"""Scores as a live predictor gives them, made of losses."""

from collections.abc import Iterable, Iterator

from quicksilver.events import SECOND_NS
from quicksilver.records import Score

START_NS = 1_790_000_000 * SECOND_NS
MINUTE_NS = 60 * SECOND_NS


class Stream:
    """The scores of one version on one instrument, a decision a minute, each known a minute later."""

    def __init__(self, version: str, model: str = "near", symbol: str = "BTC-USD", start_ns: int = START_NS) -> None:
        self.version, self.model, self.symbol = version, model, symbol
        self.ts_ns, self.seq, self.n, self.loss = start_ns, 0, 0, 0.0
        self.baseline = self.profit_bps = 0.0

    def score(self, loss: float, baseline: float = 1.0, profit_bps: float = 0.0) -> Score:
        """The score of the next decision, which had this loss and this profit."""
        self.ts_ns, self.seq, self.n, self.loss = self.ts_ns + MINUTE_NS, self.seq + 1, self.n + 1, self.loss + loss
        self.baseline, self.profit_bps = self.baseline + baseline, self.profit_bps + profit_bps
        return Score(
            "kraken", self.symbol, self.seq, self.ts_ns, self.ts_ns, MINUTE_NS, self.model, self.version,
            self.ts_ns + MINUTE_NS, 0, 0, self.n, 1.0, self.loss / self.n, 1.0, self.baseline / self.n,
            "live", None, self.profit_bps / self.n,
        )  # fmt: skip

    def scores(self, losses: Iterable[float]) -> Iterator[Score]:
        """The scores of decisions with these losses."""
        return map(self.score, losses)

    def skip(self, n: int) -> None:
        """Let decisions go by that nobody predicted."""
        self.ts_ns, self.seq = self.ts_ns + n * MINUTE_NS, self.seq + n
