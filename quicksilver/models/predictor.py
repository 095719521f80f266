"""A trained predictor at work on one instrument: feature vectors in, predictions and scores out.

It sees what ``learning/datasets.py`` makes its training data of, row by row: decisions on the first row in each cell
of its granularity, moves from decision to decision, outcomes after its horizon; and forgets at the same breaks.
"""

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.labels import LabelConfig, LabelQueue
from quicksilver.models.card import Card
from quicksilver.models.card_model import CardModel
from quicksilver.models.input_rows import InputRows, InputState
from quicksilver.models.judged import Judged, Waiting
from quicksilver.models.score import PrequentialScore
from quicksilver.records import Features, Label, Prediction, Score


class _Saved(msgspec.Struct):
    inputs: InputState
    labels: bytes
    score: PrequentialScore
    waiting: list[tuple[int, Waiting[list[float] | None]]]
    learned: bytes | None


class Predictor:
    """Applies a card to one instrument's feature vectors, and judges it by what came.

    Raises:
        ValueError: the card cannot be used.
    """

    def __init__(self, card: Card, venue: str, symbol: str) -> None:
        self.card = card
        self._model = CardModel(card)
        self._learner = self._model.learner
        labels = LabelConfig((card.config.horizon_ns,), card.config.fee_bps)
        self._inputs = InputRows(card.config)
        self._labels = LabelQueue(venue, symbol, labels)
        self._judged = Judged[list[float] | None](
            card.name, card.version, labels, card.config.every_ns, confidence=card.config.confidence
        )

    @property
    def waits(self) -> bool:
        """Whether any of its predictions waits for its outcome."""
        return bool(self._judged.waiting)

    def take(self, row: Features, deciding: bool = True) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide.

        Who is not ``deciding`` any more predicts nothing.
        """
        if row.mid is None:
            return []
        if self._inputs.breaks(row.ts_event_ns):
            self.gap()
        inputs = self._inputs.take(row)
        known = self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, row.mid)
        outcomes = [score for label in known if (score := self._judge(label)) is not None]
        if inputs is None or not deciding:
            return [*outcomes]
        return [*outcomes, self._predicted(row, row.mid, inputs)]

    def rehearse(self) -> None:
        """Ask the model once, and change nothing: what a decision costs."""
        self._model.rehearse()

    def _predicted(self, row: Features, mid: float, inputs: FloatArray) -> Prediction:
        said = self._model.told(inputs)
        if isinstance(said, str):
            return self._judged.flagged(row, 0, self.card.prior, said)
        self._labels.on_features(row.seq, row.ts_event_ns, mid)
        kept = None if self._learner is None else inputs.tolist()
        entry = Waiting(kept, self._judged.scores[0].baseline(), said.probabilities, row.spread_bps)
        return self._judged.predicted(row, 0, entry, said.move_bps)

    def _judge(self, label: Label) -> Score | None:
        """Judge the prediction that a label belongs to; a model that learns does so now, and not before."""
        judged = self._judged.judge(label, 0)
        if judged is None:
            return None
        entry, score = judged
        if self._learner is not None and entry.inputs is not None:
            self._learner.learn(np.array(entry.inputs), label.direction)
        return score

    def gap(self) -> None:
        """Forget what no longer belongs together: moves, and predictions whose outcome cannot be known."""
        self._inputs.gap()
        self._labels.gap()
        self._judged.waiting.clear()

    def dump(self) -> bytes:
        """Return the state."""
        waiting = [(seq, entry) for (seq, _), entry in self._judged.waiting.items()]
        return msgspec.msgpack.encode(
            _Saved(
                self._inputs.state(), self._labels.dump(), self._judged.scores[0], waiting,
                None if self._learner is None else self._learner.dump(),
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._inputs.restore(saved.inputs)
        if self._learner is not None and saved.learned is not None:
            self._learner.load(saved.learned)
        self._labels.load(saved.labels)
        self._judged.scores = [saved.score]
        self._judged.waiting = {(seq, 0): entry for seq, entry in saved.waiting}
