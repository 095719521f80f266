"""What a walk-forward run found, as plain data: read where the libraries that made it are not wanted."""

import math
from typing import Annotated

import msgspec

MODEL, MAJORITY, LAST_MOVE, NOTHING = "model", "majority", "same as last move", "do nothing"
BASELINES = (MAJORITY, LAST_MOVE, NOTHING)
ROUNDING = 1e-6  # what a measure may differ by from itself: a correlation of constants divides by next to nothing


class Interval(msgspec.Struct, frozen=True):
    """A value, and where it lies with a probability of 95 %.

    ``low`` to ``high``: that of a later period as long as one part of the walk (``Validation.part``), with what parts
    differ by. ``mean_low`` to ``mean_high``: the mean itself, by resampled blocks.
    """

    value: float
    low: float
    high: float
    mean_low: float
    mean_high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Spread(msgspec.Struct, frozen=True):
    """What a measure varies by, from which follows what a later period of any length may show.

    ``n`` decisions in ``folds`` parts, resampled as ``blocks`` blocks. ``middle`` and ``between`` are mean and standard
    deviation of the parts' values, None of one part. ``within / sqrt(n)`` is the standard deviation by chance of the
    measure over ``n`` decisions, those that depend on one another taken into account. ``whole`` is its value of all
    parts together, which for one that is no mean is another than ``middle``; None in versions of older programs.
    ``bounds`` are where it lies at all, of one that has never varied: of such nothing else is known. ``parts`` are the
    parts' values in their order; versions of older programs have none.
    """

    n: int
    folds: int
    blocks: int
    middle: float
    between: float | None
    within: float
    whole: float | None = None
    bounds: tuple[float, float] | None = None
    parts: tuple[float, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether the measure was ever another than it was elsewhere."""
        return max(self.within / math.sqrt(self.n), self.between or 0.0) > ROUNDING


class Track(msgspec.Struct, frozen=True):
    """What the deflated ratio takes of ``n`` profits that do not overlap: Sharpe ratio of one, skew, kurtosis.

    ``per_day`` is how many there are a day: ratios of other lengths of time can be compared by it.
    """

    ratio: float
    n: Annotated[int, msgspec.Meta(ge=2)]
    skew: float
    kurtosis: float
    per_day: Annotated[float, msgspec.Meta(gt=0.0)]

    @property
    def daily(self) -> float:
        """Sharpe ratio of a day's profit, if one day were like another and none like the one before."""
        return self.ratio * math.sqrt(self.per_day)


class Validation(msgspec.Struct, frozen=True):
    """What a walk-forward run found: ``scores[who][measure]``, with ``who`` the model and its baselines.

    ``better_by[measure]`` is how much the model's value is above the majority's, by the same resampled blocks.
    ``confusion[outcome][predicted]`` counts the model's decisions, each down, flat, up; ``track`` is that of its
    profits, for the deflated score of several tries, None where it never traded. ``flagged`` decisions more had inputs
    out of the range that it knew by then: live nothing is predicted from such, and nobody is judged by them.
    ``spread_bps`` is the mean spread at those decisions that have one, None if none has; ``without_spread`` have none:
    their profit is after fees alone. ``spreads[measure]`` is what the model's values vary by; versions of older
    programs have none.
    """

    n: int
    folds: int
    block: int
    start_ns: int
    end_ns: int
    scores: dict[str, dict[str, Interval]]
    better_by: dict[str, Interval]
    confusion: tuple[tuple[int, ...], ...] = ()
    track: Track | None = None
    flagged: int = 0
    spread_bps: float | None = None
    without_spread: int = 0
    spreads: dict[str, Spread] = {}

    @property
    def never_traded(self) -> bool:
        """Whether it predicted no move in all the walk: what a later period would earn, nothing here can tell."""
        return bool(self.confusion) and not any(row[0] + row[2] for row in self.confusion)

    @property
    def part(self) -> int:
        """How many decisions a part of the walk has on average: as many as the intervals of a later period are of."""
        return max(1, round(self.n / self.folds))
