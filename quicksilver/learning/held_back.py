"""A version of a predictor on data that are later than what it learned from: what it says of them, and how it did."""

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Bools, TrainingFrame
from quicksilver.learning.scores import N_CLASSES, Decisions
from quicksilver.learning.validation import (
    FOLDS,
    LAST_MOVE,
    MAJORITY,
    MODEL,
    NOTHING,
    Walk,
    certain,
    last_moves,
    overlap_of,
)
from quicksilver.models.card import AnyCard, Card
from quicksilver.models.predictor import REACH
from quicksilver.models.row_model import RowModel, model_in

MIN_LATER = 50  # decisions; of fewer nothing is to be seen


def outside(card: Card, inputs: FloatArray) -> Bools:
    """Return which rows of inputs ``(n, n_inputs)`` a live predictor would flag: they lie far out of the range."""
    if card.format == "online":
        return np.zeros(len(inputs), bool)
    low, high = (np.array([getattr(one, end) for one in card.ranges]) for end in ("low", "high"))
    reach = REACH * (high - low)
    return np.asarray(((inputs < low - reach) | (inputs > high + reach)).any(axis=1))


def said_by(card: Card, model: RowModel, inputs: FloatArray) -> FloatArray:
    """Return what ``Predictor.probabilities`` says of inputs ``(n, n_inputs)``: ``(n, 3)``, NaN where it is None.

    ``model`` is that of the card. One that goes on learning says what it would have said at first.
    """
    rows, known = np.full((len(inputs), N_CLASSES), np.nan), ~outside(card, inputs)
    if not known.any():
        return rows
    said = model.raw(inputs[known].astype(np.float32))
    if card.error_bps is not None:
        threshold, moves = card.config.threshold_bps, said[:, 0]
        down, up = ndtr((-threshold - moves) / card.error_bps), ndtr((moves - threshold) / card.error_bps)
        rows[known] = np.column_stack([down, np.maximum(0.0, 1.0 - down - up), up])
        return rows
    shares = np.zeros((len(said), N_CLASSES))
    shares[:, np.array(card.classes) + 1] = said
    rows[known] = shares / shares.sum(axis=1, keepdims=True)
    return rows


def later_than(card: Card, frame: TrainingFrame) -> TrainingFrame:
    """Return the decisions that have nothing in common with what a version learned from, as ``walk_forward`` purges."""
    return frame.rows(frame.ts_ns >= card.end_ns + 2 * card.config.horizon_ns)


def walked_by(card: Card, later: TrainingFrame) -> Walk:
    """Return what a version and its baselines said of later decisions, in as many parts as a walk has.

    Those that a live predictor would flag are left out and counted: nobody is judged by them.

    Raises:
        InputError: there are too few.
        ValueError: the card cannot be used.
    """
    config, far = card.config, outside(card, later.inputs)
    later, flagged = later.rows(~far), int(np.count_nonzero(far))
    require_enough(card, later.n, flagged)
    said = {
        MODEL: said_by(card, model_in(card), later.inputs), MAJORITY: np.tile(card.prior, (later.n, 1)),
        LAST_MOVE: certain(last_moves(later, config)), NOTHING: certain(np.zeros(later.n)),
    }  # fmt: skip
    return Walk(in_parts(said, later, config), later.ts_ns, overlap_of(later, config), flagged)


def require_enough(card: AnyCard, n: int, flagged: int) -> None:
    """Refuse to judge a version by next to nothing; ``flagged`` decisions were none to be judged.

    Raises:
        InputError: there are too few decisions.
    """
    if n < MIN_LATER:
        more = f", less {flagged:,} that it flags as out of range" if flagged else ""
        raise InputError(
            f"{n} decisions are later than what {card.name} {card.version} learned from{more}; at least {MIN_LATER} are"
            " needed: give newer data"
        )


def in_parts(
    said: Mapping[str, FloatArray], later: TrainingFrame, config: PredictorConfig, confidence: float = 0.0
) -> dict[str, Decisions]:
    """Return what each said of later decisions ``(n, 3)`` beside what came, in as many parts as a walk has.

    ``confidence`` is the model's.
    """
    fold, outcomes = np.arange(later.n) * FOLDS // later.n, later.directions(config.threshold_bps)
    return {
        who: Decisions(one, outcomes, later.move_bps, fold, config.fee_bps, confidence if who == MODEL else 0.0)
        for who, one in said.items()
    }
