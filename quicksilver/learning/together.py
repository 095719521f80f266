"""What an ensemble, its members and its baselines say of decisions, as they would have live; of later data too."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.learning.aligned import Aligned, aligned, combined, require_common, said_of, wanted_features
from quicksilver.learning.datasets import FeatureHistory, Int64
from quicksilver.learning.ensemble_config import lead_of
from quicksilver.learning.held_back import in_parts, require_enough
from quicksilver.learning.results import MODEL
from quicksilver.learning.splits import overlap_of
from quicksilver.learning.walking import Walk, baselines_of, judged_by
from quicksilver.models.card import EnsembleCard


class Spoken(NamedTuple):
    """The rows at which an ensemble decided, ``(n,)``, and what was said of them, by whom, ``(n, 3)`` each."""

    rows: Int64
    said: dict[str, FloatArray]


def spoken_by(card: EnsembleCard, found: Aligned, rows: Int64, start_ns: int) -> Spoken:
    """Return what is said at some decisions; those at which the ensemble says nothing are left out.

    It begins at ``start_ns``, as ``aligned.said_of`` has it. The majority's are the frequencies that the lead has
    learned from, no older than what it knows. A member that says nothing then stands there with its own.

    Raises:
        ValueError: the card cannot be used.
    """
    frequencies = np.array(card.members[lead_of([one.config for one in card.members])].prior)
    members = said_of(card.members, found, rows, start_ns)
    together = combined(card, found, rows, members)
    spoken = np.flatnonzero(~np.isnan(together[:, 0]))
    later = found.frame.rows(rows[spoken])
    priors = np.array([one.prior for one in card.members])
    with_frequencies = np.where(np.isnan(members[spoken]), priors, members[spoken])
    said = {
        MODEL: together[spoken],
        **baselines_of(later, found.lead, frequencies),
        **{f"member {one.name}": with_frequencies[:, number] for number, one in enumerate(card.members)},
    }
    return Spoken(rows[spoken], said)


def aligned_with(card: EnsembleCard, histories: Sequence[FeatureHistory]) -> Aligned:
    """Return when a version decides in some histories, whose features are ``features_in(card)``.

    Raises:
        InputError: no instrument is all its members', or it never decides.
    """
    configs = [member.config for member in card.members]
    return aligned(require_common(histories, configs), configs, features_in(card))


def features_in(card: EnsembleCard) -> tuple[str, ...]:
    """Return the features that a version's histories have to hold, in their order."""
    return wanted_features([member.config for member in card.members])


def later_rows(card: EnsembleCard, found: Aligned) -> Int64:
    """Return the decisions that have nothing in common with what a version's members learned from."""
    return np.flatnonzero(found.frame.ts_ns >= end_ns(card) + 2 * found.lead.horizon_ns)


def end_ns(card: EnsembleCard) -> int:
    """Return the time from which on no member has learned of a decision."""
    return max(member.end_ns for member in card.members)


def walked_together(card: EnsembleCard, found: Aligned) -> Walk:
    """Return what a version, its members and its baselines said of later decisions, in as many parts as a walk has.

    Weights of late begin as those of a version that has just become live.

    Raises:
        InputError: there are too few.
        ValueError: the card cannot be used.
    """
    rows, lead = later_rows(card, found), found.lead
    spoken = spoken_by(card, found, rows, end_ns(card))
    flagged = len(rows) - len(spoken.rows)
    require_enough(card, len(spoken.rows), flagged)
    later = found.frame.rows(spoken.rows)
    judged = judged_by(spoken.said, later, in_parts(later), lead, card.config.confidence_with(lead))
    return Walk(judged, later.ts_ns, overlap_of(later, lead), flagged)
