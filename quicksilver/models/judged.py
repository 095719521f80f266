"""One model's predictions that wait for their outcome, and its running scores."""

from typing import Generic, TypeVar

import msgspec

from quicksilver.labels import LabelConfig, round_trip_bps
from quicksilver.models.score import PrequentialScore, Probabilities, most_likely
from quicksilver.records import Features, Label, Prediction, Role, Score

SPARE = 10_000  # predictions beside those within a horizon: of as many the label never came; the oldest go first
I = TypeVar("I")  # noqa: E741 (what a model computes from a feature vector, and learns from)


class Waiting(msgspec.Struct, Generic[I]):
    """A prediction whose outcome is not known: what it was made of, and the spread then, None if there was none."""

    inputs: I
    baseline: Probabilities
    probabilities: Probabilities
    spread_bps: float | None = None


class Judged(Generic[I]):
    """Predictions of one model, one score a horizon; each is judged before anybody learns from its outcome.

    ``every_ns`` is the time from one decision to the next: as many wait as there are within the horizons. What is less
    likely than ``confidence`` is said as flat.
    """

    def __init__(
        self, name: str, version: str, labels: LabelConfig, every_ns: int, role: Role = "live", confidence: float = 0.0
    ) -> None:
        self.name, self.version, self.role, self.confidence = name, version, role, confidence
        self.labels = labels
        self.scores = [PrequentialScore() for _ in labels.horizons_ns]
        self._most = SPARE + sum(-(-horizon_ns // every_ns) for horizon_ns in labels.horizons_ns)
        self.waiting: dict[tuple[int, int], Waiting[I]] = {}  # (seq, horizon's index)

    def predicted(self, row: Features, horizon: int, entry: Waiting[I], move_bps: float | None = None) -> Prediction:
        """Let a prediction wait for its label; returns its record."""
        self.waiting[row.seq, horizon] = entry
        if len(self.waiting) > self._most:
            del self.waiting[next(iter(self.waiting))]
        direction = most_likely(entry.probabilities, self.confidence)
        return Prediction(
            row.venue, row.symbol, row.seq, row.ts_event_ns, row.ts_recv_ns, self.labels.horizons_ns[horizon],
            self.name, self.version, *entry.probabilities, direction, entry.probabilities[direction + 1],
            self.role, "", move_bps,
        )  # fmt: skip

    def flagged(self, row: Features, horizon: int, prior: Probabilities, flag: str) -> Prediction:
        """Count what cannot be predicted from, and do not wait for its label; returns its record."""
        self.scores[horizon].flagged += 1
        return Prediction(
            row.venue, row.symbol, row.seq, row.ts_event_ns, row.ts_recv_ns, self.labels.horizons_ns[horizon],
            self.name, self.version, *prior, 0, 0.0, self.role, flag,
        )  # fmt: skip

    def judge(self, label: Label, horizon: int) -> tuple[Waiting[I], Score] | None:
        """Score the prediction that the label belongs to; None if there was none."""
        entry = self.waiting.pop((label.seq, horizon), None)
        if entry is None:
            return None
        predicted, score = most_likely(entry.probabilities, self.confidence), self.scores[horizon]
        cost_bps = round_trip_bps(self.labels.fee_bps, entry.spread_bps)
        profit_bps = predicted * label.return_bps - cost_bps * abs(predicted)
        score.update(entry.probabilities, entry.baseline, label.direction, self.confidence, profit_bps)
        n = score.n
        return entry, Score(
            label.venue, label.symbol, label.seq, label.ts_event_ns, label.ts_recv_ns, label.horizon_ns,
            self.name, self.version, label.ts_known_ns, predicted, label.direction, n, score.hits / n, score.loss / n,
            score.baseline_hits / n, score.baseline_loss / n, self.role, score.brier / n, score.profit_bps / n,
            score.flagged,
        )  # fmt: skip
