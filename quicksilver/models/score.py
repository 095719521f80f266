"""Prequential scores: each prediction is judged before the model learns from its outcome."""

import math

import msgspec

from quicksilver.records import Direction

MIN_PROBABILITY = 1e-15  # keeps the log-loss of a certain and wrong prediction finite


class PrequentialScore(msgspec.Struct):
    """Running accuracy and log-loss (nats) of a model, and of the always-majority baseline judged the same way.

    The baseline predicts the class most seen so far (flat before any), and as probabilities the Laplace-smoothed
    frequencies so far. Dawid, Statistical theory: the prequential approach, JRSS A 147(2), 1984.
    """

    n: int = 0
    hits: int = 0
    loss: float = 0.0
    baseline_hits: int = 0
    baseline_loss: float = 0.0
    seen: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0])

    def update(self, probabilities: tuple[float, float, float], predicted: Direction, outcome: Direction) -> None:
        """Judge one prediction; ``probabilities`` are of down, flat and up."""
        majority = max((0, -1, 1), key=lambda label: self.seen[label + 1])
        frequency = (self.seen[outcome + 1] + 1) / (self.n + 3)
        self.n += 1
        self.hits += predicted == outcome
        self.loss -= math.log(max(probabilities[outcome + 1], MIN_PROBABILITY))
        self.baseline_hits += majority == outcome
        self.baseline_loss -= math.log(frequency)
        self.seen[outcome + 1] += 1
