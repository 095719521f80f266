"""A training frame in, a card out: the model of all examples, with what it takes to apply it and to trust it."""

import hashlib

import msgspec
import numpy as np

from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.export import exported
from quicksilver.learning.fitting import error_of, fitted
from quicksilver.learning.ranges import ranges_of
from quicksilver.learning.usable import learned_from
from quicksilver.models.card import CARD_VERSION, Card, packed
from quicksilver.models.learner import ONLINE
from quicksilver.models.score import Probabilities


def trained(name: str, frame: TrainingFrame, config: PredictorConfig, code: str) -> Card:
    """Return a predictor's card; the same frame, configuration and program (``code`` tells it) give the same bytes.

    All that it says of the data is of those decisions that the model has learned from, which may be the newest alone.

    Raises:
        InputError: the data cannot be learned from.
    """
    seen = learned_from(frame, config)
    model, learns = fitted(seen, config), config.type in ONLINE
    classes = () if config.target == "return" else tuple(int(one) for one in model.classes_)
    return Card(
        name, "", CARD_VERSION, config, classes, error_of(model, seen, config), _prior(seen, config),
        ranges_of(seen), int(seen.ts_ns[0]), int(seen.ts_ns[-1]) + 1, seen.n, digest(seen), code,
        packed(model.learner.dump() if learns else exported(model, seen.inputs)), "online" if learns else "onnx",
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
