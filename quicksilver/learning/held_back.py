"""A version of a predictor on data that are later than what it learned from: what it says of them, and how it did."""

import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Bools, Int64, TrainingFrame
from quicksilver.learning.online import OnlineClassifier, prequential
from quicksilver.learning.ranges import out_of_range
from quicksilver.learning.results import MODEL
from quicksilver.learning.scores import N_CLASSES
from quicksilver.learning.splits import overlap_of
from quicksilver.learning.usable import FOLDS
from quicksilver.learning.walking import Walk, baselines_of, judged_by
from quicksilver.models.card import AnyCard, Card
from quicksilver.models.row_model import RowModel, model_in
from quicksilver.models.score import probabilities_of_move

MIN_LATER = 50  # decisions; of fewer nothing is to be seen


def outside(card: Card, inputs: FloatArray) -> Bools:
    """Return which rows of inputs ``(n, n_inputs)`` a live predictor would flag: they lie far out of the range."""
    return out_of_range(inputs, card.ranges, card.config)


def said_by(card: Card, model: RowModel, inputs: FloatArray) -> FloatArray:
    """Return what ``CardModel.told`` says of inputs ``(n, n_inputs)``: ``(n, 3)``, NaN where it says why not.

    ``model`` is that of the card. One that goes on learning says what it would have said at first; ``judged_as_live``
    lets it learn.
    """
    rows, known = np.full((len(inputs), N_CLASSES), np.nan), ~outside(card, inputs)
    if not known.any():
        return rows
    asked = inputs[known].astype(np.float32)
    if card.error_bps is not None:
        # row by row, as live: of many rows at once sums differ in their last bits, and so may what is at the threshold
        moves = [float(model.raw(row[None])[0, 0]) for row in asked]
        rows[known] = [probabilities_of_move(move, card.error_bps, card.config.threshold_bps) for move in moves]
        return rows
    said = model.raw(asked)
    shares = np.zeros((len(said), N_CLASSES))
    shares[:, np.array(card.classes) + 1] = said
    rows[known] = shares / shares.sum(axis=1, keepdims=True)
    return rows


def judged_as_live(card: Card, later: TrainingFrame) -> FloatArray:
    """Return what a version says of later decisions in its range, ``(n, 3)``, as in its walk and live.

    One that goes on learning learns from each outcome once that is known.

    Raises:
        ValueError: the card cannot be used.
    """
    if card.format == "online":
        return prequential(OnlineClassifier.restored(card), later, card.config.threshold_bps)
    return said_by(card, model_in(card), later.inputs)


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
    said = {MODEL: judged_as_live(card, later), **baselines_of(later, config, card.prior)}
    judged = judged_by(said, later, in_parts(later), config, config.confidence)
    return Walk(judged, later.ts_ns, overlap_of(later, config), flagged)


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


def in_parts(later: TrainingFrame) -> Int64:
    """Return which part each later decision is of, ``(n,)``: they are as many as those of a walk."""
    return np.arange(later.n) * FOLDS // later.n
