"""A trained predictor as it travels: what it is, where it comes from, and the model, as ONNX or as plain data."""

import hashlib
from typing import Any, Literal, TypeAlias

import msgspec
import zstandard

from quicksilver.learning.config import PredictorConfig, Target
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.models.score import Probabilities
from quicksilver.records import Role

CARD_VERSION = 1  # of the inputs' meaning: a model of another one would be fed other numbers
REACH = 0.5  # how far beyond what it was in training an input may lie, in widths of that range
MAX_MODEL = 64 << 20  # bytes of an unpacked model: a damaged length must not take all memory


class Range(msgspec.Struct, frozen=True):
    """What an input was in training: farther out than ``low`` to ``high`` nothing is known of what the model says."""

    name: str
    low: float
    high: float

    @property
    def reach(self) -> tuple[float, float]:
        """Least and most that an input may be: what lies beyond is flagged rather than predicted on."""
        further = REACH * (self.high - self.low)
        return self.low - further, self.high + further


class Card(msgspec.Struct, frozen=True, tag="predictor"):
    """One version of a predictor.

    ``classes`` are what the columns of the model's probabilities mean; none where it predicts a move in basis points,
    whose errors in training had a standard deviation of ``error_bps``. ``prior`` are the frequencies of down, flat and
    up in training. ``start_ns`` to ``end_ns`` is the event time that it has learned from; ``data`` and ``code`` tell
    the data set and the program from all others. ``model`` is packed by zstd: ONNX, or the state of a model that goes
    on learning (``format`` "online"), which is plain data.
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
    format: Literal["onnx", "online"] = "onnx"

    @property
    def target(self) -> Target:
        """What it predicts."""
        return self.config.target

    def unpacked(self) -> bytes:
        """Return the model's bytes.

        Raises:
            ValueError: it is damaged, or of another version.
        """
        if self.card != CARD_VERSION:
            raise ValueError(f"{self.name} {self.version} is a card of version {self.card}, this is {CARD_VERSION}")
        try:
            return unpacked(self.model)
        except ValueError as error:
            raise ValueError(f"{self.name} {self.version} {error}") from error

    def content(self) -> str:
        """Return the version that its content has: another than ``version`` if it is damaged.

        Raises:
            ValueError: it cannot be unpacked.
        """
        bare = msgspec.structs.replace(self, version="", model=b"")  # packed, a model may be the same by other bytes
        return version_of(bare, self.data, self.code, self.unpacked())

    def versioned(self) -> "Card":
        """Return the card with the version that its content has."""
        return msgspec.structs.replace(self, version=self.content())


class EnsembleCard(msgspec.Struct, frozen=True, tag="ensemble"):
    """One version of an ensemble, with its members' cards: an ensemble is replaced as a whole.

    ``members`` are in the order of ``config.members``. ``stacking`` is the ONNX model, packed by zstd, that weighs
    them: from the ``evidence`` in their probabilities of down, flat and up, one after another, to the probabilities of
    the ``classes``; None where weights are given or recent.
    """

    name: str
    version: str
    card: int
    config: EnsembleConfig
    members: tuple[Card, ...]
    stacking: bytes | None
    data: str
    code: str
    classes: tuple[int, ...] = ()

    @property
    def target(self) -> Target:
        """What it predicts: what its members do."""
        return self.members[0].config.target

    def unpacked(self) -> bytes | None:
        """Return the stacking as ONNX, None if there is none.

        Raises:
            ValueError: it is damaged, or the card of another version or at odds with itself.
        """
        if self.card != CARD_VERSION:
            raise ValueError(f"{self.name} {self.version} is a card of version {self.card}, this is {CARD_VERSION}")
        names = [member.name for member in self.members]
        if names != [member.predictor for member in self.config.members]:
            raise ValueError(f"{self.name} {self.version} holds other members than it names: {', '.join(names)}")
        if (self.stacking is not None) != self.config.stacking:
            there = "no stacking" if self.stacking is None else "stacking"
            raise ValueError(f"{self.name} {self.version} holds {there}, other than its configuration says")
        try:
            self.config.of({member.name: member.config for member in self.members})
            return None if self.stacking is None else unpacked(self.stacking)
        except ValueError as error:
            raise ValueError(f"{self.name} {self.version} cannot be used: {error}") from error

    def content(self) -> str:
        """Return the version that its content has: another than ``version`` if it is damaged.

        Raises:
            ValueError: one of its models cannot be unpacked.
        """
        model = self.unpacked() or b""
        try:
            members = [member.content() for member in self.members]
        except ValueError as error:
            raise ValueError(f"{self.name} {self.version} cannot be used: member {error}") from error
        return version_of([self.name, self.config, members, self.classes], self.data, self.code, model)

    def versioned(self) -> "EnsembleCard":
        """Return the card with the version that its content has."""
        return msgspec.structs.replace(self, version=self.content())


AnyCard: TypeAlias = Card | EnsembleCard


def wants(card: AnyCard, venue: str, symbol: str) -> bool:
    """Return whether an instrument is one of a card's: of an ensemble those that all its members want."""
    members = card.members if isinstance(card, EnsembleCard) else (card,)
    return all(member.config.wants(venue, symbol) for member in members)


def require_sound(card: AnyCard) -> None:
    """Make sure that a card is of this version and undamaged.

    Raises:
        ValueError: it is not.
    """
    if card.card != CARD_VERSION:
        raise ValueError(f"{card.name} {card.version} is a card of version {card.card}, this is {CARD_VERSION}")
    if card.content() != card.version:
        raise ValueError(f"{card.name} {card.version} is damaged: its content is that of another version")


class Deployment(msgspec.Struct, frozen=True):
    """What one instrument runs under one name: the live version, and shadows, which are scored but decide nothing.

    A later one of the same name replaces it; without any version the name is given up.
    """

    venue: str
    symbol: str
    name: str
    live: AnyCard | None = None
    shadows: tuple[AnyCard, ...] = ()

    def roles(self) -> list[tuple[Role, AnyCard]]:
        """Return the versions and what each is, in the order in which they predict: live, then shadows by version."""
        live: list[tuple[Role, AnyCard]] = [] if self.live is None else [("live", self.live)]
        return live + [("shadow", card) for card in sorted(self.shadows, key=lambda card: card.version)]


def packed(model: bytes) -> bytes:
    """Return ONNX as a card holds it; the same bytes for the same model."""
    return zstandard.ZstdCompressor(level=10, write_content_size=True).compress(model)


def unpacked(model: bytes) -> bytes:
    """Return ONNX that a card holds.

    Raises:
        ValueError: it is damaged.
    """
    try:
        if zstandard.frame_content_size(model) > MAX_MODEL:
            raise ValueError("holds a damaged model: it says that it is larger than any")
        return zstandard.ZstdDecompressor().decompress(model, max_output_size=MAX_MODEL)
    except zstandard.ZstdError as error:
        raise ValueError(f"holds a damaged model: {error}") from error


def version_of(config: Any, data: str, code: str, model: bytes) -> str:
    """Return what tells a version from all others, twelve hexadecimal digits; ``config`` goes to JSON."""
    state = hashlib.sha256(msgspec.json.encode([config, data, code]))
    state.update(model)
    return state.hexdigest()[:12]
