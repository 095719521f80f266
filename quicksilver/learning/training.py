"""A training frame in, a card out: the model of all examples, with what it takes to apply it and to trust it."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.export import exported
from quicksilver.learning.validation import FOLDS, Validation, fitted, validated, walk
from quicksilver.models.card import CARD_VERSION, Card, Range, packed, version_of
from quicksilver.models.score import Probabilities

STEPS = FOLDS + 1  # of a task, as its progress counts them: the folds, and the model of all examples


class Task(NamedTuple):
    """One predictor to train; ``code`` tells the program from all others."""

    name: str
    config: PredictorConfig
    frame: TrainingFrame
    code: str


class Trained(NamedTuple):
    """A predictor's card and how it did in the walk-forward run.

    ``instruments`` are those that it has learned from, ``venue:symbol``; ``notes`` the libraries' warnings, each once.
    """

    card: Card
    validation: Validation
    instruments: tuple[str, ...]
    notes: tuple[str, ...]


def trained_and_judged(task: Task, step: Callable[[], object] = lambda: None) -> Trained:
    """Train a predictor and judge it walk-forward; the same task gives the same bytes on any machine and any runner.

    So there is one thread also where the models are applied. ``step`` is called up to ``STEPS`` times.

    Raises:
        InputError: the data cannot be learned from, or a parameter has a value that its type does not take.
    """
    with warnings.catch_warnings(record=True) as warned, threadpool_limits(1):
        warnings.simplefilter("always")
        try:
            validation = validated(walk(task.frame, task.config, done=step), task.config.seed)
            card = trained(task.name, task.frame, task.config, task.code)
        except (InputError, ValueError) as error:  # scikit-learn says which value of which parameter it does not take
            raise InputError(f"predictor {task.name}: {error}") from error
    step()
    counts = Counter(str(one.message).strip().splitlines()[0] for one in warned)
    notes = [f"{text} ({count} times)" if count > 1 else text for text, count in counts.items()]
    return Trained(card, validation, task.frame.instruments, tuple(notes))


def attempted(task: Task) -> Trained | str:
    """Do a task on a worker from which no exception comes back as it was; returns why, if it cannot be done."""
    try:
        return trained_and_judged(task)
    except InputError as error:
        return str(error)


def trained(name: str, frame: TrainingFrame, config: PredictorConfig, code: str) -> Card:
    """Return a predictor's card; the same frame, configuration and program (``code`` tells it) give the same bytes.

    Raises:
        InputError: the data cannot be learned from.
    """
    model = fitted(frame, config)
    data, onnx = digest(frame), exported(model, frame.inputs)
    error_bps = _error_bps(model, frame) if config.target == "return" else None
    classes = () if config.target == "return" else tuple(int(one) for one in model.classes_)
    return Card(
        name, version_of(config, data, code, onnx), CARD_VERSION, config, classes, error_bps, _prior(frame, config),
        tuple(_ranges(frame)), int(frame.ts_ns[0]), int(frame.ts_ns[-1]) + 1, frame.n, data, code, packed(onnx),
    )  # fmt: skip


def digest(frame: TrainingFrame) -> str:
    """Return what tells a data set from all others, as hexadecimal digits."""
    state = hashlib.sha256(msgspec.json.encode([frame.names, frame.instruments]))
    for array in frame[2:]:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:12]


def _prior(frame: TrainingFrame, config: PredictorConfig) -> Probabilities:
    down, flat, up = frame.frequencies(config.threshold_bps).tolist()
    return down, flat, up


def _error_bps(model: Pipeline, frame: TrainingFrame) -> float:
    return max(float(np.std(frame.move_bps - model.predict(frame.inputs))), 1e-9)


def _ranges(frame: TrainingFrame) -> list[Range]:
    return [
        Range(name, float(np.nanmin(column)), float(np.nanmax(column)))
        for name, column in zip(frame.names, frame.inputs.T, strict=True)
    ]
