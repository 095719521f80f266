"""The walk-forward run of one predictor: trained on the past, judged by what came after, beside its baselines."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Int64, TrainingFrame
from quicksilver.learning.deflated import track_of
from quicksilver.learning.online import OnlineClassifier, prequential
from quicksilver.learning.ranges import out_of_range, ranges_of
from quicksilver.learning.results import Interval, Spread, Validation
from quicksilver.learning.scores import (
    MEASURES,
    N_CLASSES,
    RANGES,
    Decisions,
    Measure,
    block_length,
    blocks_of,
    bounds_of,
    influence,
    sampled,
    within_range,
)
from quicksilver.learning.splits import Stretches, walk_forward
from quicksilver.learning.usable import FOLDS, MIN_PAST, learned_from, require_usable, too_few
from quicksilver.learning.zoo import model_of
from quicksilver.models.online import CLASSES
from quicksilver.models.score import Probabilities, probabilities_of_move

DAY_NS = 86_400_000_000_000
CERTAIN = 1.0 - 1e-6  # what a rule that only names a class is taken to say
MODEL, MAJORITY, LAST_MOVE, NOTHING = "model", "majority", "same as last move", "do nothing"
BASELINES = (MAJORITY, LAST_MOVE, NOTHING)


class Walk(NamedTuple):
    """All judged decisions of a run: by ``who``; outcomes of ``overlap`` of them in a row share a span of time.

    ``flagged`` more had inputs that a live predictor does not predict from: nobody is judged by them.
    """

    judged: dict[str, Decisions]
    ts_ns: Int64
    overlap: int
    flagged: int = 0


def fitted(frame: TrainingFrame, config: PredictorConfig) -> Pipeline:
    """Return the predictor's model of a frame, the same on any machine: sums in several threads differ in their order.

    Raises:
        InputError: the data cannot be learned from.
    """
    seen = learned_from(frame, config)
    require_usable(seen, config)
    target = seen.directions(config.threshold_bps) if config.target == "direction" else seen.move_bps
    with threadpool_limits(1):
        return model_of(config, len(frame.instruments)).fit(seen.inputs, target)


def error_of(model: Pipeline, frame: TrainingFrame, config: PredictorConfig) -> float | None:
    """Return how far off a return model is on data that it has not seen, in basis points; None of other models.

    The root mean square of its errors on stretches of its training data, each predicted by the same model fitted to the
    others, less what overlaps with it. What a model has learned by heart would make it look surer than it is. The
    result is above 0, also where there is nothing to err in.

    Raises:
        InputError: there are too few data.
    """
    if config.target == "direction":
        return None
    frame = learned_from(frame, config)
    squares = 0.0
    for others, stretch in Stretches(overlap_of(frame, config)).split(frame.inputs):
        with threadpool_limits(1):
            unseen = clone(model).fit(frame.inputs[others], frame.move_bps[others])
        squares += float(((frame.move_bps[stretch] - np.ravel(unseen.predict(frame.inputs[stretch]))) ** 2).sum())
    return max(math.sqrt(squares / frame.n), 1e-9)


def probabilities(model: Pipeline, inputs: FloatArray, config: PredictorConfig, error_bps: float | None) -> FloatArray:
    """Return the probabilities of down, flat and up, ``(n, 3)``, as a live predictor gives them.

    ``error_bps`` is what ``error_of`` says of the model: a predicted return has normal errors of that size.
    """
    if error_bps is not None:
        moves = np.ravel(model.predict(inputs)).tolist()
        return np.array([probabilities_of_move(move, error_bps, config.threshold_bps) for move in moves])
    rows = np.zeros((len(inputs), len(CLASSES)))
    rows[:, model.classes_ + 1] = model.predict_proba(inputs)
    return rows


def predicted(model: Pipeline, later: TrainingFrame, config: PredictorConfig, error_bps: float | None) -> FloatArray:
    """Return what a model says of decisions later than what it was fitted to, ``(n, 3)``; it may go on learning."""
    if isinstance(model, OnlineClassifier):
        return prequential(model, later, config.threshold_bps)
    return probabilities(model, later.inputs, config, error_bps)


def certain(directions: Int64 | FloatArray) -> FloatArray:
    """Return classes as probabilities, ``(n, 3)``."""
    rest = (1.0 - CERTAIN) / (len(CLASSES) - 1)
    return np.where(np.asarray(directions)[:, None] == np.array(CLASSES), CERTAIN, rest)


def walk(
    frame: TrainingFrame,
    config: PredictorConfig,
    folds: int = FOLDS,
    done: Callable[[], object] = lambda: None,
    starts_ns: Sequence[int] = (),
) -> Walk:
    """Return what the model and its baselines said of each part of the frame but the first.

    The parts do not depend on ``minutes_back``: each model learns from at most that much before its part. They begin at
    ``starts_ns`` where these are given. Decisions that the model would flag live are left out, and counted.

    ``done`` is called after each of ``folds`` parts that could be judged.

    Raises:
        InputError: the data cannot be learned from.
    """
    said: dict[str, list[FloatArray]] = {who: [] for who in (MODEL, *BASELINES)}
    tests: list[Int64] = []
    flagged = 0
    for past, test in walk_forward(frame, folds, config.horizon_ns, MIN_PAST, starts_ns):
        near, part = _said_of(frame, past, test, config)
        for who, one in part.items():
            said[who].append(one)
        tests.append(near)
        flagged += len(test) - len(near)
        done()
    if not tests:
        raise too_few(frame)
    rows = np.concatenate(tests)
    if not len(rows):
        raise InputError(f"all {flagged:,} later decisions have inputs far out of the range of those before them")
    fold = np.concatenate([np.full(len(near), number) for number, near in enumerate(tests)])
    together = {who: np.vstack(parts) for who, parts in said.items()}
    judged = judged_by(together, frame.rows(rows), fold, config, config.confidence)
    return Walk(judged, frame.ts_ns[rows], overlap_of(frame, config), flagged)


def _said_of(
    frame: TrainingFrame, past: Int64, test: Int64, config: PredictorConfig
) -> tuple[Int64, dict[str, FloatArray]]:
    """Which decisions of a part a model of the past would not flag, and what is said of them."""
    seen = learned_from(frame.rows(past), config)
    model = fitted(seen, config)
    near = test[~out_of_range(frame.inputs[test], ranges_of(seen), config)]
    if not len(near):
        return near, {}
    later = frame.rows(near)
    return near, {
        MODEL: predicted(model, later, config, error_of(model, seen, config)),
        **baselines_of(later, config, seen.frequencies(config.threshold_bps)),
    }


def baselines_of(
    later: TrainingFrame, config: PredictorConfig, frequencies: FloatArray | Probabilities
) -> dict[str, FloatArray]:
    """Return what each baseline says of decisions, ``(n, 3)``; ``frequencies`` are those of the classes until then."""
    return {
        MAJORITY: np.tile(frequencies, (later.n, 1)),
        LAST_MOVE: certain(later.last_directions(config.threshold_bps)),
        NOTHING: certain(np.zeros(later.n)),
    }


def judged_by(
    said: Mapping[str, FloatArray], rows: TrainingFrame, fold: Int64, config: PredictorConfig, confidence: float
) -> dict[str, Decisions]:
    """Return what each said of decisions ``(n, 3)`` beside what came; ``fold`` ``(n,)`` is the part of the walk.

    ``confidence`` is what the model decides from; a member of an ensemble decides as it would alone.
    """
    outcomes, least = rows.directions(config.threshold_bps), {MODEL: confidence, **dict.fromkeys(BASELINES, 0.0)}
    return {
        who: Decisions(
            one, outcomes, rows.move_bps, fold, config.fee_bps, rows.spread_bps, least.get(who, config.confidence)
        )
        for who, one in said.items()
    }


def overlap_of(frame: TrainingFrame, config: PredictorConfig) -> int:
    """Return how many decisions in a row have outcomes that share a span of time."""
    return len(frame.instruments) * config.overlap


def validated(walked: Walk, seed: int) -> Validation:
    """Return the scores of a walk with their intervals.

    Raises:
        InputError: so little could be judged that nothing is known of what it varies by.
    """
    model = walked.judged[MODEL]
    parts = {who: one.parts() for who, one in walked.judged.items()}
    length = _block_length(parts, walked.overlap)
    folds, n = len(np.unique(model.fold)), len(model.outcomes)
    scores, better, spreads = _scores(parts, model.fold, length, seed)
    spreads = {name: _bounded(name, one, model) for name, one in spreads.items()}
    scores[MODEL] = {name: _unknown(one, spreads.get(name)) for name, one in scores[MODEL].items()}
    start_ns, end_ns = int(walked.ts_ns[0]), int(walked.ts_ns[-1])
    confusion = parts[MODEL][:, : N_CLASSES**2].sum(axis=0).reshape(N_CLASSES, N_CLASSES).astype(np.int64).tolist()
    matrix = tuple(tuple(row) for row in confusion)
    blocks = blocks_of(parts[MODEL], model.fold, length)
    track = track_of(blocks[:, -1], (end_ns - start_ns) / DAY_NS)
    spread_bps = model.spread_bps[~np.isnan(model.spread_bps)]
    return Validation(
        n, folds, length, start_ns, end_ns, scores, better, matrix, track, walked.flagged,
        float(spread_bps.mean()) if len(spread_bps) else None, n - len(spread_bps), spreads,
    )  # fmt: skip


def _bounded(name: str, spread: Spread, model: Decisions) -> Spread:
    """What a measure varies by; one that never did, for no move was ever said, may become anything that it can be."""
    return spread if spread.varies else msgspec.structs.replace(spread, bounds=bounds_of(name, model))


def _unknown(interval: Interval, spread: Spread | None) -> Interval:
    """The interval, of a measure that has never varied as far as it can be."""
    if spread is None or spread.bounds is None:
        return interval
    low, high = spread.bounds
    return msgspec.structs.replace(interval, low=low, high=high)


def _block_length(parts: Mapping[str, FloatArray], overlap: int) -> int:
    """How many decisions in a row are resampled together: as many as the measure needs that needs most.

    Each has a dependence of its own (losses cluster where hits do not), and so has its difference from the majority's.
    """
    series = []
    for measure in MEASURES.values():
        own, majority = (influence(measure, parts[who]) for who in (MODEL, MAJORITY))
        series += [own, own - majority]
    return max(block_length(one, overlap) for one in series)


def _scores(
    parts: dict[str, FloatArray], fold: Int64, length: int, seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval], dict[str, Spread]]:
    """Everybody's scores, how much the model's are above the majority's, and what they vary by.

    All are of the same resampled blocks.
    """
    width = parts[MODEL].shape[1]
    columns = {who: slice(place * width, (place + 1) * width) for place, who in enumerate(parts)}
    measures = [_of(measure, columns[who]) for who in parts for measure in MEASURES.values()]
    measures += [_difference(measure, columns[MODEL], columns[MAJORITY]) for measure in MEASURES.values()]
    found = iter(sampled(np.hstack(list(parts.values())), fold, measures, length, seed))
    all_of_them = {who: {name: next(found) for name in MEASURES} for who in parts}
    spreads = {name: one.spread for name, one in all_of_them[MODEL].items() if one.spread is not None}
    if not spreads:
        raise InputError(f"{len(fold)} decisions could be judged: too few for an interval")
    scores = {
        who: {name: within_range(one.interval, *RANGES[name]) for name, one in some.items()}
        for who, some in all_of_them.items()
    }
    reach = {name: high - low for name, (low, high) in RANGES.items()}
    better = {name: within_range(next(found).interval, -reach[name], reach[name]) for name in MEASURES}
    return scores, better, spreads


def _of(measure: Measure, columns: slice) -> Measure:
    """A measure of some columns."""
    return lambda mean: measure(mean[..., columns])


def _difference(measure: Measure, columns: slice, less: slice) -> Measure:
    """A measure of some columns less that of others."""
    return lambda mean: measure(mean[..., columns]) - measure(mean[..., less])
