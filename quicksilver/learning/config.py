"""What a predictor is, as its user writes it: a table of a TOML file, one for each name."""

import math
from typing import Any, Literal, TypeAlias

import msgspec

from quicksilver.errors import InputError
from quicksilver.labels import uniqueness
from quicksilver.records import Features, Record
from quicksilver.spans import MOST_NS, UNITS_NS, span_ns

Target: TypeAlias = Literal["direction", "return"]
MORE_THAN_HALF = math.nextafter(0.5, 1.0)
MAX_MOVES = 1_000
MAX_SEQUENCE = 500  # decisions whose features are given
MOST_MINUTES = MOST_NS / UNITS_NS["m"]
MOST_FEE_BPS = 1e6  # a hundred times what is traded: beyond it is a slip of the keyboard
MOST_SEED = 2**32 - 1  # that numpy takes
# What else a row holds says when and where it is.
FEATURES = Features.__struct_fields__[len(Record.__struct_fields__) :]
MAX_SILENT = 10  # cells of the granularity without a row, after which the next move is none of that length


def require_span(text: str) -> None:
    """Refuse what is no span of time, as a value of a file.

    Raises:
        ValueError: it is none.
    """
    try:
        span_ns(text)
    except InputError as error:
        raise ValueError(str(error)) from error


class PredictorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One predictor: which model, of which data, of what.

    ``granularity`` is the time between two decisions and ``horizon`` how far ahead they look (the granularity unless
    given). Inputs are the last ``datasetinputs`` moves of the mid, a granularity each, newest first, in basis points,
    and then ``features``, those of each of the last ``sequence`` decisions, newest first. ``minutes_back`` is how much
    history it learns from, 0: all there is; each part of a walk-forward run is judged by a model of as much before it.
    Instruments are those of ``venues`` and ``symbols``; an empty list chooses all. A move is down or up only beyond
    ``2 * fee_bps``, the fees of going in and out; with ``target`` "return" the move itself is predicted, in basis
    points, and said to be down or up only where it is beyond that. Profits pay the spread too, which no class knows of.
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
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown:
            raise ValueError(f"there is no feature {unknown[0]!r}; GET /api/feature-specs names them")
        twice = [name for name in self.features if self.features.count(name) > 1]
        if twice:
            raise ValueError(f"feature {twice[0]} stands twice in it: give it once")
        if not 0 <= self.datasetinputs <= MAX_MOVES or not (self.datasetinputs or self.features):
            raise ValueError(f"datasetinputs = {self.datasetinputs}: give 0 to {MAX_MOVES} moves, or some features")
        if not 1 <= self.sequence <= MAX_SEQUENCE or (self.sequence > 1 and not self.features):
            raise ValueError(
                f"sequence = {self.sequence}: give 1 to {MAX_SEQUENCE} decisions, and features to give of each"
            )
        limits = (("minutes_back", MOST_MINUTES), ("fee_bps", MOST_FEE_BPS), ("seed", MOST_SEED))
        for name, most in limits:
            if not 0 <= getattr(self, name) <= most:  # which nan is not either
                raise ValueError(f"{name} = {getattr(self, name)}: give 0 to {most:,.0f}")
        require_span(self.granularity)
        require_span(self.horizon or self.granularity)

    @property
    def every_ns(self) -> int:
        """Time from one decision to the next."""
        return span_ns(self.granularity)

    @property
    def horizon_ns(self) -> int:
        """Time from a decision to its outcome."""
        return span_ns(self.horizon or self.granularity)

    @property
    def overlap(self) -> int:
        """How many decisions in a row of one instrument have outcomes that share a span of time."""
        return math.ceil(self.horizon_ns / self.every_ns)

    @property
    def uniqueness(self) -> float:
        """How much of an outcome is its own, 0 to 1: outcomes of decisions that are closer than a horizon overlap."""
        return uniqueness(self.every_ns, self.horizon_ns)

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
