"""scikit-learn's neural nets, stopped by the newest examples instead of by some that are chosen at random.

Examples that lie beside one another overlap: those of a random tenth are known, as good as, from their neighbours, and
a net that learns by heart would look the better the longer it does.
"""

from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import check_random_state

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.models.score import MIN_PROBABILITY

LEAST = 50  # examples to learn from


class _StoppedByTheNewest(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Fits by ``early_stopping`` as scikit-learn says, but holds back the newest ``validation_fraction``.

    ``apart`` examples before them, whose outcomes overlap with theirs, are left out.
    """

    early_stopping: bool
    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]

    def __init__(self, apart: int = 0, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.apart = apart

    def fit(self, inputs: FloatArray, outcomes: FloatArray) -> Any:
        """Learn from inputs ``(n, n_inputs)`` and outcomes ``(n,)``, in order of time; returns the model.

        Raises:
            InputError: there are too few to hold some back.
        """
        if not self.early_stopping or self.solver == "lbfgs":
            return super().fit(inputs, outcomes)
        split = len(inputs) - max(1, round(self.validation_fraction * len(inputs)))
        if split - self.apart < LEAST:
            raise InputError(
                f"{len(inputs)} examples are too few for a neural-net predictor: the newest stop its training, less"
                f" {self.apart} that overlap with them"
            )
        self.early_stopping = False  # scikit-learn's own, which takes some at random and knows no single passes
        try:
            self._pass_until_no_better(inputs, outcomes, split)
        finally:
            self.early_stopping = True
        return self

    def _pass_until_no_better(self, inputs: FloatArray, outcomes: FloatArray, split: int) -> None:
        """Go through the examples until the newest are predicted no better; the best weights are kept."""
        past, later = slice(0, split - self.apart), slice(split, None)
        x, y, rng = inputs[past], outcomes[past], check_random_state(self.random_state)
        first = self._first(outcomes)
        best, kept, waited = float("inf"), None, 0
        for _ in range(self.max_iter):
            order = rng.permutation(len(x))  # of one seed, scikit-learn's own would be the same in each pass
            self.partial_fit(x[order], y[order], **first)
            first, now = {}, self._loss(inputs[later], outcomes[later])
            if now < best - self.tol:
                best, kept, waited = now, deepcopy((self.coefs_, self.intercepts_)), 0
            else:
                waited += 1
            if waited > self.n_iter_no_change:
                break
        if kept is not None:
            self.coefs_, self.intercepts_ = kept


class NeuralClassifier(_StoppedByTheNewest, MLPClassifier):  # type: ignore[misc]
    """scikit-learn's classifier, stopped by its log-loss."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """All of scikit-learn's, which it would not find in our signature, and ours."""
        return sorted([*MLPClassifier._get_param_names(), "apart"])

    def _first(self, outcomes: FloatArray) -> dict[str, Any]:
        for name in ("_optimizer", "classes_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        return {"classes": np.unique(outcomes)}

    def _loss(self, inputs: FloatArray, outcomes: FloatArray) -> float:
        said = self.predict_proba(inputs)[np.arange(len(inputs)), np.searchsorted(self.classes_, outcomes)]
        return float(-np.log(np.maximum(said, MIN_PROBABILITY)).mean())


class NeuralRegressor(_StoppedByTheNewest, MLPRegressor):  # type: ignore[misc]
    """scikit-learn's regressor, stopped by its mean squared error."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """All of scikit-learn's, which it would not find in our signature, and ours."""
        return sorted([*MLPRegressor._get_param_names(), "apart"])

    def _first(self, outcomes: FloatArray) -> dict[str, Any]:
        for name in ("_optimizer", "coefs_"):
            self.__dict__.pop(name, None)
        self._scale = max(float(np.var(outcomes)), 1e-300)
        return {}

    def _loss(self, inputs: FloatArray, outcomes: FloatArray) -> float:
        return float(((outcomes - self.predict(inputs)) ** 2).mean()) / self._scale
