"""Stacking: a model of what an ensemble's members say, learned from data that they had not seen."""

from collections.abc import Iterator

import numpy as np

from quicksilver.errors import InputError
from quicksilver.learning.aligned import said_of
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Int64
from quicksilver.learning.export import exported
from quicksilver.learning.material import Material, members_before
from quicksilver.learning.splits import walk_forward
from quicksilver.learning.usable import MIN_PAST
from quicksilver.learning.zoo import model_of
from quicksilver.models.combining import evidence

STACKING_FOLDS = 4
PULL = 100.0  # outcomes' worth of belief that members know nothing, in units of one that overlaps with no other


def stackable(material: Material, past: Int64) -> bool:
    """Return whether there are enough decisions of the past that members can be asked about without knowing them."""
    return sum(len(rows) for rows, _ in unseen(material, past)) >= MIN_PAST


def stacked(material: Material, past: Int64) -> tuple[bytes, tuple[int, ...]]:
    """Return the model of what members said of data that they had not seen, as ONNX, and its classes.

    ``past`` ``(n,)`` are the decisions whose outcomes are known.

    Raises:
        InputError: there is too little of it.
    """
    inputs, outcomes = [np.empty((0, 3 * len(material.configs)))], [np.empty(0, np.int64)]
    directions = material.found.frame.directions(material.lead.threshold_bps)
    for rows, start_ns in unseen(material, past):
        cards = members_before(material, start_ns)
        said = said_of(cards, material.found, rows, start_ns)
        spoken = ~np.isnan(said[:, :, 0]).all(axis=1)
        inputs.append(evidence(said[spoken], np.array([card.prior for card in cards])))
        outcomes.append(directions[rows[spoken]])
    x, y = np.concatenate(inputs), np.concatenate(outcomes)
    classes = np.unique(y)
    if len(y) < MIN_PAST or len(classes) < 2:
        raise InputError(
            f"ensemble {material.name}: stacking has {len(y)} examples with {len(classes)} kinds of outcome of what"
            f" members said of later data; at least {MIN_PAST} are needed, with 2"
        )
    config = PredictorConfig("logistic", parameters={"C": material.lead.uniqueness / PULL})
    return exported(model_of(config).fit(x, y), x), tuple(int(one) for one in classes)


def unseen(material: Material, past: Int64) -> Iterator[tuple[Int64, int]]:
    """Yield parts of the past, each later than what members can learn from before it, and when they begin.

    Those before which one of them has too little, of a class perhaps, are left out.
    """
    frame = material.found.frame.rows(past)
    for _, test in walk_forward(frame, STACKING_FOLDS, material.lead.horizon_ns, MIN_PAST):
        start_ns = int(frame.ts_ns[test[0]])
        if not material.lacking(start_ns):
            yield past[test], start_ns
