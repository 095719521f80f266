"""A shadow beside the live version: who was better on the same decisions, by more than chance."""

from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.scores import SPANS, block_length, intervals
from quicksilver.records import Score

PATIENCE = (
    2  # outcomes of one of the two for each that is wanted of both, after which the other is waited for no longer
)
MAX_WAITING = 10_000  # decisions of which one of the two has an outcome: the other may never come
SEED = 0  # of the resampled blocks: the same outcomes have the same interval

Place = tuple[int, str, str, int]
Block = tuple[int, float, float]  # pairs, and the sums of the live version's losses and of the shadow's


class Compared(NamedTuple):
    """Mean log-losses in nats over ``n`` decisions of both, and the 95 % interval of the mean of shadow less live."""

    n: int
    live: float
    shadow: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether the shadow was, by more than chance: the whole interval says so. Of equals none is."""
        return self.high < 0.0

    def __str__(self) -> str:
        return (
            f"log-loss {self.shadow:.4f} nats, the live version's {self.live:.4f} on the same {self.n} decisions;"
            f" difference {self.shadow - self.live:+.4f}, 95 % {self.low:+.4f} to {self.high:+.4f}"
        )


class Unpaired(NamedTuple):
    """One of the two hardly predicted; log-losses in nats are the shadow's and that of its baseline, on all of its own.

    What cannot be compared with the live version is taken for better only if the live version is the silent one.
    """

    n: int
    n_live: int
    n_shadow: int
    shadow: float
    baseline: float

    @property
    def better(self) -> bool:
        """Whether the shadow is of use where the live version is silent."""
        return self.n_shadow > self.n_live and self.shadow < self.baseline

    def __str__(self) -> str:
        both = f"it had {self.n_shadow} outcomes, the live version {self.n_live}, of the same decisions {self.n}"
        return (
            both if not self.n_shadow else f"{both}; its log-loss {self.shadow:.4f} nats, baseline {self.baseline:.4f}"
        )


Verdict = Compared | Unpaired


class Trial:
    """Pairs the losses of two versions by decision, until there are ``outcomes`` pairs.

    Decisions before ``since_ns`` do not count: the shadow was not there. Outcomes of one ``span_ns`` overlap, and those
    of several instruments happen together: the pairs within it are one block, of which but the sum is kept. Where there
    are several decisions in it, the last ones' outcomes reach into the next.
    """

    def __init__(self, live: str, shadow: str, outcomes: int, since_ns: int = 0, span_ns: int = 1) -> None:
        self._wanted, self._since_ns, self._span_ns = outcomes, since_ns, span_ns
        self._live, self._shadow = live, shadow
        self._waiting: dict[str, dict[Place, float]] = {live: {}, shadow: {}}
        self._seen = {live: 0, shadow: 0}
        self._blocks: dict[int, Block] = {}
        self._first_ns: dict[int, int] = {}  # decision of each block
        self._overlap = False
        self._n = 0
        self._last: dict[tuple[str, str], Score] = {}  # of the shadow, by instrument

    def take(self, score: Score, loss: float) -> Verdict | None:
        """Take the loss of a decision; returns the verdict once there are enough, or it is waited for no longer."""
        if score.version not in self._waiting or score.ts_event_ns < self._since_ns:
            return None
        if score.version == self._shadow:
            self._last[score.venue, score.symbol] = score
        self._seen[score.version] += 1
        self._pair(score, loss)
        if self._n >= self._wanted:
            return self._compared()
        return self._unpaired() if max(self._seen.values()) >= PATIENCE * self._wanted else None

    def _pair(self, score: Score, loss: float) -> None:
        place = (score.ts_event_ns, score.venue, score.symbol, score.seq)
        mine, other = self._waiting[score.version], self._waiting[self._other(score.version)]
        if place not in other:
            mine[place] = loss
            if len(mine) > MAX_WAITING:
                del mine[next(iter(mine))]
            return
        theirs = other.pop(place)
        live, shadow = (theirs, loss) if score.version == self._shadow else (loss, theirs)
        cell = score.ts_event_ns // self._span_ns
        self._overlap |= self._first_ns.setdefault(cell, score.ts_event_ns) != score.ts_event_ns
        n, live_sum, shadow_sum = self._blocks.get(cell, (0, 0.0, 0.0))
        self._blocks[cell] = (n + 1, live_sum + live, shadow_sum + shadow)
        self._n += 1

    def _other(self, version: str) -> str:
        return self._live if version == self._shadow else self._shadow

    def _compared(self) -> Compared:
        n, live, shadow = np.array([self._blocks[cell] for cell in sorted(self._blocks)]).T
        low, high = _mean_interval(shadow - live, n, SPANS if self._overlap else 1)
        return Compared(self._n, float(live.sum()) / self._n, float(shadow.sum()) / self._n, low, high)

    def _unpaired(self) -> Unpaired:
        last = self._last.values()
        n = max(1, sum(one.n for one in last))
        return Unpaired(
            self._n,
            self._seen[self._live],
            self._seen[self._shadow],
            sum(one.n * one.log_loss for one in last) / n,
            sum(one.n * one.baseline_log_loss for one in last) / n,
        )


def _mean_interval(differences: FloatArray, counts: FloatArray, least: int) -> tuple[float, float]:
    """Where the mean lies with 95 %, by resampled blocks: losses cluster, and outcomes of neighbours overlap still.

    ``differences`` ``(n,)`` are sums of ``counts`` ``(n,)`` each; at least ``least`` of them are one block.
    """

    def mean(values: FloatArray) -> FloatArray:
        return values[..., 0] / values[..., 1]

    parts, fold = np.column_stack([differences, counts]), np.zeros(len(counts), np.int64)
    (found,) = intervals(parts, fold, [mean], max(least, block_length(differences / counts)), SEED)
    return found.mean_low, found.mean_high
