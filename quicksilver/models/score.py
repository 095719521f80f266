"""Prequential scores: each prediction is judged before the model learns from its outcome."""

import math
from typing import TypeAlias

import msgspec

from quicksilver.records import Direction

Probabilities: TypeAlias = tuple[float, float, float]
"""Of down, flat and up."""
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


class PrequentialScore(msgspec.Struct):
    """Running accuracy and log-loss (nats) of a model, and of the always-majority baseline judged the same way.

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

    def baseline(self) -> Probabilities:
        """Return the baseline's probabilities of down, flat and up; none is 0."""
        down, flat, up = ((count + 1) / (self.n + 3) for count in self.seen)
        return down, flat, up

    def update(
        self, probabilities: Probabilities, baseline: Probabilities, outcome: Direction, confidence: float = 0.0
    ) -> None:
        """Judge one prediction, and the baseline of that time; both are probabilities of down, flat and up.

        What was less likely than ``confidence`` was said as flat: it hits or misses as that, and its loss is that of
        the probabilities.
        """
        self.n += 1
        self.hits += most_likely(probabilities, confidence) == outcome
        self.loss -= math.log(max(probabilities[outcome + 1], MIN_PROBABILITY))
        self.baseline_hits += most_likely(baseline) == outcome
        self.baseline_loss -= math.log(baseline[outcome + 1])
        self.seen[outcome + 1] += 1
