"""A training frame in, a card out: the model of all examples, with what it takes to apply it and to trust it."""

import hashlib

import msgspec
import numpy as np

from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.export import exported
from quicksilver.learning.ranges import ranges_of
from quicksilver.learning.validation import error_of, fitted
from quicksilver.models.card import CARD_VERSION, Card, packed
from quicksilver.models.learner import ONLINE
from quicksilver.models.score import Probabilities


def trained(name: str, frame: TrainingFrame, config: PredictorConfig, code: str) -> Card:
    """Return a predictor's card; the same frame, configuration and program (``code`` tells it) give the same bytes.

    Raises:
        InputError: the data cannot be learned from.
    """
    model, learns = fitted(frame, config), config.type in ONLINE
    classes = () if config.target == "return" else tuple(int(one) for one in model.classes_)
    return Card(
        name, "", CARD_VERSION, config, classes, error_of(model, frame, config), _prior(frame, config),
        ranges_of(frame), int(frame.ts_ns[0]), int(frame.ts_ns[-1]) + 1, frame.n, digest(frame), code,
        packed(model.learner.dump() if learns else exported(model, frame.inputs)), "online" if learns else "onnx",
    ).versioned()  # fmt: skip


def digest(frame: TrainingFrame) -> str:
    """Return what tells a data set from all others, as hexadecimal digits."""
    state = hashlib.sha256(msgspec.json.encode([frame.names, frame.instruments]))
    for array in frame[2:]:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:12]


def _prior(frame: TrainingFrame, config: PredictorConfig) -> Probabilities:
    down, flat, up = frame.frequencies(config.threshold_bps).tolist()
    return down, flat, up
