"""A trained predictor as it travels: what it is, where it comes from, how it scored, and the model as ONNX."""

import hashlib

import msgspec
import zstandard

from quicksilver.learning.config import PredictorConfig
from quicksilver.models.score import Probabilities

CARD_VERSION = 1  # of the inputs' meaning: a model of another one would be fed other numbers
MAX_MODEL = 64 << 20  # bytes of an unpacked model: a damaged length must not take all memory


class Range(msgspec.Struct, frozen=True):
    """What an input was in training: farther out than ``low`` to ``high`` nothing is known of what the model says."""

    name: str
    low: float
    high: float


class Card(msgspec.Struct, frozen=True):
    """One version of a predictor.

    ``classes`` are what the columns of the model's probabilities mean; none where it predicts a move in basis points,
    whose errors in training had a standard deviation of ``error_bps``. ``prior`` are the frequencies of down, flat and
    up in training. ``start_ns`` to ``end_ns`` is the event time that it has learned from; ``data`` and ``code`` tell
    the data set and the program from all others. ``model`` is ONNX, packed by zstd.
    """

    name: str
    version: str
    card: int
    config: PredictorConfig
    classes: tuple[int, ...]
    error_bps: float | None
    prior: Probabilities
    ranges: tuple[Range, ...]
    start_ns: int
    end_ns: int
    n_train: int
    data: str
    code: str
    model: bytes

    def unpacked(self) -> bytes:
        """Return the model as ONNX.

        Raises:
            ValueError: it is damaged, or of another version.
        """
        if self.card != CARD_VERSION:
            raise ValueError(f"{self.name} {self.version} is a card of version {self.card}, this is {CARD_VERSION}")
        try:
            return zstandard.ZstdDecompressor().decompress(self.model, max_output_size=MAX_MODEL)
        except zstandard.ZstdError as error:
            raise ValueError(f"{self.name} {self.version} holds a damaged model: {error}") from error


def packed(model: bytes) -> bytes:
    """Return ONNX as a card holds it; the same bytes for the same model."""
    return zstandard.ZstdCompressor(level=10, write_content_size=True).compress(model)


def version_of(config: PredictorConfig, data: str, code: str, model: bytes) -> str:
    """Return what tells a version from all others, twelve hexadecimal digits."""
    state = hashlib.sha256(msgspec.json.encode([config, data, code]))
    state.update(model)
    return state.hexdigest()[:12]
