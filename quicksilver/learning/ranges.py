"""What inputs were in training, and which are so far beyond that a live predictor flags them."""

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Bools, TrainingFrame
from quicksilver.models.card import Range
from quicksilver.models.learner import ONLINE


def ranges_of(frame: TrainingFrame) -> tuple[Range, ...]:
    """Return the range of each input that a model has learned from; every input is known in some row."""
    return tuple(
        Range(name, float(np.nanmin(column)), float(np.nanmax(column)))
        for name, column in zip(frame.names, frame.inputs.T, strict=True)
    )


def out_of_range(inputs: FloatArray, ranges: tuple[Range, ...], config: PredictorConfig) -> Bools:
    """Return which rows of inputs ``(n, n_inputs)`` a live predictor would flag rather than predict on, ``(n,)``.

    One that goes on learning flags none: what is new to it, it learns.
    """
    if config.type in ONLINE:
        return np.zeros(len(inputs), bool)
    low, high = np.array([one.reach for one in ranges]).T
    return np.asarray(((inputs < low) | (inputs > high)).any(axis=1))


def unflagged(later: TrainingFrame, past: TrainingFrame, config: PredictorConfig) -> TrainingFrame:
    """Return those later decisions that a predictor which has learned from the past would not flag."""
    return later.rows(~out_of_range(later.inputs, ranges_of(past), config))
