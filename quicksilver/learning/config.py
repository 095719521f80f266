"""What a predictor is, as its user writes it: a table of a TOML file, one for each name."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.records import Features

Target: TypeAlias = Literal["direction", "return"]
Promotion: TypeAlias = Literal["never", "better", "always"]
UNITS_NS = {"ms": SECOND_NS // 1000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
MORE_THAN_HALF = math.nextafter(0.5, 1.0)
MAX_MOVES = 1_000
MAX_SEQUENCE = 500  # decisions whose features are given
MAX_SILENT = 10  # cells of the granularity without a row, after which the next move is none of that length
HALF_LIFE = 200  # outcomes: few enough to follow a market that changes, and enough to tell members apart
MIN_OUTCOMES = 10  # of a shadow, before anything is said of it
_MEANING = ("horizon_ns", "fee_bps", "target")  # of an outcome: where they differ, probabilities cannot be averaged
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


def _require_span(text: str) -> None:
    try:
        span_ns(text)
    except InputError as error:
        raise ValueError(str(error)) from error


class PredictorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One predictor: which model, of which data, of what.

    ``granularity`` is the time between two decisions and ``horizon`` how far ahead they look (the granularity unless
    given). Inputs are the last ``datasetinputs`` moves of the mid, a granularity each, newest first, in basis points,
    and then ``features``, those of each of the last ``sequence`` decisions, newest first. ``minutes_back`` is how much
    history it learns from, 0: all there is. Instruments are those of ``venues`` and ``symbols``; an empty list chooses
    all. A move is down or up only beyond ``2 * fee_bps``, what it costs to go in and out; with ``target`` "return" the
    move itself is predicted, in basis points, and said to be down or up only where it is beyond that.
    ``parameters`` are scikit-learn's names for ``type``, or river's.
    """

    type: str
    granularity: str = "1m"
    horizon: str = ""
    datasetinputs: int = 2
    features: tuple[str, ...] = ()
    sequence: int = 1
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
        if not 1 <= self.sequence <= MAX_SEQUENCE or (self.sequence > 1 and not self.features):
            raise ValueError(
                f"sequence = {self.sequence}: give 1 to {MAX_SEQUENCE} decisions, and features to give of each"
            )
        if self.minutes_back < 0 or self.fee_bps < 0:
            raise ValueError("minutes_back and fee_bps cannot be below 0")
        _require_span(self.granularity)
        _require_span(self.horizon or self.granularity)

    @property
    def every_ns(self) -> int:
        """Time from one decision to the next."""
        return span_ns(self.granularity)

    @property
    def horizon_ns(self) -> int:
        """Time from a decision to its outcome."""
        return span_ns(self.horizon or self.granularity)

    @property
    def uniqueness(self) -> float:
        """How much of an outcome is its own, 0 to 1: outcomes of decisions that are closer than a horizon overlap.

        Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 4.
        """
        return min(1.0, self.every_ns / self.horizon_ns)

    @property
    def threshold_bps(self) -> float:
        """Absolute move that covers the fees of going in and out."""
        return 2.0 * self.fee_bps

    @property
    def confidence(self) -> float:
        """How likely down or up has to be at least to be a decision; what is less likely is said as flat.

        The errors of a predicted move are taken to be normal, so that a move beyond ``threshold_bps`` has more than a
        half where the predicted one is beyond it, and nowhere else. The likeliest class it would be for less: wide
        errors leave little to flat.
        """
        return MORE_THAN_HALF if self.target == "return" else 0.0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs in their order: ``imbalance_1@2`` is that of two decisions ago."""
        moves = [f"move_{n}_bps" for n in range(1, self.datasetinputs + 1)]
        earlier = [f"{name}@{ago}" for ago in range(1, self.sequence) for name in self.features]
        return (*moves, *self.features, *earlier)

    def wants(self, venue: str, symbol: str) -> bool:
        """Whether an instrument is one of the predictor's."""
        return (not self.venues or venue in self.venues) and (not self.symbols or symbol in self.symbols)


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A predictor in an ensemble, and its weight."""

    predictor: str
    weight: float = 1.0


def lead_of(members: Sequence[PredictorConfig]) -> int:
    """Return which member an ensemble decides with: that of the finest granularity, of equals which looks back least.

    None decides more often: the others of its granularity decide where it does, less while they wait for moves.
    """
    return min(range(len(members)), key=lambda number: (members[number].every_ns, members[number].datasetinputs))


class EnsembleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Predictors that decide together.

    ``weights`` static: those that are given; recent: these, and more for those whose log-loss of late was lower, where
    an outcome counts half after ``half_life`` (unless given, ``HALF_LIFE`` outcomes that do not overlap). What is less
    likely than ``confidence`` is no decision, and said as flat. ``stacking`` learns how to weigh from the members'
    predictions of data that they had not seen.
    """

    members: tuple[Member, ...]
    weights: Literal["static", "recent"] = "static"
    confidence: float = 0.0
    stacking: bool = False
    half_life: str = ""

    def __post_init__(self) -> None:
        names = [one.predictor for one in self.members]
        if not names:
            raise ValueError("there is no predictor in it")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"predictor {twice[0]} stands twice in it: give it once, with the weight of both")
        for one in self.members:
            if not 0.0 < one.weight < math.inf:
                raise ValueError(f"the weight of {one.predictor} is {one.weight:g}: give one above 0, or leave it out")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence = {self.confidence:g}: give a probability, 0 to 1")
        if self.stacking and (self.weights == "recent" or any(one.weight != 1.0 for one in self.members)):
            raise ValueError("stacking learns how to weigh its members: leave out weights of any other kind")
        if self.half_life and self.weights != "recent":
            raise ValueError('half_life is of recent scores: give weights = "recent" too, or leave it out')
        _require_span(self.half_life or "1s")

    def of(self, predictors: Mapping[str, PredictorConfig]) -> tuple[PredictorConfig, ...]:
        """Return the members' configurations.

        Raises:
            ValueError: there is none of a name, or their outcomes do not mean the same.
        """
        missing = [one.predictor for one in self.members if one.predictor not in predictors]
        if missing:
            raise ValueError(f"there is no predictor {missing[0]}")
        found = tuple(predictors[one.predictor] for one in self.members)
        for one, config in zip(self.members, found, strict=True):
            for part in _MEANING:
                if getattr(config, part) != getattr(found[0], part):
                    raise ValueError(
                        f"{one.predictor} has another {part.removesuffix('_ns')} than {self.members[0].predictor}: what"
                        " members predict has to mean the same"
                    )
        for part in ("venues", "symbols"):
            chosen = [set(getattr(one, part)) for one in found if getattr(one, part)]
            if chosen and not set.intersection(*chosen):
                raise ValueError(f"its members have no {part[:-1]} in common")
        return found

    def confidence_with(self, lead: PredictorConfig) -> float:
        """Return how likely down or up has to be at least to be a decision; ``lead`` is any of the members.

        Where they predict returns, that is more than a half, as for each of them.
        """
        return max(self.confidence, lead.confidence)

    def half_life_ns(self, lead: PredictorConfig) -> int:
        """Return after what time an outcome counts half; ``lead`` is the member that sets when to decide."""
        return span_ns(self.half_life) if self.half_life else HALF_LIFE * max(lead.every_ns, lead.horizon_ns)


class RetrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the predictors of a file are trained anew, and what becomes of the new versions.

    ``every`` is the time after which a version is old, "" if that is no reason. With ``drift`` a rise of the live
    log-loss is one: ADWIN's, of confidence ``delta``, on each instrument by itself. No two trainings of a predictor
    begin within ``at_least_apart``. ``promote`` says what a new version is: "never" a shadow, until a user promotes
    it; "better" a shadow that is promoted if its log-loss is below that of the live version on the same decisions by
    more than chance (the whole 95 % interval of the difference), else dropped; "always" live at once. A shadow is
    judged by ``shadow_outcomes`` outcomes that do not overlap: where a horizon is four decisions long, by four times as
    many. All time is that of the events.
    """

    every: str = ""
    drift: bool = False
    delta: float = 0.002
    at_least_apart: str = "10m"
    promote: Promotion = "better"
    shadow_outcomes: int = 200

    def __post_init__(self) -> None:
        if not self.every and not self.drift:
            raise ValueError('retraining without a reason: give every = "6h", drift = true, or both')
        if not 0.0 < self.delta < 1.0:
            raise ValueError(f"delta = {self.delta:g} is no chance of a false alarm: give one between 0 and 1")
        if self.shadow_outcomes < MIN_OUTCOMES:
            raise ValueError(f"shadow_outcomes = {self.shadow_outcomes}: fewer than {MIN_OUTCOMES} tell nothing")
        try:
            span_ns(self.every or self.at_least_apart), span_ns(self.at_least_apart)
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def every_ns(self) -> int | None:
        """Time after which a version is old, if there is one."""
        return span_ns(self.every) if self.every else None

    @property
    def apart_ns(self) -> int:
        """Time between two trainings at least."""
        return span_ns(self.at_least_apart)


class Predictors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file: ``[predictors.NAME]``, ``[ensembles.NAME]``, and ``[retraining]`` of all of them."""

    predictors: dict[str, PredictorConfig]
    ensembles: dict[str, EnsembleConfig] = {}
    retraining: RetrainingConfig | None = None

    def __post_init__(self) -> None:
        for name in (*self.predictors, *self.ensembles):
            if not _NAME.fullmatch(name):  # it is a folder's name, and part of a message's key
                raise ValueError(f"{name!r} is no name: letters, digits, '.', '_' and '-' make one, 64 at most")
        both = self.predictors.keys() & self.ensembles.keys()
        if both:
            raise ValueError(f"{min(both)} is the name of a predictor and of an ensemble: give each its own")
        for name, ensemble in self.ensembles.items():
            try:
                ensemble.of(self.predictors)
            except ValueError as error:
                raise ValueError(f"ensemble {name}: {error}") from error


def read_predictors(toml: bytes, name: str) -> Predictors:
    """Return what a TOML file says; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no such file, or a value cannot be used.
    """
    try:
        return msgspec.toml.decode(toml, type=Predictors)
    except msgspec.MsgspecError as error:
        raise InputError(f"{name}: {error}") from error
