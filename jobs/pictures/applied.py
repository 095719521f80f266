"""A version from the registry, applied to data that are later than those that it learned from."""

import math
from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np
from scipy import special

from jobs.pictures.drawing import between, moment
from jobs.pictures.study import Held, Says, Study
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Bools, TrainingFrame, directions_of
from quicksilver.learning.scores import Decisions
from quicksilver.learning.validation import FOLDS, LAST_MOVE, MAJORITY, MODEL, NOTHING, Walk, certain
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import Card
from quicksilver.models.predictor import REACH

MIN_LATER = 50  # decisions; of fewer nothing is to be seen


class Applied(Study):
    """A version as it is; judged by that part of ``frame`` which is later than what it learned from.

    Raises:
        InputError: the card cannot be used.
    """

    def __init__(self, card: Card, frame: TrainingFrame) -> None:
        super().__init__(f"{card.name} {card.version}", card.config, frame)
        self._card = card
        later = frame.rows(frame.ts_ns >= card.end_ns + 2 * card.config.horizon_ns)  # as walk_forward purges
        self._later = later.rows(~outside(card, later.inputs))
        self._n_outside = later.n - self._later.n
        try:
            self._says = says_of(card)
        except ValueError as error:
            raise InputError(str(error)) from error

    @property
    def origin(self) -> str:
        """How it learned."""
        card, out = self._card, self._n_outside
        left_out = f" {out:,} later decisions with inputs far out of that range are left out, as live." if out else ""
        span = between(card.start_ns, card.end_ns)
        return f"Version {card.version} learned from {card.n_train:,} decisions, {span}.{left_out}"

    @property
    def probable(self) -> bool:
        """It does: a predicted move has the errors that it had in training."""
        return True

    @cached_property
    def walked(self) -> Walk:
        """What it said of the later data, in as many parts as a walk has."""
        later, config = self._later, self.config
        if later.n < MIN_LATER:
            raise InputError(
                f"{self.name} learned from data until {moment(self._card.end_ns)}, and"
                f" {later.n} decisions are later, fewer than {MIN_LATER}: give newer data, or plot the TOML file"
            )
        directions = later.directions(config.threshold_bps)
        last = directions_of(later.inputs[:, 0], config.threshold_bps) if config.datasetinputs else np.zeros(later.n)
        said = {
            MODEL: self._says(later.inputs), MAJORITY: np.tile(self._card.prior, (later.n, 1)),
            LAST_MOVE: certain(last), NOTHING: certain(np.zeros(later.n)),
        }  # fmt: skip
        fold = np.arange(later.n) * FOLDS // later.n
        judged = {who: Decisions(one, directions, later.move_bps, fold, config.fee_bps) for who, one in said.items()}
        return Walk(judged, later.ts_ns)

    @property
    def held(self) -> Sequence[Held]:
        """The one model; where nothing is later, with what it learned from."""
        later = self._later.n >= MIN_LATER
        return [Held(self._says, self._later if later else self.frame, self._card.n_train, seen=not later)]


def outside(card: Card, inputs: FloatArray) -> Bools:
    """Return which rows of inputs ``(n, n_inputs)`` are so far out of the range in training that no one is judged."""
    low, high = (np.array([getattr(one, side) for one in card.ranges]) for side in ("low", "high"))
    reach = REACH * (high - low)
    return np.asarray(((inputs < low - reach) | (inputs > high + reach)).any(axis=1))


def says_of(card: Card) -> Says:
    """Return what a version says of many inputs at once: the same as ``Predictor`` says live, row by row.

    Raises:
        ValueError: the card cannot be used.
    """
    model = AppliedModel(card.unpacked())

    def says(inputs: FloatArray) -> FloatArray:
        """Return the probabilities, and the frequencies in training where an input is far out of its range."""
        raw = model.raw(inputs.astype(np.float32))
        if card.error_bps is not None:
            rows = _of_moves(raw[:, 0], card.config.threshold_bps, card.error_bps)
        else:
            rows = np.zeros((len(raw), 3))
            rows[:, np.array(card.classes) + 1] = raw
            rows /= rows.sum(axis=1, keepdims=True)
        return np.where(outside(card, inputs)[:, None], card.prior, rows)

    return says


def _of_moves(move_bps: FloatArray, threshold_bps: float, error_bps: float) -> FloatArray:
    """Predicted moves as probabilities, with the normal errors that they had in training."""
    scale = error_bps * math.sqrt(2.0)
    below = 0.5 * (1.0 + special.erf((-threshold_bps - move_bps) / scale))
    above = 0.5 * (1.0 - special.erf((threshold_bps - move_bps) / scale))
    return np.column_stack([below, 1.0 - below - above, above])


def whole(config: PredictorConfig) -> PredictorConfig:
    """Return the configuration without a limit of history: a version is judged by all that is later."""
    return msgspec.structs.replace(config, minutes_back=0.0)
