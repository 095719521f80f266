"""What predictors say, in the shape that scikit-learn's inspection asks for: estimators that are fitted already."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from jobs.pictures.study import Says
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.models.score import CLASSES, MIN_PROBABILITY


class Ready(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What a model says; to fit it does nothing."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.classes_ = np.array(CLASSES)

    def fit(self, *_: object) -> "Ready":
        """Leave it as it is."""
        return self


class Slice(Ready):
    """A model as a function of its first two inputs; all others stay at ``rest`` ``(n_inputs,)``."""

    def __init__(self, says: Says, rest: FloatArray) -> None:
        super().__init__(says)
        self.rest = rest

    def predict_proba(self, pairs: FloatArray) -> FloatArray:
        """Return the probabilities for values of the two inputs ``(n, 2)``."""
        rows = np.tile(self.rest, (len(pairs), 1))
        rows[:, :2] = pairs
        return self.says(rows)


class Scorable(Ready):
    """A model that is scored by the log-likelihood of what came."""

    def score(self, inputs: FloatArray, outcomes: Int64) -> float:
        """Return the mean over outcomes ``(n,)`` of -1, 0 and 1; higher is better."""
        said = self.says(inputs)
        return float(np.mean(np.log(np.maximum(said[np.arange(len(said)), outcomes + 1], MIN_PROBABILITY))))
