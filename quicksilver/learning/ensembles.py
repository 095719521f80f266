"""Ensembles before they are live: trained, stacked, and judged walk-forward, beside their members and baselines.

At every point of the walk the ensemble is made as it would have been then, of what was known, and applied to what came
after by the code that applies it live. Stacking is nested in that: it learns from what members said of later data than
they had learned from, which again was known by then; so each time the past is walked through once more.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from quicksilver.errors import InputError
from quicksilver.learning.datasets import Int64, TrainingFrame
from quicksilver.learning.material import Material, members_before
from quicksilver.learning.splits import overlap_of, walk_forward
from quicksilver.learning.stacking import stackable, stacked
from quicksilver.learning.together import Spoken, spoken_by
from quicksilver.learning.training import digest
from quicksilver.learning.usable import FOLDS, MIN_PAST
from quicksilver.learning.walking import Walk, judged_by
from quicksilver.models.card import CARD_VERSION, EnsembleCard, packed


def trained_material(material: Material) -> EnsembleCard:
    """Return the card of an ensemble's material.

    Raises:
        InputError: the data cannot be learned from.
    """
    return card_at(material, np.arange(material.found.frame.n), None)


class Part(NamedTuple):
    """A part of a walk: the numbers of decisions known before, and of those that are judged, which begin then."""

    past: Int64
    test: Int64
    start_ns: int


def card_at(material: Material, past: Int64, before_ns: int | None) -> EnsembleCard:
    """Return the ensemble as it would have been made then, None: of all there is; ``past`` is what was known by then.

    Raises:
        InputError: the data cannot be learned from.
    """
    members = members_before(material, before_ns)
    stacking, classes = stacked(material, past) if material.config.stacking else (None, ())
    data = data_of(material.frames)
    config, code = material.config, material.code
    return EnsembleCard(
        material.name, "", CARD_VERSION, config, members, None if stacking is None else packed(stacking), data,
        code, classes,
    ).versioned()  # fmt: skip


def data_of(frames: Sequence[TrainingFrame]) -> str:
    """Return what tells the data of all members from all others, as hexadecimal digits."""
    return hashlib.sha256("".join(digest(frame) for frame in frames).encode()).hexdigest()[:12]


def walk_material(material: Material, folds: int = FOLDS, done: Callable[[], object] = lambda: None) -> Walk:
    """Return what the ensemble, its members and the baselines said wherever the ensemble decided, but the first part.

    ``done`` is called after each part.

    Raises:
        InputError: the data cannot be learned from.
    """
    frame, lead, config = material.found.frame, material.lead, material.config
    parts: list[Spoken] = []
    asked = 0
    for past, test, start_ns in splits_of(material, folds):
        card = card_at(material, past, start_ns)
        parts.append(spoken_by(card, material.found, test, start_ns))
        asked += len(test)
        done()
    if not any(len(part.rows) for part in parts):
        raise _too_few(material)
    rows = np.concatenate([part.rows for part in parts])
    fold = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
    said = {who: np.vstack([part.said[who] for part in parts]) for who in parts[0].said}
    judged = judged_by(said, frame.rows(rows), fold, lead, config.confidence_with(lead))
    return Walk(judged, frame.ts_ns[rows], overlap_of(frame, lead), asked - len(rows))


def splits_of(material: Material, folds: int = FOLDS) -> Iterator[Part]:
    """Yield the parts of a walk before which there was enough to make the ensemble of."""
    frame = material.found.frame
    for past, test in walk_forward(frame, folds, material.lead.horizon_ns, MIN_PAST):
        start_ns = int(frame.ts_ns[test[0]])
        if not material.lacking(start_ns) and (not material.config.stacking or stackable(material, past)):
            yield Part(past, test, start_ns)


def require_walkable(material: Material) -> None:
    """Refuse, before hours of work, an ensemble that no part of a walk could judge, or that could not be stacked.

    Raises:
        InputError: with what there is too little of.
    """
    everything = np.arange(material.found.frame.n)
    if next(splits_of(material), None) is None or (material.config.stacking and not stackable(material, everything)):
        raise _too_few(material)


def _too_few(material: Material) -> InputError:
    """That no part of a walk has enough before it, and what the last one lacks."""
    frame, stacking = material.found.frame, material.config.stacking
    lacking = material.lacking(int(frame.ts_ns[-1]))
    return InputError(
        f"ensemble {material.name}: {frame.n} decisions are too few: each member has to have {MIN_PAST} examples that"
        f" were known before{', and stacking as many of what they said later' * stacking}{lacking and f'; {lacking}'}"
    )
