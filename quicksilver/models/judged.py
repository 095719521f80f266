"""One model's predictions that wait for their outcome, and its running scores."""

from typing import Generic, TypeVar

import msgspec

from quicksilver.models.score import PrequentialScore, Probabilities, most_likely
from quicksilver.records import Features, Label, Prediction, Score

MAX_PENDING = 10_000  # predictions whose label never came (a gap); the oldest go first
I = TypeVar("I")  # noqa: E741 (what a model computes from a feature vector, and learns from)


class Waiting(msgspec.Struct, Generic[I]):
    """A prediction whose outcome is not known: what it was made of."""

    inputs: I
    baseline: Probabilities
    probabilities: Probabilities


class Judged(Generic[I]):
    """Predictions of one model, one score a horizon; each is judged before anybody learns from its outcome.

    What is less likely than ``confidence`` is said as flat.
    """

    def __init__(self, name: str, version: str, horizons_ns: tuple[int, ...], confidence: float = 0.0) -> None:
        self.name, self.version, self.confidence = name, version, confidence
        self.horizons_ns = horizons_ns
        self.scores = [PrequentialScore() for _ in horizons_ns]
        self.waiting: dict[tuple[int, int], Waiting[I]] = {}  # (seq, horizon's index)

    def predicted(self, row: Features, horizon: int, entry: Waiting[I]) -> Prediction:
        """Let a prediction wait for its label; returns its record."""
        self.waiting[row.seq, horizon] = entry
        if len(self.waiting) > MAX_PENDING:
            del self.waiting[next(iter(self.waiting))]
        direction = most_likely(entry.probabilities, self.confidence)
        return Prediction(
            row.venue, row.symbol, row.seq, row.ts_event_ns, row.ts_recv_ns, self.horizons_ns[horizon],
            self.name, self.version, *entry.probabilities, direction, entry.probabilities[direction + 1],
        )  # fmt: skip

    def judge(self, label: Label, horizon: int) -> tuple[Waiting[I], Score] | None:
        """Score the prediction that the label belongs to; None if there was none."""
        entry = self.waiting.pop((label.seq, horizon), None)
        if entry is None:
            return None
        score = self.scores[horizon]
        score.update(entry.probabilities, entry.baseline, label.direction, self.confidence)
        return entry, Score(
            label.venue, label.symbol, label.seq, label.ts_event_ns, label.ts_recv_ns, label.horizon_ns,
            self.name, self.version, label.ts_known_ns, most_likely(entry.probabilities, self.confidence),
            label.direction, score.n, score.hits / score.n, score.loss / score.n,
            score.baseline_hits / score.n, score.baseline_loss / score.n,
        )  # fmt: skip
