"""Prequential scores: each prediction is judged before the model learns from its outcome."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from quicksilver.records import Direction

Probabilities: TypeAlias = tuple[float, float, float]
"""Of down, flat and up."""
CLASSES: tuple[Direction, ...] = (-1, 0, 1)
MIN_PROBABILITY = 1e-15  # keeps the log-loss of a certain and wrong prediction finite


def most_likely(probabilities: Probabilities, confidence: float = 0.0) -> Direction:
    """Return the likeliest of down, flat and up; of equals flat, then up; flat too if it is below ``confidence``.

    >>> most_likely((0.4, 0.2, 0.4)), most_likely((0.4, 0.2, 0.4), confidence=0.5)
    (1, 0)
    """
    down, flat, up = probabilities
    if (flat >= down and flat >= up) or max(down, up) < confidence:
        return 0
    return 1 if up >= down else -1


def probabilities_of_classes(said: Sequence[float], columns: Sequence[int]) -> Probabilities | str:
    """Return what a model says of some classes as probabilities of all, or why that is nothing.

    ``columns`` are the places of its classes among down, flat and up.

    >>> probabilities_of_classes([1.0, 3.0], [0, 2])
    (0.25, 0.0, 0.75)
    >>> probabilities_of_classes([0.0, 0.0], [0, 2])
    'the model gives no probabilities: [0.0, 0.0]'
    """
    if not all(map(math.isfinite, said)):
        return f"the model gives no numbers: {said}"
    shares = [0.0, 0.0, 0.0]
    for column, share in zip(columns, said, strict=True):
        shares[column] = share
    total = sum(shares)
    if total <= 0.0:
        return f"the model gives no probabilities: {said}"
    return shares[0] / total, shares[1] / total, shares[2] / total


def probabilities_of_move(move_bps: float, error_bps: float, threshold_bps: float) -> Probabilities:
    """Return a predicted move as probabilities of down, flat and up, if its errors are normal.

    ``error_bps`` is their standard deviation; beyond ``threshold_bps`` a move is down or up.

    >>> down, flat, up = probabilities_of_move(0.0, 1.0, 1.0)
    >>> round(down, 4), round(flat, 4), round(up, 4)
    (0.1587, 0.6827, 0.1587)
    """
    scale = error_bps * math.sqrt(2.0)
    down = 0.5 * math.erfc((threshold_bps + move_bps) / scale)
    up = 0.5 * math.erfc((threshold_bps - move_bps) / scale)
    return down, max(0.0, 1.0 - down - up), up


class PrequentialScore(msgspec.Struct):
    """Running accuracy and log-loss (nats) of a model, and of the always-majority baseline judged the same way.

    ``brier`` and ``profit_bps`` are sums as well, of Brier's score over the three classes and of what acting on each
    prediction brought after fees and spread; ``flagged`` predictions were none to be judged.

    The baseline predicts the class most seen so far (flat before any), and as probabilities the Laplace-smoothed
    frequencies so far; so far means when the model predicted, for neither may know what came after.
    Dawid, Statistical theory: the prequential approach, JRSS A 147(2), 1984.
    """

    n: int = 0
    hits: int = 0
    loss: float = 0.0
    baseline_hits: int = 0
    baseline_loss: float = 0.0
    seen: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0])
    brier: float = 0.0
    profit_bps: float = 0.0
    flagged: int = 0

    def baseline(self) -> Probabilities:
        """Return the baseline's probabilities of down, flat and up; none is 0."""
        down, flat, up = ((count + 1) / (self.n + 3) for count in self.seen)
        return down, flat, up

    def update(
        self,
        probabilities: Probabilities,
        baseline: Probabilities,
        outcome: Direction,
        confidence: float = 0.0,
        profit_bps: float = 0.0,
    ) -> None:
        """Judge one prediction, and the baseline of that time; both are probabilities of down, flat and up.

        What was less likely than ``confidence`` was said as flat: it hits or misses as that, and its loss is that of
        the probabilities. ``profit_bps`` is what acting on it brought.
        """  # fmt: skip
        self.n += 1
        self.hits += most_likely(probabilities, confidence) == outcome
        self.loss -= math.log(max(probabilities[outcome + 1], MIN_PROBABILITY))
        self.baseline_hits += most_likely(baseline) == outcome
        self.baseline_loss -= math.log(baseline[outcome + 1])
        self.seen[outcome + 1] += 1
        self.brier += sum((one - (place == outcome + 1)) ** 2 for place, one in enumerate(probabilities))
        self.profit_bps += profit_bps
