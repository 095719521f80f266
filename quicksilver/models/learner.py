"""Models that go on learning: river's, behind one running standardisation; their state is plain data.

Naive Bayes and trees are calibrated as they learn: what they add to the class frequencies, as log-odds, is an input of
a softmax regression, which learns from it before they have seen the outcome. Where they know nothing it says the
frequencies. river's adaptive trees and forests are not here, for the state of their drift detectors is no plain data.
"""

import math
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.models.river_state import (
    BayesState,
    TreeState,
    bayes_state,
    restored_bayes,
    restored_tree,
    tree_state,
)
from quicksilver.models.score import CLASSES, MIN_PROBABILITY, Probabilities
from quicksilver.models.softmax import LEARNING_RATE, Z_LIMIT, Inputs, ModelState, OnlineModel
from quicksilver.records import Direction

NEVER = 1 << 62  # examples until river estimates a tree's size by that of Python's objects, which differs by machine

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Natural = Annotated[int, msgspec.Meta(ge=1)]


class LogisticParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of ``online-logistic``, and of what calibrates the others."""

    learning_rate: Positive = LEARNING_RATE


class TreeParameters(LogisticParameters, frozen=True, forbid_unknown_fields=True):
    """Of ``online-tree``, by river's names; ``max_depth`` bounds its memory to as many leaves as two to that power."""

    grace_period: Natural = 200
    max_depth: Annotated[int, msgspec.Meta(ge=1, le=12)] = 6
    delta: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 1e-3
    tau: Positive = 0.05
    leaf_prediction: Literal["mc", "nb", "nba"] = "nba"


class _State(msgspec.Struct):
    seen: list[int]
    softmax: ModelState
    estimator: BayesState | TreeState | None


class _Bayes:
    def __init__(self) -> None:
        from river.naive_bayes import GaussianNB  # here, for it takes a second: most runs have no such model

        self._model: Any = GaussianNB()

    def logs(self, x: Inputs) -> dict[int, float]:
        """Return the log-probability of each class that was seen, up to a constant."""
        logs: dict[int, float] = self._model.joint_log_likelihood(x)
        return logs

    def learn(self, x: Inputs, direction: Direction) -> None:
        """Learn from an outcome."""
        self._model.learn_one(x, direction)

    def state(self) -> BayesState:
        """Return the state as plain data."""
        return bayes_state(self._model)

    def restore(self, state: BayesState) -> None:
        """Take over a state."""
        restored_bayes(self._model, state)


class _Tree:
    def __init__(self, parameters: TreeParameters, weight: float) -> None:
        from river.tree import HoeffdingTreeClassifier  # it brings scikit-learn along

        own = msgspec.structs.asdict(parameters)
        del own["learning_rate"]
        self._model: Any = HoeffdingTreeClassifier(**own, memory_estimate_period=NEVER)
        self._weight = weight

    def logs(self, x: Inputs) -> dict[int, float]:
        """Return the log-probability of each class that was seen."""
        shares = self._model.predict_proba_one(x)
        return {label: math.log(max(share, MIN_PROBABILITY)) for label, share in shares.items()}

    def learn(self, x: Inputs, direction: Direction) -> None:
        """Learn from an outcome, by as much as it holds of news."""
        self._model.learn_one(x, direction, w=self._weight)

    def state(self) -> TreeState:
        """Return the state as plain data."""
        return tree_state(self._model)

    def restore(self, state: TreeState) -> None:
        """Take over a state."""
        restored_tree(self._model, state)


_PARAMETERS: dict[str, type[LogisticParameters]] = {
    "online-logistic": LogisticParameters,
    "online-naive-bayes": LogisticParameters,
    "online-tree": TreeParameters,
}
ONLINE = tuple(_PARAMETERS)
MOST = float(np.finfo(np.float32).max)


def _estimator(config: PredictorConfig, parameters: LogisticParameters) -> _Bayes | _Tree | None:
    if isinstance(parameters, TreeParameters):
        return _Tree(parameters, config.uniqueness)
    return _Bayes() if config.type == "online-naive-bayes" else None


def _single(values: FloatArray | NDArray[np.float32]) -> NDArray[np.float32]:
    """Values in single precision; what is too large for it is the most that it holds, for no range keeps it out."""
    return np.clip(values, -MOST, MOST).astype(np.float32)


class Learner:
    """A model of one predictor, which learns from each outcome as soon as it is known.

    Its state moves in ``learn`` alone: to predict changes nothing. Inputs are taken in single precision, as by models
    that do not learn.

    Raises:
        ValueError: the configuration's type is none of ``ONLINE``, or has no such parameters.
    """

    def __init__(self, config: PredictorConfig) -> None:
        if config.type not in ONLINE:
            raise ValueError(f"{config.type} is no model that learns online; there are {', '.join(ONLINE)}")
        parameters = msgspec.convert(config.parameters, _PARAMETERS[config.type])
        self._names = config.inputs
        self._softmax = OnlineModel((config.horizon_ns,), config.every_ns, parameters.learning_rate)
        self._estimator = _estimator(config, parameters)
        self._seen = [1, 1, 1]  # Laplace's: no class is impossible

    @property
    def n_inputs(self) -> int:
        """How many inputs it takes."""
        return len(self._names)

    def raw(self, rows: NDArray[np.float32]) -> FloatArray:
        """Return the probabilities of down, flat and up for rows ``(n, n_inputs)``: ``(n, 3)``.

        Raises:
            ValueError: the rows are not as long as the model's.
        """
        if rows.shape[1] != self.n_inputs:
            raise ValueError(f"the model cannot be applied: it takes {self.n_inputs} inputs, not {rows.shape[1]}")
        return np.array([self._predict(self._softmax.standardised(self._known(row))) for row in rows]).reshape(-1, 3)

    def one(self, row: FloatArray) -> list[float]:
        """Return what ``raw`` says of one row ``(n_inputs,)``: three numbers.

        Raises:
            ValueError: the row is not as long as the model's.
        """
        found: list[float] = self.raw(_single(row)[None])[0].tolist()
        return found

    def learn(self, inputs: FloatArray, direction: Direction) -> None:
        """Learn from the outcome of some inputs ``(n_inputs,)``."""
        x = self._softmax.taken_in(self._known(inputs))
        prior = self._prior()
        self._softmax.learn(0, self._evidence(x, prior), prior, direction)
        if self._estimator is not None:
            self._estimator.learn(x, direction)
        self._seen[direction + 1] += 1

    def _known(self, row: FloatArray | NDArray[np.float32]) -> Inputs:
        """The inputs that are known, by name."""
        values = _single(row).tolist()
        return {name: value for name, value in zip(self._names, values, strict=True) if not math.isnan(value)}

    def _prior(self) -> Probabilities:
        down, flat, up = (count / sum(self._seen) for count in self._seen)
        return down, flat, up

    def _predict(self, x: Inputs) -> Probabilities:
        prior = self._prior()
        return self._softmax.predict(0, self._evidence(x, prior), prior)

    def _evidence(self, x: Inputs, prior: Probabilities) -> Inputs:
        """What the softmax regression weighs: the inputs themselves, or what the estimator adds to the frequencies."""
        if self._estimator is None:
            return x
        logs = self._estimator.logs(x)
        most = max(logs.values(), default=0.0)
        total = most + math.log(sum(math.exp(one - most) for one in logs.values()) or 1.0)
        return {
            str(label): min(max(logs[label] - total - math.log(share), -Z_LIMIT), Z_LIMIT)
            for label, share in zip(CLASSES, prior, strict=True)
            if label in logs
        }

    def dump(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(self._state())

    def _state(self) -> _State:
        return _State(self._seen, self._softmax.state(), self._estimator.state() if self._estimator else None)

    def load(self, data: bytes) -> None:
        """Take over a dumped state: predictions are the same to the bit from there on.

        Raises:
            ValueError: it is none of this type's.
        """
        try:
            state = msgspec.msgpack.decode(data, type=_State)
            if type(state.estimator) is not type(self._state().estimator) or len(state.seen) != len(CLASSES):
                raise ValueError("it is that of another type")
            self._softmax.restore(state.softmax)
        except (KeyError, ValueError) as error:
            raise ValueError(f"not a model that can be read: {error}") from error
        self._seen = state.seen
        if self._estimator is not None:
            self._estimator.restore(state.estimator)  # type: ignore[arg-type]  # it is of its type, see above
