"""Predictions of one instrument: features in, predictions out; labels in, scores out, and only then learning."""

import msgspec

from quicksilver.grid import DecisionGrid
from quicksilver.models.judged import I, Judged, Waiting
from quicksilver.models.online import Inputs, ModelState, OnlineModel
from quicksilver.models.score import PrequentialScore
from quicksilver.models.trained import TrainedModel
from quicksilver.records import AnyRecord, Features, Label, Model, Prediction, Score, Status


class _SavedOnline(msgspec.Struct):
    model: ModelState
    scores: list[PrequentialScore]
    waiting: list[tuple[int, int, Waiting[Inputs]]]


class _SavedTrained(msgspec.Struct):
    model: Model
    scores: list[PrequentialScore]
    waiting: list[tuple[int, int, Waiting[None]]]


class _Saved(msgspec.Struct):
    online: _SavedOnline
    trained: _SavedTrained | None
    next_ns: int


class PredictionStage:
    """One instrument's models and their scores: the online one and, once there is one, a trained one.

    It sees features, labels and the data state in the order in which ``InstrumentStage`` gives them, and decides on the
    same grid, so that it may run elsewhere.
    """

    def __init__(self, horizons_ns: tuple[int, ...], every_ns: int) -> None:
        self.horizons_ns = horizons_ns
        self._grid = DecisionGrid(every_ns)
        self._online = OnlineModel(horizons_ns, every_ns)
        self._judged = Judged[Inputs](OnlineModel.name, OnlineModel.version, horizons_ns)
        self._trained: TrainedModel | None = None
        self._judged_trained: Judged[None] | None = None

    def take(self, record: AnyRecord) -> list[AnyRecord]:
        """Return what a record of the instrument causes."""
        if isinstance(record, Features):
            due = record.mid is not None and self._grid.due(record.ts_event_ns)
            return [*self.on_features(record)] if due else []
        if isinstance(record, Label):
            return [*self.on_label(record)]
        if isinstance(record, Status) and record.state == "GAP":
            self.gap()
        return []

    def adopt(self, model: Model) -> Judged[None]:
        """Predict with a trained model from now on, instead of an earlier one; the scores of a new one start anew.

        Raises:
            ValueError: the record cannot be used.
        """
        if self._trained is None or self._judged_trained is None or self._trained.record != model:
            self._trained = TrainedModel(model)
            self._judged_trained = Judged(model.model, model.version, self.horizons_ns)
        return self._judged_trained

    def on_features(self, row: Features) -> list[Prediction]:
        """Predict each horizon's label of this feature vector, by model and then by horizon."""
        inputs = self._online.inputs(row)
        predictions = []
        for horizon in range(len(self.horizons_ns)):
            baseline = self._judged.scores[horizon].baseline()
            probabilities = self._online.predict(horizon, inputs, baseline)
            predictions.append(self._judged.predicted(row, horizon, Waiting(inputs, baseline, probabilities)))
        return predictions + self._predict_trained(row)

    def _predict_trained(self, row: Features) -> list[Prediction]:
        if self._trained is None or self._judged_trained is None:
            return []
        inputs, predictions = self._trained.inputs(row), []
        for horizon, horizon_ns in enumerate(self.horizons_ns):
            probabilities = self._trained.predict(horizon_ns, inputs)
            if probabilities is not None:
                baseline = self._judged_trained.scores[horizon].baseline()
                entry = Waiting(None, baseline, probabilities)
                predictions.append(self._judged_trained.predicted(row, horizon, entry))
        return predictions

    def on_label(self, label: Label) -> list[Score]:
        """Judge the predictions that the label belongs to, then learn from it."""
        horizon = self.horizons_ns.index(label.horizon_ns)
        scores = []
        judged = self._judged.judge(label, horizon)
        if judged is not None:
            entry, score = judged
            self._online.learn(horizon, entry.inputs, entry.baseline, label.direction)
            scores.append(score)
        if self._judged_trained is not None:
            outcome = self._judged_trained.judge(label, horizon)
            scores += [outcome[1]] if outcome is not None else []
        return scores

    def gap(self) -> None:
        """Forget the predictions whose outcome cannot be known; what was learned stays."""
        self._grid.reset()
        self._judged.waiting.clear()
        if self._judged_trained is not None:
            self._judged_trained.waiting.clear()

    def dump(self) -> bytes:
        """Return the state."""
        online = _SavedOnline(self._online.state(), self._judged.scores, _listed(self._judged))
        trained = None
        if self._trained is not None and self._judged_trained is not None:
            trained = _SavedTrained(self._trained.record, self._judged_trained.scores, _listed(self._judged_trained))
        return msgspec.msgpack.encode(_Saved(online, trained, self._grid.next_ns))

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._grid.next_ns = saved.next_ns
        self._online.restore(saved.online.model)
        self._judged.scores = saved.online.scores
        self._judged.waiting = {(seq, horizon): entry for seq, horizon, entry in saved.online.waiting}
        self._trained = self._judged_trained = None
        if saved.trained is not None:
            judged = self.adopt(saved.trained.model)
            judged.scores = saved.trained.scores
            judged.waiting = {(seq, horizon): entry for seq, horizon, entry in saved.trained.waiting}


def _listed(judged: Judged[I]) -> list[tuple[int, int, Waiting[I]]]:
    return [(seq, horizon, entry) for (seq, horizon), entry in judged.waiting.items()]
