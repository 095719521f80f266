"""What an ensemble is, as its user writes it: which predictors decide together, and how they are weighed."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from quicksilver.learning.config import PredictorConfig, require_span
from quicksilver.spans import span_ns

HALF_LIFE = 200  # outcomes: few enough to follow a market that changes, and enough to tell members apart
MOST_WEIGHT = 1e6  # and its reciprocal the least: who has less beside it is not heard, and sums stay numbers
_MEANING = ("horizon_ns", "fee_bps", "target")  # of an outcome: where they differ, probabilities cannot be averaged


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
            if not 1.0 / MOST_WEIGHT <= one.weight <= MOST_WEIGHT:
                raise ValueError(
                    f"the weight of {one.predictor} is {one.weight:g}: give {1.0 / MOST_WEIGHT:g} to {MOST_WEIGHT:g}"
                )
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence = {self.confidence:g}: give a probability, 0 to 1")
        if self.stacking and (self.weights == "recent" or any(one.weight != 1.0 for one in self.members)):
            raise ValueError("stacking learns how to weigh its members: leave out weights of any other kind")
        if self.half_life and self.weights != "recent":
            raise ValueError('half_life is of recent scores: give weights = "recent" too, or leave it out')
        require_span(self.half_life or "1s")

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
