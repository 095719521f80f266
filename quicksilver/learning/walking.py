"""The walk-forward run of one predictor: trained on the past, judged by what came after, beside its baselines."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Int64, TrainingFrame
from quicksilver.learning.fitting import error_of, fitted, predicted
from quicksilver.learning.ranges import out_of_range, ranges_of
from quicksilver.learning.results import BASELINES, LAST_MOVE, MAJORITY, MODEL, NOTHING
from quicksilver.learning.scores import Decisions
from quicksilver.learning.splits import overlap_of, walk_forward
from quicksilver.learning.usable import FOLDS, MIN_PAST, learned_from, too_few
from quicksilver.models.score import CLASSES, Probabilities

CERTAIN = 1.0 - 1e-6  # what a rule that only names a class is taken to say


class Walk(NamedTuple):
    """All judged decisions of a run: by ``who``; outcomes of ``overlap`` of them in a row share a span of time.

    ``flagged`` more had inputs that a live predictor does not predict from: nobody is judged by them.
    """

    judged: dict[str, Decisions]
    ts_ns: Int64
    overlap: int
    flagged: int = 0


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


def certain(directions: Int64 | FloatArray) -> FloatArray:
    """Return classes as probabilities, ``(n, 3)``."""
    rest = (1.0 - CERTAIN) / (len(CLASSES) - 1)
    return np.where(np.asarray(directions)[:, None] == np.array(CLASSES), CERTAIN, rest)
