"""A trained predictor at work on one instrument: feature vectors in, predictions and scores out.

It sees what ``learning/datasets.py`` makes its training data of, row by row: decisions on the first row in each cell
of its granularity, moves from decision to decision, outcomes after its horizon; and forgets at the same breaks.
"""

import math
from collections import deque
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.grid import DecisionGrid
from quicksilver.labels import BPS, LabelConfig, LabelQueue
from quicksilver.learning.config import MAX_SILENT
from quicksilver.models.card import Card
from quicksilver.models.judged import Judged, Waiting
from quicksilver.models.learner import Learner
from quicksilver.models.row_model import model_in
from quicksilver.models.score import PrequentialScore, Probabilities, probabilities_of_move
from quicksilver.records import Features, Label, Prediction, Score


def fell_silent(last_ns: int, now_ns: int, every_ns: int) -> bool:
    """Return whether so long nothing came that the next move would not be one of a granularity's length."""
    return now_ns // every_ns - last_ns // every_ns > MAX_SILENT


class _Said(NamedTuple):
    probabilities: Probabilities
    move_bps: float | None


class _Saved(msgspec.Struct):
    next_ns: int
    last_ns: int
    last_mid: float | None
    moves: list[float]
    labels: bytes
    score: PrequentialScore
    waiting: list[tuple[int, Waiting[list[float] | None]]]
    rows: list[list[float]]
    learned: bytes | None


class Predictor:
    """Applies a card to one instrument's feature vectors, and judges it by what came.

    Raises:
        ValueError: the card cannot be used.
    """

    def __init__(self, card: Card, venue: str, symbol: str) -> None:
        self.card = card
        config = card.config
        self._model = model_in(card)
        self._learner = self._model if isinstance(self._model, Learner) else None
        if self._model.n_inputs != len(config.inputs) or len(card.ranges) != len(config.inputs):
            raise ValueError(
                f"{card.name} {card.version} takes {self._model.n_inputs} inputs, not {len(config.inputs)}"
            )
        self._low, self._high = np.array([one.reach for one in card.ranges]).T
        self._require_sound()
        labels = LabelConfig((config.horizon_ns,), config.fee_bps)
        self._grid = DecisionGrid(config.every_ns)
        self._labels = LabelQueue(venue, symbol, labels)
        self._moves: deque[float] = deque(maxlen=config.datasetinputs)
        self._last_ns, self._last_mid = 0, math.nan
        self._rows: deque[list[float]] = deque(maxlen=config.sequence)
        self._judged = Judged[list[float] | None](card.name, card.version, labels, confidence=config.confidence)

    def _require_sound(self) -> None:
        """Refuse a card at odds with itself, or whose model cannot be applied: better now than at the first row."""
        card = self.card
        n_outputs = self._model.raw(np.zeros((1, len(self._low)), np.float32)).size
        if not (np.isfinite([*self._low, *self._high, *card.prior]).all() and (self._low <= self._high).all()):
            raise ValueError(f"{card.name} {card.version} holds ranges or frequencies that are none")
        if card.config.target == "return":
            sound = n_outputs == 1 and not card.classes and card.error_bps is not None and card.error_bps > 0.0
        else:
            sound = n_outputs == len(card.classes) and set(card.classes) <= {-1, 0, 1} and card.error_bps is None
        if not sound:
            raise ValueError(
                f"{card.name} {card.version} predicts a {card.config.target}, and its model gives {n_outputs} numbers"
                f" for the classes {list(card.classes)}"
            )

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide."""
        if row.mid is None:
            return []
        inputs = self.inputs(row)  # first, for it may find that what waits has to be forgotten
        known = self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, row.mid)
        outcomes = [score for label in known if (score := self._judge(label)) is not None]
        return [*outcomes] if inputs is None else [*outcomes, self._predicted(row, row.mid, inputs)]

    def _predicted(self, row: Features, mid: float, inputs: FloatArray) -> Prediction:
        said = self._said(inputs)
        if isinstance(said, str):
            return self._judged.flagged(row, 0, self.card.prior, said)
        self._labels.on_features(row.seq, row.ts_event_ns, mid)
        kept = None if self._learner is None else inputs.tolist()
        entry = Waiting(kept, self._judged.scores[0].baseline(), said.probabilities)
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

    def inputs(self, row: Features) -> FloatArray | None:
        """Take in a row; return the inputs ``(n_inputs,)``, NaN where not known, if this is a time to decide.

        An ensemble takes a row by this alone, for it judges as a whole.
        """
        config, mid = self.card.config, row.mid
        if mid is None:
            return None
        if fell_silent(self._last_ns, row.ts_event_ns, self._grid.every_ns):
            self.gap()
        self._last_ns = row.ts_event_ns
        if not self._grid.due(row.ts_event_ns):
            return None
        if not math.isnan(self._last_mid):
            self._moves.appendleft(math.log(mid / self._last_mid) * BPS)
        self._last_mid = mid
        self._rows.appendleft(self._features(row))
        if len(self._moves) < config.datasetinputs or len(self._rows) < config.sequence:
            return None
        return np.array([*self._moves, *chain.from_iterable(self._rows)])

    def _features(self, row: Features) -> list[float]:
        """The features of a decision, NaN where not known."""
        values = (getattr(row, name) for name in self.card.config.features)
        return [math.nan if value is None else value for value in values]

    def probabilities(self, inputs: FloatArray) -> Probabilities | None:
        """Return what the model says of inputs ``(n_inputs,)``; None if that would be flagged."""
        said = self._said(inputs)
        return None if isinstance(said, str) else said.probabilities

    def _out_of_range(self, inputs: FloatArray) -> str:
        """Which input lies farther out than the model's training data; nothing if none does.

        A model that goes on learning has no such range: what is new to it, it learns, and its scaler bounds it.
        """
        if self._learner is not None:
            return ""
        (out,) = np.nonzero((inputs < self._low) | (inputs > self._high))
        if not out.size:
            return ""
        at = int(out[0])
        name, value = self.card.config.inputs[at], inputs[at]
        return f"out of range: {name} {value:.6g} is outside {self._low[at]:.6g} to {self._high[at]:.6g}"

    def _said(self, inputs: FloatArray) -> _Said | str:
        """What the model says, or why that is nothing."""
        if out := self._out_of_range(inputs):
            return out
        try:
            said = self._model.raw(inputs.astype(np.float32)[None])[0].tolist()
        except ValueError as error:  # costs this prediction alone: whoever raised here would end a whole run
            return str(error)
        if not all(map(math.isfinite, said)):
            return f"the model gives no numbers: {said}"
        if self.card.error_bps is not None:
            (move_bps,) = said
            threshold_bps = self.card.config.threshold_bps
            return _Said(probabilities_of_move(move_bps, self.card.error_bps, threshold_bps), move_bps)
        shares = [0.0, 0.0, 0.0]
        for direction, share in zip(self.card.classes, said, strict=True):
            shares[direction + 1] = share
        total = sum(shares)
        if total <= 0.0:
            return f"the model gives no probabilities: {said}"
        return _Said((shares[0] / total, shares[1] / total, shares[2] / total), None)

    def gap(self) -> None:
        """Forget what no longer belongs together: moves, and predictions whose outcome cannot be known."""
        self._grid.reset()
        self._labels.gap()
        self._moves.clear()
        self._rows.clear()
        self._last_ns, self._last_mid = 0, math.nan
        self._judged.waiting.clear()

    def dump(self) -> bytes:
        """Return the state."""
        mid = None if math.isnan(self._last_mid) else self._last_mid
        waiting = [(seq, entry) for (seq, _), entry in self._judged.waiting.items()]
        return msgspec.msgpack.encode(
            _Saved(
                self._grid.next_ns, self._last_ns, mid, list(self._moves), self._labels.dump(), self._judged.scores[0],
                waiting, list(self._rows), None if self._learner is None else self._learner.dump(),
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._grid.next_ns, self._last_ns = saved.next_ns, saved.last_ns
        self._last_mid = math.nan if saved.last_mid is None else saved.last_mid
        self._moves = deque(saved.moves, self.card.config.datasetinputs)
        self._rows = deque(saved.rows, self.card.config.sequence)
        if self._learner is not None and saved.learned is not None:
            self._learner.load(saved.learned)
        self._labels.load(saved.labels)
        self._judged.scores = [saved.score]
        self._judged.waiting = {(seq, 0): entry for seq, entry in saved.waiting}
