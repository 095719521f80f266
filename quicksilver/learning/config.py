"""What a predictor is, as its user writes it: a table of a TOML file, one for each name."""

import re
from typing import Any, Literal, TypeAlias

import msgspec

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.records import Features

Target: TypeAlias = Literal["direction", "return"]
UNITS_NS = {"ms": SECOND_NS // 1000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
MAX_MOVES = 1_000
MAX_SILENT = 10  # cells of the granularity without a row, after which the next move is none of that length
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def span_ns(text: str) -> int:
    """Return a span of time in nanoseconds.

    >>> span_ns("250ms"), span_ns("1m")
    (250000000, 60000000000)

    Raises:
        InputError: it is none.
    """
    found = _SPAN.fullmatch(text.strip())
    span = round(float(found[1]) * UNITS_NS[found[2]]) if found else 0
    if span <= 0:
        raise InputError(f"{text!r} is no span of time: write 250ms, 5s, 1m or 1h")
    return span


class PredictorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One predictor: which model, of which data, of what.

    ``granularity`` is the time between two decisions and ``horizon`` how far ahead they look (the granularity unless
    given). Inputs are the last ``datasetinputs`` moves of the mid, a granularity each, newest first, in basis points,
    and then ``features``. ``minutes_back`` is how much history it learns from, 0: all there is. Instruments are those
    of ``venues`` and ``symbols``; an empty list chooses all. A move is down or up only beyond ``2 * fee_bps``, what it
    costs to go in and out; with ``target`` "return" the move itself is predicted, in basis points. ``parameters`` are
    scikit-learn's names for ``type``.
    """

    type: str
    granularity: str = "1m"
    horizon: str = ""
    datasetinputs: int = 2
    features: tuple[str, ...] = ()
    minutes_back: float = 0.0
    venues: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    target: Target = "direction"
    fee_bps: float = 0.25
    seed: int = 0
    parameters: dict[str, Any] = {}

    def __post_init__(self) -> None:
        unknown = [name for name in self.features if name not in Features.__struct_fields__]
        if unknown:
            raise ValueError(f"there is no feature {unknown[0]!r}; GET /api/feature-specs names them")
        if not 0 <= self.datasetinputs <= MAX_MOVES or not (self.datasetinputs or self.features):
            raise ValueError(f"datasetinputs = {self.datasetinputs}: give 0 to {MAX_MOVES} moves, or some features")
        if self.minutes_back < 0 or self.fee_bps < 0:
            raise ValueError("minutes_back and fee_bps cannot be below 0")
        try:
            span_ns(self.granularity), span_ns(self.horizon or self.granularity)
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def every_ns(self) -> int:
        """Time from one decision to the next."""
        return span_ns(self.granularity)

    @property
    def horizon_ns(self) -> int:
        """Time from a decision to its outcome."""
        return span_ns(self.horizon or self.granularity)

    @property
    def threshold_bps(self) -> float:
        """Absolute move that covers the fees of going in and out."""
        return 2.0 * self.fee_bps

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs in their order."""
        return (*(f"move_{n}_bps" for n in range(1, self.datasetinputs + 1)), *self.features)

    def wants(self, venue: str, symbol: str) -> bool:
        """Whether an instrument is one of the predictor's."""
        return (not self.venues or venue in self.venues) and (not self.symbols or symbol in self.symbols)


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A predictor in an ensemble, and its weight."""

    predictor: str
    weight: float = 1.0


class EnsembleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Predictors that decide together.

    ``weights`` static: those that are given; recent: by each member's log-loss of late. What is less likely than
    ``confidence`` is no decision, and said as flat. ``stacking`` learns the weights from the members' predictions of
    data that they had not seen.
    """

    members: tuple[Member, ...]
    weights: Literal["static", "recent"] = "static"
    confidence: float = 0.0
    stacking: bool = False


class Predictors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file: ``[predictors.NAME]`` and ``[ensembles.NAME]``."""

    predictors: dict[str, PredictorConfig]
    ensembles: dict[str, EnsembleConfig] = {}

    def __post_init__(self) -> None:
        for name in (*self.predictors, *self.ensembles):
            if not _NAME.fullmatch(name):  # it is a folder's name, and part of a message's key
                raise ValueError(f"{name!r} is no name: letters, digits, '.', '_' and '-' make one, 64 at most")
        both = self.predictors.keys() & self.ensembles.keys()
        if both:
            raise ValueError(f"{min(both)} is the name of a predictor and of an ensemble: give each its own")
        for name, ensemble in self.ensembles.items():
            missing = [one.predictor for one in ensemble.members if one.predictor not in self.predictors]
            if missing or not ensemble.members:
                raise ValueError(f"ensemble {name}: there is no predictor {missing[0] if missing else 'in it'}")


def read_predictors(toml: bytes, name: str) -> Predictors:
    """Return what a TOML file says; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no such file, or a value cannot be used.
    """
    try:
        return msgspec.toml.decode(toml, type=Predictors)
    except msgspec.MsgspecError as error:
        raise InputError(f"{name}: {error}") from error
