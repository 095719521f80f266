"""A version of a predictor on data that are later than what it learned from: what it says of them, and how it did."""

import numpy as np
from scipy.special import ndtr

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
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
from quicksilver.models.card import Card
from quicksilver.models.card_model import REACH
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

    Flagged ones are to be left out before: nobody is judged by them.

    Raises:
        InputError: there are too few.
        ValueError: the card cannot be used.
    """
    config = card.config
    if later.n < MIN_LATER:
        raise InputError(
            f"{later.n} decisions are later than what {card.name} {card.version} learned from; at least {MIN_LATER} are"
            " needed: give newer data"
        )
    said = {
        MODEL: said_by(card, model_in(card), later.inputs), MAJORITY: np.tile(card.prior, (later.n, 1)),
        LAST_MOVE: certain(last_moves(later, config)), NOTHING: certain(np.zeros(later.n)),
    }  # fmt: skip
    fold, outcomes = np.arange(later.n) * FOLDS // later.n, later.directions(config.threshold_bps)
    judged = {who: Decisions(one, outcomes, later.move_bps, fold, config.fee_bps) for who, one in said.items()}
    return Walk(judged, later.ts_ns, overlap_of(later, config))
