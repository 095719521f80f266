"""What the members of an ensemble say, made one: by given weights, by weights of late, or by a model of them.

References: Cesa-Bianchi, Lugosi, Prediction, Learning, and Games, 2006, chapters 2 (weights that fall exponentially
with a forecaster's loss; discounted regret) and 3 (at a rate of 1 the weighted mean of probabilities is never further
behind the best forecaster's log-loss than the logarithm of how many there are); Freund, Schapire, Singer, Warmuth,
Using and combining predictors that specialize, STOC 1997 (forecasters that are silent at times); Wolpert, Stacked
generalization, Neural Networks 5, 1992; Ting, Witten, Issues in stacked generalization, JAIR 10, 1999 (of
probabilities, by a linear model).
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.ensemble_config import lead_of
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import EnsembleCard
from quicksilver.models.score import MIN_PROBABILITY, Probabilities, probabilities_of_classes
from quicksilver.records import Direction

Said: TypeAlias = tuple[Probabilities | None, ...]
"""Of each member; None if it says nothing now."""
NOTHING = (math.nan, math.nan, math.nan)
SILENT = "out of range: for every member, or it has not decided of late"
LEAST = 1e-6  # a probability that stacking is asked with: the logarithm of 0 would outweigh all else


class Recent(msgspec.Struct):
    """How the members did of late, until ``known_ns``: sums of log-loss above the baseline's, in nats, discounted."""

    excess: list[float]
    known_ns: int = 0


class Combiner:
    """Combines what an ensemble's members say, live and in validation alike.

    With recent weights member ``i`` has ``weight_i * exp(-rate * excess_i)``. Outcomes of a horizon overlap when
    decisions are closer together, and several hold the news of one: each counts by that much less (``rate``), as in
    ``OnlineModel``. A member that said nothing is taken to have been as good as the baseline.

    Raises:
        ValueError: the card's stacking cannot be used.
    """

    def __init__(self, card: EnsembleCard) -> None:
        stacking = card.unpacked()
        configs = [member.config for member in card.members]
        lead = configs[lead_of(configs)]
        self.recent = Recent([0.0] * len(configs))
        self._learns = card.config.weights == "recent"
        self._weights = [member.weight for member in card.config.members]
        self._priors = np.array([member.prior for member in card.members])
        self._rate = lead.uniqueness
        self._half_life_ns = card.config.half_life_ns(lead)
        self._columns = [one + 1 for one in card.classes]
        self._stacking = None if stacking is None else AppliedModel(stacking)
        if self._stacking is not None:
            self._require_fitting(self._stacking, card)

    def _require_fitting(self, stacking: AppliedModel, card: EnsembleCard) -> None:
        takes, wanted = stacking.n_inputs, self._priors.size
        if takes != wanted:
            raise ValueError(f"{card.name} {card.version}: its stacking takes {takes} numbers, not {wanted}")
        gives = stacking.raw(np.zeros((1, wanted), np.float32)).shape[1]
        if gives != len(card.classes) or not set(card.classes) <= {-1, 0, 1}:
            raise ValueError(f"{card.name} {card.version}: its stacking gives {gives} numbers, not {len(card.classes)}")

    def combined(self, said: Said) -> Probabilities | str:
        """Return what the members say together, or why that is nothing."""
        if all(one is None for one in said):
            return SILENT
        if self._stacking is None:
            return weighted_mean(self.weights(said), said)
        asked = evidence(np.array([[one or NOTHING for one in said]]), self._priors)
        try:
            found = self._stacking.raw(asked.astype(np.float32))[0].tolist()
        except ValueError as error:  # costs this decision alone, as a member's does
            return str(error)
        return probabilities_of_classes(found, self._columns)

    def weights(self, said: Said) -> list[float]:
        """Return the weights of those who say something, others' are 0; the largest may be of any size."""
        if not self._learns:
            return [0.0 if one is None else weight for one, weight in zip(said, self._weights, strict=True)]
        least = min(excess for one, excess in zip(said, self.recent.excess, strict=True) if one is not None)
        return [
            0.0 if one is None else weight * math.exp(-self._rate * (excess - least))
            for one, weight, excess in zip(said, self._weights, self.recent.excess, strict=True)
        ]

    def learn(self, known_ns: int, said: Said, baseline: Probabilities, outcome: Direction) -> None:
        """Take in an outcome, in the order in which they become known; ``baseline`` is of the time of the decision."""
        if not self._learns:
            return
        fade = 0.5 ** (max(0, known_ns - self.recent.known_ns) / self._half_life_ns)
        usual = _loss(baseline, outcome)
        self.recent = Recent(
            [
                fade * excess + (0.0 if one is None else _loss(one, outcome) - usual)
                for one, excess in zip(said, self.recent.excess, strict=True)
            ],
            known_ns,
        )


def evidence(said: FloatArray, priors: FloatArray) -> FloatArray:
    """Return what stacking learns from and is asked with, ``(n, n_members * 3)``.

    It is how much likelier down, flat and up are by what members say ``(n, n_members, 3)`` than by their class
    frequencies ``priors`` ``(n_members, 3)``, as a logarithm; 0 where a member says nothing, which is NaN.
    """
    found = np.log(np.maximum(said, LEAST) / priors)
    return np.where(np.isnan(found), 0.0, found).reshape(len(said), -1)


def weighted_mean(weights: Sequence[float], said: Said) -> Probabilities:
    """Return the mean of what is said; at least one weight is above 0 and says something."""
    down = flat = up = total = 0.0
    for weight, one in zip(weights, said, strict=True):
        if one is not None:
            total += weight
            down, flat, up = down + weight * one[0], flat + weight * one[1], up + weight * one[2]
    return down / total, flat / total, up / total


def _loss(probabilities: Probabilities, outcome: Direction) -> float:
    return -math.log(max(probabilities[outcome + 1], MIN_PROBABILITY))
