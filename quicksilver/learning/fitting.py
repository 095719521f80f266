"""A predictor's model of a frame: fitted, how far off it is, and what it says."""

import math

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.online import OnlineClassifier, prequential
from quicksilver.learning.splits import Stretches, overlap_of
from quicksilver.learning.usable import learned_from, require_usable
from quicksilver.learning.zoo import model_of
from quicksilver.models.score import CLASSES, probabilities_of_move


def fitted(frame: TrainingFrame, config: PredictorConfig) -> Pipeline:
    """Return the predictor's model of a frame, the same on any machine: sums in several threads differ in their order.

    Raises:
        InputError: the data cannot be learned from.
    """
    seen = learned_from(frame, config)
    require_usable(seen, config)
    target = seen.directions(config.threshold_bps) if config.target == "direction" else seen.move_bps
    with threadpool_limits(1):
        return model_of(config, len(frame.instruments)).fit(seen.inputs, target)


def error_of(model: Pipeline, frame: TrainingFrame, config: PredictorConfig) -> float | None:
    """Return how far off a return model is on data that it has not seen, in basis points; None of other models.

    The root mean square of its errors on stretches of its training data, each predicted by the same model fitted to the
    others, less what overlaps with it. What a model has learned by heart would make it look surer than it is. The
    result is above 0, also where there is nothing to err in.

    Raises:
        InputError: there are too few data.
    """
    if config.target == "direction":
        return None
    frame = learned_from(frame, config)
    squares = 0.0
    for others, stretch in Stretches(overlap_of(frame, config)).split(frame.inputs):
        with threadpool_limits(1):
            unseen = clone(model).fit(frame.inputs[others], frame.move_bps[others])
        squares += float(((frame.move_bps[stretch] - np.ravel(unseen.predict(frame.inputs[stretch]))) ** 2).sum())
    return max(math.sqrt(squares / frame.n), 1e-9)


def probabilities(model: Pipeline, inputs: FloatArray, config: PredictorConfig, error_bps: float | None) -> FloatArray:
    """Return the probabilities of down, flat and up, ``(n, 3)``, as a live predictor gives them.

    ``error_bps`` is what ``error_of`` says of the model: a predicted return has normal errors of that size.
    """
    if error_bps is not None:
        moves = np.ravel(model.predict(inputs)).tolist()
        return np.array([probabilities_of_move(move, error_bps, config.threshold_bps) for move in moves])
    rows = np.zeros((len(inputs), len(CLASSES)))
    rows[:, model.classes_ + 1] = model.predict_proba(inputs)
    return rows


def predicted(model: Pipeline, later: TrainingFrame, config: PredictorConfig, error_bps: float | None) -> FloatArray:
    """Return what a model says of decisions later than what it was fitted to, ``(n, 3)``; it may go on learning."""
    if isinstance(model, OnlineClassifier):
        return prequential(model, later, config.threshold_bps)
    return probabilities(model, later.inputs, config, error_bps)
