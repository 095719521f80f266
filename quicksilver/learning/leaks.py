"""A check that there is no leak: the same pipeline must find nothing where there is nothing to be found.

Two kinds of data hold nothing. On *shuffled outcomes* a score above chance shows that a model is judged by what it has
learned from; on a *random walk* it shows an input that knows the future, or outcomes that overlap with what came
before. An ensemble is checked as a whole: a leak may be in what its stacking learns from, beside its members.

A model that has learned noise is worse than the majority class: it trades, and pays fees. So each measure is held
against what the same predictions would score without any knowledge, each paired with every outcome of its part of the
walk. The parts are judged by models of their own, so that their differences give an interval of the mean difference
(Student's t), which must hold 0.

There are many intervals, and of those at 95 % one in twenty misses 0 by chance. Their level is such that *all* hold 0
with a probability of 95 % where there is no leak (Bonferroni): a false alarm is as rare as that of one interval.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy import stats

from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import FloatArray, Price
from quicksilver.instrument import InstrumentStage
from quicksilver.labels import BPS
from quicksilver.learning.aligned import wanted_features
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, TrainingFrame, frame_of
from quicksilver.learning.ensembles import walk_material
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.material import Material
from quicksilver.learning.results import MODEL
from quicksilver.learning.scores import MEASURES, N_CLASSES, Decisions
from quicksilver.learning.walking import Walk, walk
from quicksilver.models.score import MIN_PROBABILITY

SHUFFLED, RANDOM_WALK = "shuffled outcomes", "random walk"
MIN_PARTS = 5  # of a walk: with Student's t of two, no leak would ever be seen
SURE = 0.95  # probability that none of all intervals misses 0 by chance
ROUNDING = 1e-6  # Matthews' correlation of what is nearly constant divides by next to nothing


class Finding(NamedTuple):
    """What a measure was on data that hold nothing.

    ``expected`` is what the same predictions score without knowledge; ``low`` to ``high`` is the interval of the
    difference between the two.
    """

    data: str
    measure: str
    value: float
    expected: float
    low: float
    high: float

    @property
    def least(self) -> float:
        """The smallest difference that would have shown: one farther from 0, either way."""
        return (self.high - self.low) / 2.0

    @property
    def leaks(self) -> bool:
        """Whether there is more, or less, than chance explains."""
        return not self.low - ROUNDING <= 0.0 <= self.high + ROUNDING


def checked(histories: Sequence[FeatureHistory], config: PredictorConfig, seed: int, predictors: int) -> list[Finding]:
    """Return what a predictor finds in shuffled outcomes and in a random walk, both made of its data.

    ``predictors`` is how many are checked in all: the more, the wider are the intervals.

    Raises:
        InputError: the data cannot be learned from, or are too few for a leak to show.
    """
    rng = np.random.default_rng(seed)
    real = frame_of(histories, config)
    walked = [random_walk(one, config, float(np.std(real.move_bps)), rng) for one in histories]
    frames = {SHUFFLED: shuffled(real, rng), RANDOM_WALK: frame_of(walked, config)}
    return [one for data, frame in frames.items() for one in _findings(data, walk(frame, config), predictors)]


def checked_ensemble(material: Material, histories: Sequence[FeatureHistory], seed: int, models: int) -> list[Finding]:
    """Return the same of an ensemble, its members and its stacking, made anew of either kind of data.

    ``histories`` are those that the material was made of; ``models`` is how many are checked in all.

    Raises:
        InputError: the data cannot be learned from, or are too few for a leak to show.
    """
    rng, deviation_bps = np.random.default_rng(seed), float(np.std(material.found.frame.move_bps))
    as_lead = msgspec.structs.replace(material.lead, features=wanted_features(material.configs), sequence=1)
    walked = [random_walk(one, as_lead, deviation_bps, rng) for one in histories]
    materials = {SHUFFLED: material.shuffled(seed), RANDOM_WALK: material.of(walked)}
    return [one for data, made in materials.items() for one in _findings(data, walk_material(made), models)]


def shuffled(frame: TrainingFrame, rng: np.random.Generator) -> TrainingFrame:
    """Return a frame whose outcomes have nothing to do with its inputs."""
    return frame._replace(move_bps=rng.permutation(frame.move_bps))


def random_walk(
    history: FeatureHistory, config: PredictorConfig, deviation_bps: float, rng: np.random.Generator
) -> FeatureHistory:
    """Return a history as long as the real one, whose price is a random walk.

    Its rows are at equal times and its moves equally likely to be large, for how restless a market is can be known
    beforehand. ``deviation_bps`` is the standard deviation of a move over the horizon. Features that follow from prices
    are those of the walk; all others are the real ones, which know nothing of it.
    """
    n = len(history.ts_ns)
    mean_ns = max(1, (int(history.ts_ns.max()) - int(history.ts_ns.min())) // max(1, n - 1))
    step_ns = max(1, config.every_ns // max(1, round(config.every_ns / mean_ns)))
    deviation = deviation_bps / BPS * math.sqrt(step_ns / config.horizon_ns)
    start_ns = int(history.ts_ns.min()) // config.every_ns * config.every_ns
    ts_ns = start_ns + step_ns * np.arange(n)
    mid = history.mid[0] * np.exp(np.cumsum(rng.normal(0.0, deviation, n)))
    walked = history._replace(ts_ns=ts_ns, mid=mid)
    return walked._replace(values=_features(walked, config, step_ns)) if config.features else walked


def _features(walked: FeatureHistory, config: PredictorConfig, step_ns: int) -> FloatArray:
    """A history's features: anew where they follow from its prices."""
    stage = InstrumentStage(walked.venue, walked.symbol, PipelineConfig.for_rows(step_ns))
    builder = HistoryBuilder(config.features)
    for number, (ts_ns, mid) in enumerate(zip(walked.ts_ns.tolist(), walked.mid.tolist(), strict=True), start=1):
        builder.take_all(stage.step(Price(walked.venue, walked.symbol, number, ts_ns, ts_ns, mid)))
    (made,) = builder.histories()
    follows = ~np.isnan(made.values).all(axis=0)
    return np.where(follows, made.values, walked.values)


def _findings(data: str, walked: Walk, models: int) -> list[Finding]:
    judged = walked.judged[MODEL]
    level = 1.0 - (1.0 - SURE) / (2 * len(MEASURES) * models)
    folds = np.unique(judged.fold)
    if len(folds) < MIN_PARTS:
        raise InputError(
            f"there are too few examples to check: they can be judged in {len(folds)} part{'s' * (len(folds) > 1)} of"
            f" a walk, and at least {MIN_PARTS} are needed for a leak to show; give more data"
        )
    parts, chance = judged.parts(), without_knowledge(judged)
    found = []
    for name, measure in MEASURES.items():
        value, expected = (
            np.array([measure(some[judged.fold == fold].mean(axis=0)) for fold in folds]) for some in (parts, chance)
        )
        difference = value - expected
        reach = float(stats.t.ppf((1.0 + level) / 2.0, len(folds) - 1)) * float(stats.sem(difference))
        middle = float(difference.mean())
        means = float(value.mean()), float(expected.mean())
        found.append(Finding(data, name, *means, middle - reach, middle + reach))
    return found


def without_knowledge(judged: Decisions) -> FloatArray:
    """Return what each prediction adds to the measures on average over all outcomes of its fold, ``(n, 12)``."""
    parts = np.empty((len(judged.outcomes), N_CLASSES**2 + 3))
    for fold in np.unique(judged.fold):
        rows = judged.fold == fold
        shares = np.bincount(judged.outcomes[rows] + 1, minlength=N_CLASSES) / rows.sum()
        said, directions = judged.probabilities[rows], judged.directions[rows]
        hot = np.eye(N_CLASSES)[directions + 1]
        loss = -np.log(np.maximum(said, MIN_PROBABILITY)) @ shares
        brier = (said**2).sum(axis=1) - 2.0 * said @ shares + 1.0
        profit = directions * judged.move_bps[rows].mean() - judged.cost_bps[rows] * np.abs(directions)
        matrix = (shares[None, :, None] * hot[:, None, :]).reshape(len(hot), -1)
        parts[rows] = np.column_stack([matrix, loss, brier, profit])
    return parts
