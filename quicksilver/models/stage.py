"""Predictions of one instrument: features in, predictions out; labels in, scores out, and only then learning."""

import msgspec

from quicksilver.models.online import Inputs, ModelState, OnlineModel, Probabilities
from quicksilver.models.score import PrequentialScore, most_likely
from quicksilver.records import Features, Label, Prediction, Score

MAX_PENDING = 10_000  # predictions whose label never came (a gap); the oldest go first


class _Pending(msgspec.Struct):
    inputs: Inputs
    baseline: Probabilities
    probabilities: Probabilities


class _Saved(msgspec.Struct):
    model: ModelState
    scores: list[PrequentialScore]
    pending: list[tuple[int, int, _Pending]]


class PredictionStage:
    """One instrument's online models, one a horizon, and their scores.

    It is called on the decision grid only, once in ``every_ns`` (see ``pipeline.py``), so labels are needed for those
    features alone.
    """

    def __init__(self, horizons_ns: tuple[int, ...], every_ns: int) -> None:
        self.horizons_ns = horizons_ns
        self._model = OnlineModel(horizons_ns, every_ns)
        self._scores = [PrequentialScore() for _ in horizons_ns]
        self._pending: dict[tuple[int, int], _Pending] = {}  # (seq, horizon's index)

    def on_features(self, row: Features) -> list[Prediction]:
        """Predict each horizon's label of this feature vector."""
        inputs = self._model.inputs(row)
        return [self._predict(row, inputs, horizon) for horizon in range(len(self.horizons_ns))]

    def _predict(self, row: Features, inputs: Inputs, horizon: int) -> Prediction:
        baseline = self._scores[horizon].baseline()
        probabilities = self._model.predict(horizon, inputs, baseline)
        self._pending[row.seq, horizon] = _Pending(inputs, baseline, probabilities)
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        return Prediction(
            row.venue, row.symbol, row.seq, row.ts_event_ns, row.ts_recv_ns, self.horizons_ns[horizon],
            self._model.name, self._model.version, *probabilities, most_likely(probabilities), max(probabilities),
        )  # fmt: skip

    def on_label(self, label: Label) -> Score | None:
        """Judge the prediction that the label belongs to, then learn from it; None if there was none."""
        horizon = self.horizons_ns.index(label.horizon_ns)
        pending = self._pending.pop((label.seq, horizon), None)
        if pending is None:
            return None
        score = self._scores[horizon]
        score.update(pending.probabilities, pending.baseline, label.direction)
        self._model.learn(horizon, pending.inputs, pending.baseline, label.direction)
        return Score(
            label.venue, label.symbol, label.seq, label.ts_event_ns, label.ts_recv_ns, label.horizon_ns,
            self._model.name, self._model.version, label.ts_known_ns, most_likely(pending.probabilities),
            label.direction, score.n, score.hits / score.n, score.loss / score.n,
            score.baseline_hits / score.n, score.baseline_loss / score.n,
        )  # fmt: skip

    def gap(self) -> None:
        """Forget the predictions whose outcome cannot be known; what was learned stays."""
        self._pending.clear()

    def dump(self) -> bytes:
        """Return the state."""
        pending = [(seq, horizon, entry) for (seq, horizon), entry in self._pending.items()]
        return msgspec.msgpack.encode(_Saved(self._model.state(), self._scores, pending))

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._model.restore(saved.model)
        self._scores = saved.scores
        self._pending = {(seq, horizon): entry for seq, horizon, entry in saved.pending}
