"""An online classifier of down, flat and up: river's softmax regression on standardised features."""

import math
from collections import Counter, defaultdict
from typing import Any

import msgspec
from river.linear_model import SoftmaxRegression
from river.optim import SGD
from river.preprocessing import StandardScaler
from river.utils.math import dot, softmax

from quicksilver.labels import uniqueness
from quicksilver.models.score import CLASSES, Probabilities
from quicksilver.records import Direction, Features

# Stationary ones only: a price level or a raw count says nothing about the next move.
MODEL_FEATURES = (
    "spread_bps", "imbalance_1", "imbalance_5", "imbalance_10", "ofi_1s", "ofi_10s", "trade_imbalance_10s", "vpin",
    "return_1s_bps", "return_10s_bps", "return_60s_bps", "volatility_10s_bps", "volatility_60s_bps", "rsi_14",
    "macd_bps", "macd_signal_bps", "momentum_bps",
)  # fmt: skip
LEARNING_RATE = 0.01  # river's default, for outcomes that do not overlap
Z_LIMIT = 8.0  # unbounded, an input farther out would throw the weights away
RAW_LIMIT = 1e12  # beyond it a running variance would overflow, and stay infinite
GLITCH_Z = 100.0  # far enough out that a real change of regime still moves the scaler within some hundred values
WARM_COUNT = 100  # values from which a mean and a deviation are good enough to call a new one a glitch

Inputs = dict[str, float]


class ModelState(msgspec.Struct):
    """A model as plain data: loading one runs no code of its own."""

    counts: dict[str, int]
    means: dict[str, float]
    variances: dict[str, float]
    weights: list[dict[str, dict[str, float]]]
    iterations: list[list[int]]


class _Softmax(SoftmaxRegression):
    """Softmax regression of what the inputs add to the class frequencies: without a word from them it equals those."""

    log_prior: dict[int, float]

    def predict_proba_one(self, x: dict[Any, Any], **_: Any) -> dict[Any, float]:
        """Return the probability of each label: the softmax of the log prior plus ``weights . x``."""
        logits = {label: self.log_prior[label] + dot(weights, x) for label, weights in self.weights.items()}
        return softmax(logits)


class OnlineModel:
    """One instrument's models, one a horizon, behind one running standardisation.

    Multinomial logistic regression by stochastic gradient descent
    (https://riverml.xyz/latest/api/linear-model/SoftmaxRegression/) with the class frequencies known at prediction
    time as its prior. Each outcome moves the weights by as much as it holds of news, see ``uniqueness``.
    """

    name = "softmax-online"
    version = "1"

    def __init__(self, horizons_ns: tuple[int, ...], every_ns: int, learning_rate: float = LEARNING_RATE) -> None:
        self._scaler = StandardScaler()
        self._models = [_Softmax(SGD(learning_rate * uniqueness(every_ns, horizon_ns))) for horizon_ns in horizons_ns]
        for model in self._models:
            for label in CLASSES:
                model.weights[label]

    def inputs(self, features: Features) -> Inputs:
        """Standardise a feature vector, after the scaler has taken it in; an unknown feature is left out (= mean)."""
        known = ((name, getattr(features, name)) for name in MODEL_FEATURES)
        return self.taken_in({name: value for name, value in known if value is not None})

    def taken_in(self, raw: Inputs) -> Inputs:
        """Let the scaler learn from some inputs; returns them standardised."""
        bounded = {name: self._bounded(name, value) for name, value in raw.items()}
        self._scaler.learn_one(bounded)
        return self._scaled(bounded)

    def standardised(self, raw: Inputs) -> Inputs:
        """Standardise inputs by what the scaler has learned."""
        return self._scaled({name: self._bounded(name, value) for name, value in raw.items()})

    def _scaled(self, bounded: Inputs) -> Inputs:
        scaled = self._scaler.transform_one(bounded)
        return {name: min(max(value, -Z_LIMIT), Z_LIMIT) for name, value in scaled.items()}

    def _bounded(self, name: str, value: float) -> float:
        """Clip a glitch before the scaler learns it: one would make all later values of the feature look the same."""
        variance = self._scaler.vars[name] if self._scaler.counts[name] >= WARM_COUNT else 0.0
        if variance == 0.0:
            return min(max(value, -RAW_LIMIT), RAW_LIMIT)
        mean, reach = self._scaler.means[name], GLITCH_Z * math.sqrt(variance)
        return min(max(value, mean - reach), mean + reach)

    def predict(self, horizon: int, inputs: Inputs, prior: Probabilities) -> Probabilities:
        """Return the probabilities of down, flat and up; they sum to 1. ``prior`` has none of 0."""
        by_class = self._with(prior, horizon).predict_proba_one(inputs)
        return by_class[-1], by_class[0], by_class[1]

    def learn(self, horizon: int, inputs: Inputs, prior: Probabilities, direction: Direction) -> None:
        """Learn from an outcome; ``prior`` is that of the prediction."""
        self._with(prior, horizon).learn_one(inputs, direction)

    def _with(self, prior: Probabilities, horizon: int) -> _Softmax:
        model = self._models[horizon]
        model.log_prior = {label: math.log(one) for label, one in zip(CLASSES, prior, strict=True)}
        return model

    def state(self) -> ModelState:
        """Return the state as plain data."""
        return ModelState(
            dict(self._scaler.counts),
            dict(self._scaler.means),
            dict(self._scaler.vars),
            [{str(label): dict(model.weights[label]) for label in CLASSES} for model in self._models],
            [[model.optimizers[label].n_iterations for label in CLASSES] for model in self._models],
        )

    def restore(self, state: ModelState) -> None:
        """Take over a state; predictions are the same to the bit from there on."""
        self._scaler.counts = Counter(state.counts)
        self._scaler.means = defaultdict(float, state.means)
        self._scaler.vars = defaultdict(float, state.variances)
        for model, weights, iterations in zip(self._models, state.weights, state.iterations, strict=True):
            for label, count in zip(CLASSES, iterations, strict=True):
                model.weights[label] = defaultdict(float, weights[str(label)])
                model.optimizers[label].n_iterations = count
