"""Models that go on learning, in scikit-learn's shape, and what they say of a later part of the data."""

from collections import deque
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import NEVER_NS, Int64, TrainingFrame
from quicksilver.models.card import Card
from quicksilver.models.learner import Learner
from quicksilver.models.score import CLASSES
from quicksilver.records import Direction

Rows: TypeAlias = NDArray[np.floating[Any]]


class OnlineClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A ``Learner`` that is fitted and asked as scikit-learn's classifiers are.

    Raises:
        ValueError: the configuration's type is none that learns online, or has no such parameters.
    """

    def __init__(self, config: PredictorConfig) -> None:
        self.config = config
        self.learner = Learner(config)
        self.classes_ = np.array(CLASSES)

    @classmethod
    def restored(cls, card: Card) -> "OnlineClassifier":
        """Return the model as it was when its card was made.

        Raises:
            ValueError: the card is damaged, or holds no such model.
        """
        model = cls(card.config)
        model.learner.load(card.unpacked())
        return model

    def fit(self, inputs: Rows, directions: Int64) -> "OnlineClassifier":
        """Learn from inputs ``(n, n_inputs)`` and outcomes ``(n,)``, one after another; returns the model."""
        self.learner = Learner(self.config)
        for row, direction in zip(inputs.astype(np.float32), directions.tolist(), strict=True):
            self.learner.learn(row, direction)
        return self

    def predict_proba(self, inputs: Rows) -> FloatArray:
        """Return the probabilities of down, flat and up, ``(n, 3)``; nothing is learned from the rows."""
        return self.learner.raw(inputs.astype(np.float32))

    def predict(self, inputs: Rows) -> Int64:
        """Return the likeliest class of each row, ``(n,)``."""
        return np.asarray(self.classes_[self.predict_proba(inputs).argmax(axis=1)])


def prequential(model: OnlineClassifier, later: TrainingFrame, threshold_bps: float) -> FloatArray:
    """Return the probabilities of down, flat and up of later decisions, ``(n, 3)``, by a model that goes on learning.

    As live: each instrument has a model of its own, which begins as ``model``, predicts, and learns from an outcome
    when it is known, before any later prediction and before one of that time. ``model`` itself learns nothing. An
    outcome that is known at ``NEVER_NS`` is none.
    """
    state, directions = model.learner.dump(), later.directions(threshold_bps)
    said = np.empty((later.n, len(CLASSES)))
    for instrument in np.unique(later.instrument):
        learner = Learner(model.config)
        learner.load(state)
        waiting: deque[int] = deque()
        for row in np.flatnonzero(later.instrument == instrument).tolist():
            while waiting and later.known_ns[waiting[0]] <= later.ts_ns[row]:
                known = waiting.popleft()
                learner.learn(later.inputs[known], cast(Direction, int(directions[known])))
            said[row] = learner.raw(later.inputs[row : row + 1].astype(np.float32))[0]
            if later.known_ns[row] < NEVER_NS:
                waiting.append(row)
    return said
