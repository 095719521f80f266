"""A member of an ensemble at work on one instrument: its last decision, and what it learns if it goes on learning.

A member that goes on learning does as it does alone: from the outcome of each of its own decisions, whether or not the
ensemble decided then, as soon as it is known and before any later decision.
"""

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.labels import LabelConfig, LabelQueue
from quicksilver.learning.config import PredictorConfig
from quicksilver.models.card import Card
from quicksilver.models.card_model import CardModel
from quicksilver.models.learner import Learner
from quicksilver.models.score import Probabilities
from quicksilver.records import Features


class Heard(msgspec.Struct):
    """A decision; without probabilities if the inputs were out of range."""

    ts_ns: int
    said: Probabilities | None


class _LearningState(msgspec.Struct):
    learner: bytes
    labels: bytes
    waiting: dict[int, list[float]]


class MemberState(msgspec.Struct):
    """A member's last decision, and what it has learned if it goes on learning."""

    heard: Heard | None
    learning: _LearningState | None


class _Learning:
    """A learner and its decisions that wait for their outcomes, by ``seq``."""

    def __init__(self, learner: Learner, config: PredictorConfig, venue: str, symbol: str) -> None:
        self._learner = learner
        self._labels = LabelQueue(venue, symbol, LabelConfig((config.horizon_ns,), config.fee_bps))
        self._waiting: dict[int, list[float]] = {}

    def on_price(self, row: Features, mid: float) -> None:
        for label in self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, mid):
            self._learner.learn(np.array(self._waiting.pop(label.seq)), label.direction)

    def decided(self, row: Features, mid: float, inputs: FloatArray) -> None:
        self._waiting[row.seq] = inputs.tolist()
        self._labels.on_features(row.seq, row.ts_event_ns, mid)

    def gap(self) -> None:
        self._labels.gap()
        self._waiting.clear()

    def state(self) -> _LearningState:
        return _LearningState(self._learner.dump(), self._labels.dump(), dict(self._waiting))

    def restore(self, state: _LearningState) -> None:
        self._learner.load(state.learner)
        self._labels.load(state.labels)
        self._waiting = state.waiting


class MemberAtWork:
    """Applies a member's card to the inputs of its decisions.

    Raises:
        ValueError: the card cannot be used.
    """

    def __init__(self, card: Card, venue: str, symbol: str) -> None:
        self._model = CardModel(card)
        self._every_ns = card.config.every_ns
        self._heard: Heard | None = None
        learner = self._model.learner
        self._learning = None if learner is None else _Learning(learner, card.config, venue, symbol)

    def on_price(self, row: Features, mid: float) -> None:
        """Learn from the outcomes that a row makes known; call it of every row with a price, before ``decide``."""
        if self._learning is not None:
            self._learning.on_price(row, mid)

    def decide(self, row: Features, mid: float, inputs: FloatArray) -> None:
        """Decide from inputs ``(n_inputs,)``."""
        told = self._model.told(inputs)
        self._heard = Heard(row.ts_event_ns, None if isinstance(told, str) else told.probabilities)
        if self._learning is not None and self._heard.said is not None:
            self._learning.decided(row, mid, inputs)

    def rehearse(self) -> None:
        """Ask the model once, and change nothing."""
        self._model.rehearse()

    def in_force(self, now_ns: int) -> Probabilities | None:
        """Return the last decision, unless it is older than the member's granularity or there is none."""
        heard = self._heard
        return None if heard is None or now_ns - heard.ts_ns > self._every_ns else heard.said

    def forget_waiting(self) -> None:
        """Forget the decisions whose outcome cannot be known."""
        if self._learning is not None:
            self._learning.gap()

    def gap(self) -> None:
        """Forget what no longer belongs together; what was learned stays."""
        self._heard = None
        self.forget_waiting()

    def state(self) -> MemberState:
        """Return the state as plain data."""
        return MemberState(self._heard, None if self._learning is None else self._learning.state())

    def restore(self, state: MemberState) -> None:
        """Take over a state."""
        self._heard = state.heard
        if self._learning is not None and state.learning is not None:
            self._learning.restore(state.learning)
