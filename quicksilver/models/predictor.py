"""A trained predictor at work on one instrument: feature vectors in, predictions and scores out.

It sees what ``learning/datasets.py`` makes its training data of, row by row: decisions on the first row in each cell
of its granularity, moves from decision to decision, outcomes after its horizon; and forgets at the same breaks.
"""

import math
from collections import deque

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.grid import DecisionGrid
from quicksilver.labels import BPS, LabelConfig, LabelQueue
from quicksilver.learning.config import MAX_SILENT
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import Card
from quicksilver.models.judged import Judged, Waiting
from quicksilver.models.score import PrequentialScore, Probabilities
from quicksilver.records import Features, Prediction, Score

REACH = 0.5  # how far beyond what it was in training an input may lie, in widths of that range


def fell_silent(last_ns: int, now_ns: int, every_ns: int) -> bool:
    """Return whether so long nothing came that the next move would not be one of a granularity's length."""
    return now_ns // every_ns - last_ns // every_ns > MAX_SILENT


class _Saved(msgspec.Struct):
    next_ns: int
    last_ns: int
    last_mid: float | None
    moves: list[float]
    labels: bytes
    score: PrequentialScore
    waiting: list[tuple[int, Waiting[None]]]


class Predictor:
    """Applies a card to one instrument's feature vectors, and judges it by what came.

    Raises:
        ValueError: the card cannot be used.
    """

    def __init__(self, card: Card, venue: str, symbol: str) -> None:
        self.card = card
        config = card.config
        self._model = AppliedModel(card.unpacked())
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
        self._judged = Judged[None](card.name, card.version, (config.horizon_ns,))

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide."""
        if row.mid is None:
            return []
        inputs = self.inputs(row)  # first, for it may find that what waits has to be forgotten
        known = self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, row.mid)
        outcomes = [outcome[1] for label in known if (outcome := self._judged.judge(label, 0)) is not None]
        if inputs is None:
            return [*outcomes]
        self._labels.on_features(row.seq, row.ts_event_ns, row.mid)
        return [*outcomes, self._predicted(row, inputs)]

    def _predicted(self, row: Features, inputs: FloatArray) -> Prediction:
        """The prediction; out of its range, the frequencies that the model has seen: that is not predicted on."""
        said = self.probabilities(inputs) or self.card.prior
        return self._judged.predicted(row, 0, Waiting(None, self._judged.scores[0].baseline(), said))

    def inputs(self, row: Features) -> FloatArray | None:
        """Take in a row; return the inputs ``(n_inputs,)``, NaN where not known, if this is a time to decide.

        An ensemble takes a row by this alone, for it judges as a whole.
        """
        config, mid = self.card.config, row.mid
        if mid is None:
            return None
        if fell_silent(self._last_ns, row.ts_event_ns, config.every_ns):
            self.gap()
        self._last_ns = row.ts_event_ns
        if not self._grid.due(row.ts_event_ns):
            return None
        if not math.isnan(self._last_mid):
            self._moves.appendleft(math.log(mid / self._last_mid) * BPS)
        self._last_mid = mid
        if len(self._moves) < config.datasetinputs:
            return None
        values = (getattr(row, name) for name in config.features)
        return np.array([*self._moves, *(math.nan if value is None else value for value in values)])

    def probabilities(self, inputs: FloatArray) -> Probabilities | None:
        """Return what the model says of inputs ``(n_inputs,)``; None if they are out of its range."""
        if (inputs < self._low).any() or (inputs > self._high).any():
            return None
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
        self._last_ns, self._last_mid = 0, math.nan
        self._judged.waiting.clear()

    def dump(self) -> bytes:
        """Return the state."""
        mid = None if math.isnan(self._last_mid) else self._last_mid
        waiting = [(seq, entry) for (seq, _), entry in self._judged.waiting.items()]
        return msgspec.msgpack.encode(
            _Saved(
                self._grid.next_ns, self._last_ns, mid, list(self._moves), self._labels.dump(), self._judged.scores[0],
                waiting,
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._grid.next_ns, self._last_ns = saved.next_ns, saved.last_ns
        self._last_mid = math.nan if saved.last_mid is None else saved.last_mid
        self._moves = deque(saved.moves, self.card.config.datasetinputs)
        self._labels.load(saved.labels)
        self._judged.scores = [saved.score]
        self._judged.waiting = {(seq, 0): entry for seq, entry in saved.waiting}
