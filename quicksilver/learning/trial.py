"""A shadow beside the live version: who was better on the same decisions, by more than chance."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.config import Target
from quicksilver.learning.drift import Loss, told_loss
from quicksilver.learning.scores import SPANS, block_length, intervals
from quicksilver.records import Score

PATIENCE = 2  # spans with outcomes of one of the two for each that is wanted of both: the other is waited for no longer
MAX_WAITING = 10_000  # decisions of which one of the two has an outcome: the other may never come
SEED = 0  # of the resampled blocks: the same outcomes have the same interval

Place = tuple[int, str, str, int]
Block = tuple[int, float, float]  # decisions, and the sums of two losses: of the live version and the shadow, say


class Compared(NamedTuple):
    """Mean losses over ``n`` decisions of both, and the 95 % interval of the mean of shadow less live."""

    n: int
    live: float
    shadow: float
    low: float
    high: float
    target: Target = "direction"

    @property
    def better(self) -> bool:
        """Whether the shadow was, by more than chance: the whole interval says so. Of equals none is."""
        return self.high < 0.0

    def __str__(self) -> str:
        return (
            f"{told_loss(self.target, self.shadow)}, the live version's {told_loss(self.target, self.live)}, on the"
            f" same {self.n} decisions; difference {_told_difference(self.target, self.shadow - self.live, self)}"
        )


class Unpaired(NamedTuple):
    """One of the two hardly predicted; mean losses are the shadow's and that of its baseline, on all of its own.

    ``low`` to ``high`` is the 95 % interval of the mean of their difference, NaN of too few. What cannot be compared
    with the live version is taken for better only if the live version is the silent one.
    """

    n: int
    n_live: int
    n_shadow: int
    shadow: float
    baseline: float
    low: float
    high: float
    target: Target = "direction"

    @property
    def better(self) -> bool:
        """Whether the shadow is of use where the live version is silent, by more than chance."""
        return self.n_shadow > self.n_live and self.high < 0.0

    def __str__(self) -> str:
        both = f"it had {self.n_shadow} outcomes, the live version {self.n_live}, of the same decisions {self.n}"
        if not self.n_shadow:
            return both
        apart = _told_difference(self.target, self.shadow - self.baseline, self)
        return f"{both}; its {told_loss(self.target, self.shadow)}, baseline {self.baseline:.4f}; difference {apart}"


Verdict = Compared | Unpaired


def _told_difference(target: Target, difference: float, of: Verdict) -> str:
    """A difference of losses and its interval; of profits, which are losses with the other sign."""
    if target == "return":
        return f"{-difference:+.3f}, 95 % {-of.high:+.3f} to {-of.low:+.3f}"
    return f"{difference:+.4f}, 95 % {of.low:+.4f} to {of.high:+.4f}"


class Trial:
    """Pairs the losses of two versions by decision, until there are pairs of ``outcomes`` spans of time.

    Decisions before ``since_ns`` do not count: the shadow was not there. Outcomes of one ``span_ns`` overlap, and those
    of several instruments happen together: the pairs within it are one block, of which but the sum is kept, and count
    as one outcome. Where there are several decisions in it, the last ones' outcomes reach into the next. ``target`` is
    that of both versions: it says what their losses are.
    """

    def __init__(
        self, live: str, shadow: str, outcomes: int, since_ns: int = 0, span_ns: int = 1, target: Target = "direction"
    ) -> None:
        self._wanted, self._since_ns, self._span_ns = outcomes, since_ns, span_ns
        self._live, self._shadow = live, shadow
        self._waiting: dict[str, dict[Place, float]] = {live: {}, shadow: {}}
        self._seen = {live: 0, shadow: 0}
        self._spans: dict[str, set[int]] = {live: set(), shadow: set()}
        self._blocks: dict[int, Block] = {}
        self._own: dict[int, Block] = {}  # of the shadow: its baseline's losses and its own
        self._first_ns: dict[int, int] = {}  # decision of each span of time
        self._overlap = False
        self._n, self._target = 0, target

    def take(self, score: Score, loss: Loss) -> Verdict | None:
        """Take the loss of a decision; returns the verdict once there are enough, or it is waited for no longer."""
        if score.version not in self._waiting or score.ts_event_ns < self._since_ns:
            return None
        cell = score.ts_event_ns // self._span_ns
        self._overlap |= self._first_ns.setdefault(cell, score.ts_event_ns) != score.ts_event_ns
        if score.version == self._shadow:
            self._own[cell] = _added(self._own.get(cell), loss.baseline, loss.own)
        self._seen[score.version] += 1
        self._spans[score.version].add(cell)
        self._pair(score, loss.own, cell)
        if len(self._blocks) >= self._wanted:
            return self._compared()
        return self._unpaired() if max(map(len, self._spans.values())) >= PATIENCE * self._wanted else None

    def _pair(self, score: Score, loss: float, cell: int) -> None:
        place = (score.ts_event_ns, score.venue, score.symbol, score.seq)
        mine, other = self._waiting[score.version], self._waiting[self._other(score.version)]
        if place not in other:
            mine[place] = loss
            if len(mine) > MAX_WAITING:
                del mine[next(iter(mine))]
            return
        theirs = other.pop(place)
        live, shadow = (theirs, loss) if score.version == self._shadow else (loss, theirs)
        self._blocks[cell] = _added(self._blocks.get(cell), live, shadow)
        self._n += 1

    def _other(self, version: str) -> str:
        return self._live if version == self._shadow else self._shadow

    @property
    def _least(self) -> int:
        """How many spans of time are one block at least."""
        return SPANS if self._overlap else 1

    def _compared(self) -> Compared:
        return Compared(self._n, *_means(self._blocks, self._least), self._target)

    def _unpaired(self) -> Unpaired:
        baseline, shadow, low, high = _means(self._own, self._least)
        seen = self._seen[self._live], self._seen[self._shadow]
        return Unpaired(self._n, *seen, shadow, baseline, low, high, self._target)


def _added(block: Block | None, one: float, other: float) -> Block:
    n, sum_of_one, sum_of_other = block or (0, 0.0, 0.0)
    return n + 1, sum_of_one + one, sum_of_other + other


def _means(blocks: Mapping[int, Block], least: int) -> tuple[float, float, float, float]:
    """Mean losses of one and the other, and the interval of the mean of the other's less the one's."""
    if not blocks:
        return math.nan, math.nan, math.nan, math.nan
    n, one, other = np.array([blocks[cell] for cell in sorted(blocks)]).T
    return float(one.sum() / n.sum()), float(other.sum() / n.sum()), *_mean_interval(other - one, n, least)


def _mean_interval(differences: FloatArray, counts: FloatArray, least: int) -> tuple[float, float]:
    """Where the mean lies with 95 %, by resampled blocks: losses cluster, and outcomes of neighbours overlap still.

    ``differences`` ``(n,)`` are sums of ``counts`` ``(n,)`` each; at least ``least`` of them are one block.
    """

    def mean(values: FloatArray) -> FloatArray:
        return values[..., 0] / values[..., 1]

    parts, fold = np.column_stack([differences, counts]), np.zeros(len(counts), np.int64)
    (found,) = intervals(parts, fold, [mean], max(least, block_length(differences / counts)), SEED)
    return found.mean_low, found.mean_high
