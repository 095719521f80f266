"""Predictions of one instrument: features in, predictions out; labels in, scores out, and only then learning."""

from collections.abc import Mapping

import msgspec

from quicksilver.grid import DecisionGrid
from quicksilver.labels import LabelConfig
from quicksilver.models.card import Deployment
from quicksilver.models.deployed import Deployed, LivePredictor
from quicksilver.models.judged import Judged, Waiting
from quicksilver.models.score import PrequentialScore
from quicksilver.models.softmax import Inputs, ModelState, OnlineModel
from quicksilver.records import AnyRecord, Features, Label, Prediction, Score, Status


class _SavedOnline(msgspec.Struct):
    model: ModelState
    scores: list[PrequentialScore]
    waiting: list[tuple[int, int, Waiting[Inputs]]]


class _Saved(msgspec.Struct):
    online: _SavedOnline
    next_ns: int
    deployed: bytes


class PredictionStage:
    """One instrument's models and their scores: the one that learns online, and the trained ones that are deployed.

    It sees features, labels and the data state in the order in which ``InstrumentStage`` gives them, and decides on the
    same grid, so that it may run elsewhere. Of each feature vector the online model's predictions come first, then what
    each deployed version says, which has decisions and outcomes of its own.
    """

    def __init__(self, labels: LabelConfig, every_ns: int, deployed: Deployed | None = None) -> None:
        self._horizons_ns = labels.horizons_ns
        self._grid = DecisionGrid(every_ns)
        self._online = OnlineModel(labels.horizons_ns, every_ns)
        self._judged = Judged[Inputs](OnlineModel.name, OnlineModel.version, labels, every_ns, "online")
        self.deployed = deployed or Deployed()

    def take(self, record: AnyRecord) -> list[AnyRecord]:
        """Return what a record of the instrument causes."""
        if isinstance(record, Features):
            due = record.mid is not None and self._grid.due(record.ts_event_ns)
            return [*(self.on_features(record) if due else ()), *self.deployed.take(record)]
        if isinstance(record, Label):
            return [*self.on_label(record)]
        if isinstance(record, Status) and record.state == "GAP":
            self.gap()
        return []

    def adopt(self, deployment: Deployment, ready: Mapping[str, LivePredictor] | None = None) -> None:
        """Work as a deployment says from the next feature vector on; see ``Deployed.adopt``.

        Raises:
            ValueError: a card cannot be used; then everything stays as it was.
        """
        self.deployed.adopt(deployment, ready)

    def on_features(self, row: Features) -> list[Prediction]:
        """Predict each horizon's label of this feature vector by the online model."""
        inputs = self._online.inputs(row)
        predictions = []
        for horizon in range(len(self._horizons_ns)):
            baseline = self._judged.scores[horizon].baseline()
            probabilities = self._online.predict(horizon, inputs, baseline)
            entry = Waiting(inputs, baseline, probabilities, row.spread_bps)
            predictions.append(self._judged.predicted(row, horizon, entry))
        return predictions

    def on_label(self, label: Label) -> list[Score]:
        """Judge the online model's prediction that the label belongs to, then learn from it."""
        horizon = self._horizons_ns.index(label.horizon_ns)
        judged = self._judged.judge(label, horizon)
        if judged is None:
            return []
        entry, score = judged
        self._online.learn(horizon, entry.inputs, entry.baseline, label.direction)
        return [score]

    def gap(self) -> None:
        """Forget the predictions whose outcome cannot be known; what was learned stays."""
        self._grid.reset()
        self._judged.waiting.clear()
        self.deployed.gap()

    def dump(self) -> bytes:
        """Return the state, with the cards of what is deployed."""
        waiting = [(seq, horizon, entry) for (seq, horizon), entry in self._judged.waiting.items()]
        online = _SavedOnline(self._online.state(), self._judged.scores, waiting)
        return msgspec.msgpack.encode(_Saved(online, self._grid.next_ns, self.deployed.dump()))

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            ValueError: a card in it cannot be used.
        """
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._grid.next_ns = saved.next_ns
        self._online.restore(saved.online.model)
        self._judged.scores = saved.online.scores
        self._judged.waiting = {(seq, horizon): entry for seq, horizon, entry in saved.online.waiting}
        self.deployed.load(saved.deployed)
