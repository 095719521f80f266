"""A shadow beside the live version: who was better on the same decisions."""

from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.scores import block_length, intervals
from quicksilver.records import Score

PATIENCE = (
    2  # outcomes of one of the two for each that is wanted of both, after which the other is waited for no longer
)
MAX_WAITING = 10_000  # decisions of which one of the two has an outcome: the other may never come
SEED = 0  # of the resampled blocks: the same outcomes have the same interval

Place = tuple[int, str, str, int]


class Compared(NamedTuple):
    """Mean log-losses in nats over ``n`` decisions of both, and the 95 % interval of the mean of shadow less live."""

    n: int
    live: float
    shadow: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether the shadow was."""
        return self.shadow < self.live

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

    Decisions before ``since_ns`` do not count: the shadow was not there.
    """

    def __init__(self, live: str, shadow: str, outcomes: int, since_ns: int = 0) -> None:
        self._wanted, self._since_ns = outcomes, since_ns
        self._live, self._shadow = live, shadow
        self._waiting: dict[str, dict[Place, float]] = {live: {}, shadow: {}}
        self._seen = {live: 0, shadow: 0}
        self._pairs: dict[Place, tuple[float, float]] = {}
        self._last: dict[tuple[str, str], Score] = {}  # of the shadow, by instrument

    def take(self, score: Score, loss: float) -> Verdict | None:
        """Take the loss of a decision; returns the verdict once there are enough, or it is waited for no longer."""
        if score.version not in self._waiting or score.ts_event_ns < self._since_ns:
            return None
        if score.version == self._shadow:
            self._last[score.venue, score.symbol] = score
        self._seen[score.version] += 1
        self._pair(score, loss)
        if len(self._pairs) >= self._wanted:
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
        self._pairs[place] = (theirs, loss) if score.version == self._shadow else (loss, theirs)

    def _other(self, version: str) -> str:
        return self._live if version == self._shadow else self._shadow

    def _compared(self) -> Compared:
        live, shadow = np.array([self._pairs[place] for place in sorted(self._pairs)]).T
        low, high = _mean_interval(shadow - live)
        return Compared(len(live), float(live.mean()), float(shadow.mean()), low, high)

    def _unpaired(self) -> Unpaired:
        last = self._last.values()
        n = max(1, sum(one.n for one in last))
        return Unpaired(
            len(self._pairs),
            self._seen[self._live],
            self._seen[self._shadow],
            sum(one.n * one.log_loss for one in last) / n,
            sum(one.n * one.baseline_log_loss for one in last) / n,
        )


def _mean_interval(differences: FloatArray) -> tuple[float, float]:
    """Where the mean lies with 95 %, by resampled blocks: outcomes overlap, and losses cluster."""

    def mean(values: FloatArray) -> FloatArray:
        return values[..., 0]

    fold = np.zeros(len(differences), np.int64)
    (found,) = intervals(differences[:, None], fold, [mean], block_length(differences), SEED)
    return found.mean_low, found.mean_high
