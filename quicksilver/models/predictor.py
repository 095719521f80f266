"""A trained predictor at work on one instrument: feature vectors in, predictions and scores out.

It sees what ``learning/datasets.py`` makes its training data of, row by row: decisions on the first row in each cell
of its granularity, moves from decision to decision, outcomes after its horizon; and forgets at the same breaks.
"""

import math
from collections import deque
from itertools import chain

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
from quicksilver.models.score import PrequentialScore, Probabilities
from quicksilver.records import Features, Label, Prediction, Score

REACH = 0.5  # how far beyond what it was in training an input may lie, in widths of that range


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
        width = np.array([one.high - one.low for one in card.ranges])
        self._low = np.array([one.low for one in card.ranges]) - REACH * width
        self._high = np.array([one.high for one in card.ranges]) + REACH * width
        self._grid = DecisionGrid(config.every_ns)
        self._labels = LabelQueue(venue, symbol, LabelConfig((config.horizon_ns,), config.fee_bps))
        self._moves: deque[float] = deque(maxlen=config.datasetinputs)
        self._last_ns, self._last_mid = 0, math.nan
        self._rows: deque[list[float]] = deque(maxlen=config.sequence)
        self._judged = Judged[list[float] | None](card.name, card.version, (config.horizon_ns,))

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide."""
        config, mid = self.card.config, row.mid
        if mid is None:
            return []
        if row.ts_event_ns // self._grid.every_ns - self._last_ns // self._grid.every_ns > MAX_SILENT:
            self.gap()
        self._last_ns = row.ts_event_ns
        known = self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, mid)
        outcomes = [score for label in known if (score := self._judge(label)) is not None]
        if not self._grid.due(row.ts_event_ns):
            return [*outcomes]
        if not math.isnan(self._last_mid):
            self._moves.appendleft(math.log(mid / self._last_mid) * BPS)
        self._last_mid = mid
        self._rows.appendleft(self._features(row))
        if len(self._moves) < config.datasetinputs or len(self._rows) < config.sequence:
            return [*outcomes]
        self._labels.on_features(row.seq, row.ts_event_ns, mid)
        return [*outcomes, self._predicted(row)]

    def _judge(self, label: Label) -> Score | None:
        """Judge the prediction that a label belongs to; a model that learns does so now, and not before."""
        judged = self._judged.judge(label, 0)
        if judged is None:
            return None
        entry, score = judged
        if self._learner is not None and entry.inputs is not None:
            self._learner.learn(np.array(entry.inputs), label.direction)
        return score

    def _predicted(self, row: Features) -> Prediction:
        baseline, inputs = self._judged.scores[0].baseline(), self._inputs()
        kept = None if self._learner is None else inputs.tolist()
        return self._judged.predicted(row, 0, Waiting(kept, baseline, self._probabilities(inputs)))

    def _features(self, row: Features) -> list[float]:
        """The features of a decision, NaN where not known."""
        values = (getattr(row, name) for name in self.card.config.features)
        return [math.nan if value is None else value for value in values]

    def _inputs(self) -> FloatArray:
        """Return the inputs, ``(n_inputs,)``, NaN where not known."""
        return np.array([*self._moves, *chain.from_iterable(self._rows)])

    def _probabilities(self, inputs: FloatArray) -> Probabilities:
        """What the model says; out of its range, the frequencies that it has seen: that is not predicted on.

        A model that goes on learning has no such range: what is new to it, it learns, and its scaler bounds it.
        """
        if self._learner is None and ((inputs < self._low).any() or (inputs > self._high).any()):
            return self.card.prior
        said = self._model.raw(inputs.astype(np.float32)[None])[0]
        if self.card.error_bps is not None:
            return self._of_move(float(said[0]))
        shares = [0.0, 0.0, 0.0]
        for direction, share in zip(self.card.classes, said, strict=True):
            shares[direction + 1] = float(share)
        total = sum(shares)
        return shares[0] / total, shares[1] / total, shares[2] / total

    def _of_move(self, move_bps: float) -> Probabilities:
        """A predicted move as probabilities, with the normal errors that it had in training."""
        threshold, scale = self.card.config.threshold_bps, (self.card.error_bps or 1.0) * math.sqrt(2.0)
        below = 0.5 * (1.0 + math.erf((-threshold - move_bps) / scale))
        above = 0.5 * (1.0 - math.erf((threshold - move_bps) / scale))
        return below, 1.0 - below - above, above

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
