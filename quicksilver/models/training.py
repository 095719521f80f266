"""Training of the ``Model`` that ``trained.py`` applies: softmax regression, scored on later data than it has seen."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, FloatArray
from quicksilver.models.online import CLASSES, MODEL_FEATURES, RAW_LIMIT
from quicksilver.models.score import PrequentialScore, Probabilities
from quicksilver.models.trained import Z_LIMIT
from quicksilver.records import Model, ModelHead

NAME = "softmax-trained"
N_CLASSES = len(CLASSES)
FULL_WEIGHT = 1_000  # outcomes of a horizon overlap: hundreds of rows can hold the news of a few
SMALLEST_SCALE = 1e-9  # of a mean: what varies less is rounding of a constant

Int64 = NDArray[np.int64]


class TrainConfig(msgspec.Struct, frozen=True):
    """What is trained, and how it is scored.

    ``penalty`` is that of the squared weights beside the mean log-loss in nats (half of it counts) with ``FULL_WEIGHT``
    outcomes or more that do not overlap; with fewer it weighs more, in proportion. ``folds`` is how many later
    stretches of data are predicted.
    """

    features: tuple[str, ...] = MODEL_FEATURES
    folds: int = 5
    penalty: float = 0.01
    min_rows: int = 500
    min_fold_rows: int = 50


class Examples(NamedTuple):
    """Feature vectors and what became of the price, of one instrument and horizon; ``n`` rows in order of time.

    ``inputs`` is ``(n, n_features)``, NaN where not known; ``ts_ns``, ``known_ns`` (when the outcome was known) and
    ``directions`` (-1, 0, 1) are ``(n,)``.
    """

    inputs: FloatArray
    ts_ns: Int64
    known_ns: Int64
    directions: Int64

    def rows(self, which: Any) -> "Examples":
        """Return some of the rows."""
        return Examples(*(one[which] for one in self))

    def in_order(self, seq: Int64) -> "Examples":
        """Return them by time, and by ``seq`` among those of one time: tables have no order."""
        return self.rows(np.lexsort((seq, self.ts_ns)))


def digest(examples: Examples, horizon_ns: int, config: TrainConfig) -> str:
    """Return what tells one data set with its settings from all others, as hexadecimal digits."""
    state = hashlib.sha256(msgspec.json.encode([NAME, horizon_ns, config]))
    for array in examples:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def train(examples: Examples, horizon_ns: int, config: TrainConfig | None = None) -> ModelHead:
    """Return the model of all examples, with the scores of those models that had seen the past alone.

    Raises:
        InputError: there are too few examples to train or to score.
    """
    config = config or TrainConfig()
    n = len(examples.ts_ns)
    if n < config.min_rows:
        raise InputError(f"{n:,} labelled feature vectors of {_seconds(horizon_ns)}, {config.min_rows:,} are needed")
    score = PrequentialScore()
    for past, later in walk_forward(examples, horizon_ns, config):
        _judge(score, fit(past, horizon_ns, config), past, later)
    if score.n == 0:
        raise InputError(f"the data are too short to predict any of {_seconds(horizon_ns)} from what was known before")
    return msgspec.structs.replace(
        fit(examples, horizon_ns, config), n_train=n, n_scored=score.n,
        accuracy=score.hits / score.n, log_loss=score.loss / score.n,
        baseline_accuracy=score.baseline_hits / score.n, baseline_log_loss=score.baseline_loss / score.n,
    )  # fmt: skip


def better_than_baseline(model: Model) -> Model | None:
    """Return the model with those horizons alone whose held-back log-loss beats the baseline's; None if none does."""
    heads = [head for head in model.heads if head.log_loss < head.baseline_log_loss]
    return msgspec.structs.replace(model, heads=heads) if heads else None


def walk_forward(examples: Examples, horizon_ns: int, config: TrainConfig) -> Iterator[tuple[Examples, Examples]]:
    """Yield pairs of past and later examples: each stretch of data but the first is predicted once.

    Of the past only those count whose outcome was known, and whose horizon had ended, before the later ones begin
    (purging: Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 7).
    """
    ts_ns = examples.ts_ns
    ended_ns = np.maximum(examples.known_ns, ts_ns + horizon_ns)
    edges = np.linspace(0, len(ts_ns), config.folds + 2).astype(int)
    for start, end in pairwise(edges[1:]):
        past = np.flatnonzero(ended_ns[:start] < ts_ns[start]) if start < end else np.empty(0, int)
        if len(past) >= config.min_fold_rows:
            yield examples.rows(past), examples.rows(slice(start, end))


def _judge(score: PrequentialScore, head: ModelHead, past: Examples, later: Examples) -> None:
    """Score a model and the always-majority baseline, which has seen the same past."""
    down, flat, up = ((_counts(past) + 1) / (len(past.ts_ns) + N_CLASSES)).tolist()
    baseline: Probabilities = (down, flat, up)
    rows = probabilities(head, later.inputs).tolist()
    for row, direction in zip(rows, later.directions.tolist(), strict=True):
        score.update((row[0], row[1], row[2]), baseline, direction)


def _counts(examples: Examples) -> Int64:
    return np.bincount(examples.directions + 1, minlength=N_CLASSES)


def fit(examples: Examples, horizon_ns: int, config: TrainConfig) -> ModelHead:
    """Return the model of all examples, not scored.

    To the examples one of each class is added whose features are all average: without a word from the features the
    model says the Laplace-smoothed frequencies, and a class that never occurred has a small probability, not none.
    """
    means, scales = standardisation(examples.inputs)
    z = np.vstack([_scaled(examples.inputs, means, scales), np.zeros((N_CLASSES, examples.inputs.shape[1]))])
    classes = np.concatenate([examples.directions + 1, np.arange(N_CLASSES)])
    independent = max(1.0, float(examples.ts_ns[-1] - examples.ts_ns[0]) / horizon_ns)
    weights, intercepts = softmax_regression(z, classes, config.penalty * max(1.0, FULL_WEIGHT / independent))
    return ModelHead(
        horizon_ns, means.tolist(), scales.tolist(), weights.tolist(), intercepts.tolist(),
        len(examples.ts_ns), 0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


def standardisation(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each column's known values, ``(n_features,)`` each; 1 for a constant."""
    known = ~np.isnan(inputs)
    values = np.clip(np.where(known, inputs, 0.0), -RAW_LIMIT, RAW_LIMIT)
    count = np.maximum(known.sum(axis=0), 1)
    means = values.sum(axis=0) / count
    scales = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / count)
    return means, np.where(scales > SMALLEST_SCALE * np.abs(means), scales, 1.0)


def _scaled(inputs: FloatArray, means: FloatArray, scales: FloatArray) -> FloatArray:
    """As ``TrainedModel`` does it."""
    return np.clip(np.nan_to_num((inputs - means) / scales, nan=0.0), -Z_LIMIT, Z_LIMIT)


def probabilities(head: ModelHead, inputs: FloatArray) -> FloatArray:
    """Return the probabilities of down, flat and up of each row, ``(n, 3)``."""
    z = _scaled(inputs, np.array(head.means), np.array(head.scales))
    return np.exp(_log_softmax(z @ np.array(head.weights).T + np.array(head.intercepts)))


def _log_softmax(logits: FloatArray) -> FloatArray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def softmax_regression(z: FloatArray, classes: Int64, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Return weights ``(3, n_features)`` and intercepts ``(3,)`` of least mean log-loss and penalty.

    The loss is convex, and with the penalty its minimum is one but for a constant in all intercepts, whose sum stays
    0. ``z`` is ``(n, n_features)``, ``classes`` are 0, 1, 2.
    """
    n, k = z.shape
    hot = np.eye(N_CLASSES)[classes]

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        """Return the mean cross-entropy with an L2 penalty on the weights, and its gradient in ``flat``."""
        weights, intercepts = flat[: N_CLASSES * k].reshape(N_CLASSES, k), flat[N_CLASSES * k :]
        logs = _log_softmax(z @ weights.T + intercepts)
        error = (np.exp(logs) - hot) / n
        slope = np.concatenate([(error.T @ z + penalty * weights).ravel(), error.sum(axis=0)])
        return float(-(hot * logs).sum() / n + penalty / 2 * (weights**2).sum()), slope

    options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
    found = minimize(loss, np.zeros(N_CLASSES * (k + 1)), jac=True, method="L-BFGS-B", options=options).x
    return found[: N_CLASSES * k].reshape(N_CLASSES, k), found[N_CLASSES * k :]


class Trained(NamedTuple):
    """One horizon's result: the model, the digest of what it was made of, and its span of event time."""

    head: ModelHead
    digest: str
    first_ns: int
    last_ns: int


def model_of(venue: str, symbol: str, trained: Sequence[Trained], config: TrainConfig) -> Model:
    """Return the record of an instrument's horizons; its version tells its data and settings from all others."""
    ordered = sorted(trained, key=lambda one: one.head.horizon_ns)
    version = hashlib.sha256("/".join(one.digest for one in ordered).encode()).hexdigest()[:12]
    return Model(
        venue, symbol, NAME, version, min(one.first_ns for one in ordered), max(one.last_ns for one in ordered) + 1,
        list(config.features), [one.head for one in ordered],
    )  # fmt: skip


def _seconds(horizon_ns: int) -> str:
    return f"a horizon of {horizon_ns / SECOND_NS:g} s"
