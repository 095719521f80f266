"""Data of which nothing can be learned, found before hours of work: what is wrong with them, and what to do."""

import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Int64, TrainingFrame, newest
from quicksilver.learning.splits import STRETCHES, Stretches, walk_forward
from quicksilver.learning.zoo import kind_of, least_of_class, model_of

FOLDS = 8
MIN_PAST = 200
# What to take: to have more outcomes flat, and to have fewer so.
_OTHERS = {True: "a shorter horizon or a higher fee_bps", False: "a longer horizon or a lower fee_bps"}
SINGLE = np.finfo(np.float32)  # what ONNX computes with, and scikit-learn's trees
CLASS_NAMES = {-1: "down", 0: "flat", 1: "up"}


def require_trainable(frame: TrainingFrame, config: PredictorConfig, folds: int = FOLDS) -> None:
    """Refuse, before hours of work, what a walk and the model of all examples would refuse.

    Raises:
        InputError: with what is wrong with the configuration or the data, and in which part of them.
    """
    model_of(config)
    require_usable(learned_from(frame, config), config)
    splits = list(walk_forward(frame, folds, config.horizon_ns, MIN_PAST))
    if not splits:
        raise too_few(frame)
    for past, test in splits:
        try:
            require_usable(learned_from(frame.rows(past), config), config)
        except InputError as error:
            raise InputError(
                f"of the first {test[0]:,} of {frame.n:,} examples, which later ones judge: {error}"
            ) from error


def too_few(frame: TrainingFrame) -> InputError:
    """Return that no part of a frame has enough before it."""
    return InputError(f"{frame.n} examples are too few to predict any from {MIN_PAST} that were known before")


def learned_from(frame: TrainingFrame, config: PredictorConfig) -> TrainingFrame:
    """Return what a predictor learns from of all that is known: the newest minutes back, as many as its type takes.

    Of a frame that has been cut so it returns all.
    """
    recent = newest(frame, config.minutes_back)
    return recent.rows(slice(max(0, recent.n - kind_of(config).most_rows), None))


def require_usable(frame: TrainingFrame, config: PredictorConfig) -> None:
    """Refuse data of which nothing can be learned.

    Raises:
        InputError: with what is wrong with them.
    """
    if frame.n < MIN_PAST:
        raise InputError(f"{frame.n} examples of {config.granularity}; at least {MIN_PAST} are needed")
    known = ~np.isnan(frame.inputs)
    for place, (name, column, seen) in enumerate(zip(frame.names, frame.inputs.T, known.T, strict=True)):
        if not seen.any():
            raise InputError(f"input {name} is not known in any of {frame.n} examples: leave it out")
        if np.ptp(column[seen]) == 0.0:
            move = place < config.datasetinputs  # all of them are of one price, and none can be left out alone
            mend = "give data in which the price moves, or datasetinputs = 0 and features" if move else "leave it out"
            raise InputError(f"input {name} is {column[seen][0]:g} in all of {frame.n} examples: {mend}")
        _require_single(column[seen], name)
    if not np.isfinite(frame.move_bps).all():
        raise InputError("some outcomes are no numbers: the prices hold zeros or worse")
    stretches = Stretches(len(frame.instruments) * config.overlap)
    if config.target == "direction":
        _require_classes(frame.directions(config.threshold_bps), config, stretches)
    else:
        list(stretches.split(frame.inputs))  # by which its errors are found


def _require_single(values: FloatArray, name: str) -> None:
    """Refuse an input of which a model's numbers, which have 32 bits, would not hold what it tells."""
    least, most = values.min(), values.max()
    if max(-least, most) > SINGLE.max:
        raise InputError(f"input {name} is {least:g} to {most:g}, and {SINGLE.max:g} is the most that a model takes")
    if np.ptp(values.astype(np.float32)) < SINGLE.tiny:
        raise InputError(f"input {name} is {least:g} to {most:g}, which is one number to a model: leave it out")


def _require_classes(directions: Int64, config: PredictorConfig, stretches: Stretches) -> None:
    """Refuse outcomes of one class, and too few of any for a model that is calibrated."""
    classes, counts = np.unique(directions, return_counts=True)
    if len(classes) < 2:
        raise InputError(
            f"all {len(directions)} outcomes are {CLASS_NAMES[int(classes[0])]} beyond a threshold of"
            f" {config.threshold_bps:g} bps: take {_OTHERS[bool(classes[0] != 0)]}"
        )
    if not kind_of(config).calibrated:
        return
    others = [rest for rest, _ in stretches.split(directions)]
    for one, count in zip(classes.tolist(), counts.tolist(), strict=True):
        outside = [int(np.count_nonzero(directions[rest] == one)) for rest in others]
        needed = least_of_class(config)
        if count >= STRETCHES and min(outside) >= needed:
            continue
        few = "is" if count == 1 else "are"
        advice = _OTHERS[one == 0]
        raise InputError(
            f"only {count} of {len(directions)} outcomes {few} {CLASS_NAMES[one]}, {min(outside)} of them outside part"
            f" {outside.index(min(outside)) + 1} of {STRETCHES}: type {config.type}, which is calibrated part"
            f" by part, needs at least {max(STRETCHES, needed)} of each class, and {needed} outside each part:"
            f" take more data, {advice}"
        )
